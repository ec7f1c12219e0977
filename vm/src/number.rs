//! Integers past 63 bits, and their form in the heap.
//!
//! A large integer is a raw immutable object: two's complement, least significant byte first, in
//! the fewest bytes. Every integer that fits 63 bits is in place, so one integer has one form.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::heap;
use crate::primitive::Stop;
use crate::value::Value;
use crate::vm::Vm;

impl Vm {
    /// An integer, in place if it fits 63 bits.
    pub fn new_integer(&mut self, number: i64) -> Result<Value, Stop> {
        match Value::integer(number) {
            Some(value) => Ok(value),
            None => self.new_large_integer(&BigInt::from(number)),
        }
    }

    /// An integer of any size, in place if it fits 63 bits. Charges fuel for its length.
    pub fn new_big_integer(&mut self, number: &BigInt) -> Result<Value, Stop> {
        match number.to_i64().and_then(Value::integer) {
            Some(value) => Ok(value),
            None => self.new_large_integer(number),
        }
    }

    fn new_large_integer(&mut self, number: &BigInt) -> Result<Value, Stop> {
        let bytes = number.to_signed_bytes_le();
        let integer = self.allocate_bytes(self.known.large_integer, bytes.len(), heap::IMMUTABLE)?;
        self.heap.init_bytes(integer).copy_from_slice(&bytes);
        Ok(integer)
    }

    /// Whether the value is a large integer.
    pub fn is_large_integer(&self, value: Value) -> bool {
        value.is_pointer() && self.heap.class_of_object(value) == self.known.large_integer
    }

    /// The integer that the value is, of whatever size.
    pub fn as_big_integer(&self, value: Value) -> Option<BigInt> {
        if let Some(number) = value.as_integer() {
            return Some(BigInt::from(number));
        }
        self.is_large_integer(value).then(|| BigInt::from_signed_bytes_le(self.heap.bytes(value)))
    }
}
