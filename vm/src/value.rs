//! The 64-bit value.
//!
//! | low bits | what | payload |
//! | --- | --- | --- |
//! | `0` | integer | 63 bits, two's complement |
//! | `11` | float | its bits, exponent shifted and rotated so that the tag falls out |
//! | `001` | pointer | address of an object's header, 8-aligned |
//! | `101` | immediate | kind in bits 3..8, 32 bits of payload in the upper half |
//!
//! Floats tag themselves ("Float Self-Tagging", OOPSLA 2025): after subtracting `0x080` from the
//! exponent and rotating by four, zero, the infinities, NaN and all of 2^-127..2^129 end in `11`.
//! What lies in the two far bands is boxed by the heap. One float has one form, so that identity
//! of values within the bands is identity of bits.

/// An integer, float, pointer or immediate in one word.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Value(u64);

const _: () = assert!(size_of::<Value>() == 8);

const FLOAT_SHIFT: u64 = 0x080 << 52;
const POINTER_TAG: u64 = 0b001;
const IMMEDIATE_TAG: u64 = 0b101;

const KIND_NIL: u64 = 0;
const KIND_TRUE: u64 = 1;
const KIND_FALSE: u64 = 2;
const KIND_CHARACTER: u64 = 3;
const KIND_SYMBOL: u64 = 4;
const KIND_PART: u64 = 5;

/// The largest integer that is not a large one.
pub const INTEGER_MAX: i64 = (1 << 62) - 1;
/// The smallest integer that is not a large one.
pub const INTEGER_MIN: i64 = -(1 << 62);

/// What a value is, for a `match` that names every case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// An integer of 63 bits.
    Integer(i64),
    /// A float in place.
    Float(f64),
    /// A pointer to an object.
    Pointer,
    /// nil.
    Nil,
    /// true or false.
    Boolean(bool),
    /// A character.
    Character(char),
    /// A symbol, by its number.
    Symbol(u32),
    /// A part of a long collection that is not in the turn, by the number that it has there. Only parts and the roots of
    /// collections hold one.
    Part(u32),
}

impl Value {
    /// nil.
    pub const NIL: Value = Value::immediate(KIND_NIL, 0);
    /// true.
    pub const TRUE: Value = Value::immediate(KIND_TRUE, 0);
    /// false.
    pub const FALSE: Value = Value::immediate(KIND_FALSE, 0);

    const fn immediate(kind: u64, payload: u32) -> Value {
        Value((payload as u64) << 32 | kind << 3 | IMMEDIATE_TAG)
    }

    /// The word itself.
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The value whose word is `bits`; for the interpreter's arithmetic on tagged words.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Value {
        Value(bits)
    }

    /// true or false.
    #[inline(always)]
    pub const fn boolean(is: bool) -> Value {
        if is { Value::TRUE } else { Value::FALSE }
    }

    /// The integer, if it fits 63 bits.
    #[inline(always)]
    pub const fn integer(number: i64) -> Option<Value> {
        if number >= INTEGER_MIN && number <= INTEGER_MAX { Some(Value((number as u64) << 1)) } else { None }
    }

    /// An integer known to fit: an index, a count, a small constant.
    ///
    /// # Panics
    /// Where it does not fit, which is a defect of the caller.
    #[inline(always)]
    pub const fn small(number: i64) -> Value {
        match Value::integer(number) {
            Some(value) => value,
            None => panic!("a count or index always fits 63 bits"),
        }
    }

    /// The float in place, or `None` where it lies in the bands that are boxed.
    #[inline(always)]
    pub fn float(number: f64) -> Option<Value> {
        let bits = number.to_bits().wrapping_sub(FLOAT_SHIFT).rotate_left(4);
        if bits & 3 == 3 { Some(Value(bits)) } else { None }
    }

    /// A character.
    #[inline(always)]
    pub const fn character(character: char) -> Value {
        Value::immediate(KIND_CHARACTER, character as u32)
    }

    /// A symbol by its number.
    #[inline(always)]
    pub const fn symbol(number: u32) -> Value {
        Value::immediate(KIND_SYMBOL, number)
    }

    /// A part of a long collection that is not in the turn.
    pub(crate) const fn part(number: u32) -> Value {
        Value::immediate(KIND_PART, number)
    }

    /// The number of the part, if it is one that is not in the turn.
    #[inline(always)]
    pub(crate) const fn as_part(self) -> Option<u32> {
        if self.0 as u32 as u64 == KIND_PART << 3 | IMMEDIATE_TAG { Some((self.0 >> 32) as u32) } else { None }
    }

    /// A pointer to the object whose header lies at `address`, 8-aligned.
    #[inline(always)]
    pub(crate) fn pointer(address: *mut u64) -> Value {
        debug_assert!(address as u64 & 7 == 0, "objects are 8-aligned");
        Value(address as u64 | POINTER_TAG)
    }

    /// Whether it is an integer of 63 bits.
    #[inline(always)]
    pub const fn is_integer(self) -> bool {
        self.0 & 1 == 0
    }

    /// Whether both are integers of 63 bits, in one test.
    #[inline(always)]
    pub const fn are_integers(self, other: Value) -> bool {
        (self.0 | other.0) & 1 == 0
    }

    /// Whether both are floats in place, in one test.
    #[inline(always)]
    pub const fn are_floats(self, other: Value) -> bool {
        self.0 & other.0 & 3 == 3
    }

    /// Whether it is a float in place.
    #[inline(always)]
    pub const fn is_float(self) -> bool {
        self.0 & 3 == 3
    }

    /// Whether it points to an object.
    #[inline(always)]
    pub const fn is_pointer(self) -> bool {
        self.0 & 7 == POINTER_TAG
    }

    /// Whether it is nil.
    #[inline(always)]
    pub const fn is_nil(self) -> bool {
        self.0 == Value::NIL.0
    }

    /// The integer; only after [`Value::is_integer`].
    #[inline(always)]
    pub const fn integer_unchecked(self) -> i64 {
        self.0 as i64 >> 1
    }

    /// The float; only after [`Value::is_float`].
    #[inline(always)]
    pub fn float_unchecked(self) -> f64 {
        f64::from_bits(self.0.rotate_right(4).wrapping_add(FLOAT_SHIFT))
    }

    /// The integer, if it is one of 63 bits.
    #[inline(always)]
    pub const fn as_integer(self) -> Option<i64> {
        if self.is_integer() { Some(self.integer_unchecked()) } else { None }
    }

    /// The boolean, if it is one.
    #[inline(always)]
    pub const fn as_boolean(self) -> Option<bool> {
        match self {
            Value::TRUE => Some(true),
            Value::FALSE => Some(false),
            _ => None,
        }
    }

    /// The character, if it is one.
    pub const fn as_character(self) -> Option<char> {
        match self.kind() {
            Kind::Character(character) => Some(character),
            _ => None,
        }
    }

    /// The number of the symbol, if it is one.
    pub const fn as_symbol(self) -> Option<u32> {
        match self.kind() {
            Kind::Symbol(number) => Some(number),
            _ => None,
        }
    }

    /// The address of the header; only after [`Value::is_pointer`].
    #[inline(always)]
    pub(crate) const fn address(self) -> *mut u64 {
        (self.0 & !7) as *mut u64
    }

    /// What it is.
    pub const fn kind(self) -> Kind {
        if self.is_integer() {
            return Kind::Integer(self.integer_unchecked());
        }
        if self.is_float() {
            return Kind::Float(f64::from_bits(self.0.rotate_right(4).wrapping_add(FLOAT_SHIFT)));
        }
        if self.is_pointer() {
            return Kind::Pointer;
        }
        let payload = (self.0 >> 32) as u32;
        match (self.0 as u32 >> 3) as u64 {
            KIND_NIL => Kind::Nil,
            KIND_TRUE => Kind::Boolean(true),
            KIND_FALSE => Kind::Boolean(false),
            KIND_SYMBOL => Kind::Symbol(payload),
            KIND_PART => Kind::Part(payload),
            KIND_CHARACTER => match char::from_u32(payload) {
                Some(character) => Kind::Character(character),
                None => panic!("only characters are made into character values"),
            },
            _ => panic!("only the six kinds of immediates are made"),
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind() {
            Kind::Pointer => write!(f, "Pointer({:#x})", self.0),
            other => write!(f, "{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_the_usual_range_are_in_place_and_come_back_whole() {
        for float in [
            0.0,
            -0.0,
            1.0,
            -1.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e38,
            1e-38,
            f64::from(f32::MIN_POSITIVE),
            f64::MAX,
        ] {
            let value = Value::float(float);
            if (2f64.powi(-127)..2f64.powi(128)).contains(&float.abs()) || float == 0.0 || float.is_infinite() {
                assert_eq!(value.map(|value| value.float_unchecked().to_bits()), Some(float.to_bits()), "{float}");
            }
        }
        assert!(Value::float(f64::NAN).is_some_and(|value| value.float_unchecked().is_nan()));
        assert_eq!(Value::float(1e100), None);
        assert_eq!(Value::float(1e-100), None);
    }

    #[test]
    fn integers_are_of_63_bits() {
        assert_eq!(Value::integer(INTEGER_MAX).and_then(Value::as_integer), Some(INTEGER_MAX));
        assert_eq!(Value::integer(INTEGER_MIN).and_then(Value::as_integer), Some(INTEGER_MIN));
        assert_eq!(Value::integer(INTEGER_MAX + 1), None);
        assert_eq!(Value::integer(INTEGER_MIN - 1), None);
    }

    #[test]
    fn immediates_are_told_apart() {
        assert_eq!(Value::NIL.kind(), Kind::Nil);
        assert_eq!(Value::TRUE.as_boolean(), Some(true));
        assert_eq!(Value::character('ä').kind(), Kind::Character('ä'));
        assert_eq!(Value::symbol(7).as_symbol(), Some(7));
        assert_eq!(Value::part(7).as_part(), Some(7));
        assert_eq!((Value::symbol(7).as_part(), Value::NIL.as_part(), Value::small(47).as_part()), (None, None, None));
        assert!(!Value::NIL.is_pointer() && !Value::NIL.is_integer() && !Value::NIL.is_float());
    }
}
