//! Numbers with units: what a quantity is worth in another unit, exactly.
//!
//! The kernel's `Quantity` has a number and the text of a unit; what units are stands in [`units`]. Integers, fractions and
//! scaled decimals stay exact; a float is multiplied and divided once each. At commit a quantity in a slot with a unit
//! becomes a number of that unit.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{One, Signed, ToPrimitive, Zero};
use twintalk_bytecode::units::{self, Exact, Unit};

use crate::class::ClassId;
use crate::primitive::Stop;
use crate::value::Value;
use crate::vm::Vm;

/// A number, apart from the kind of object it is.
pub(crate) enum Amount {
    /// A fraction; the lower part is above zero.
    Exact(BigInt, BigInt),
    Float(f64),
}

impl Amount {
    fn from_exact(exact: Exact) -> Amount {
        Amount::Exact(exact.numerator.into(), exact.denominator.into())
    }

    fn plus(self, other: Exact) -> Amount {
        let (upper, lower) = (BigInt::from(other.numerator), BigInt::from(other.denominator));
        match self {
            Amount::Exact(numerator, denominator) => {
                Amount::Exact(numerator * &lower + upper * &denominator, denominator * lower)
            }
            Amount::Float(float) if other == Exact::ZERO => Amount::Float(float),
            Amount::Float(float) => Amount::Float(float + ratio(&upper, &lower)),
        }
    }

    fn times(self, factor: Exact) -> Amount {
        let (upper, lower) = (BigInt::from(factor.numerator), BigInt::from(factor.denominator));
        match self {
            Amount::Exact(numerator, denominator) => Amount::Exact(numerator * upper, denominator * lower),
            Amount::Float(float) => {
                let (upper, lower) = (upper.to_f64().unwrap_or(f64::NAN), lower.to_f64().unwrap_or(f64::NAN));
                Amount::Float(float * upper / lower)
            }
        }
    }

    /// This many `from`, counted in `to`. `None`: they measure different things, or the factor is past what fits.
    pub fn converted(self, from: &Unit, to: &Unit) -> Option<Amount> {
        let (factor, term) = from.conversion(to)?;
        Some(self.times(factor).plus(term))
    }

    /// The same for a difference: where the zeros lie does not matter.
    pub fn difference(self, from: &Unit, to: &Unit) -> Option<Amount> {
        let (factor, _) = from.conversion(to)?;
        Some(self.times(factor))
    }
}

fn ratio(numerator: &BigInt, denominator: &BigInt) -> f64 {
    numerator.to_f64().unwrap_or(f64::NAN) / denominator.to_f64().unwrap_or(f64::NAN)
}

impl Vm {
    fn kernel_class(&self, name: &str) -> Option<ClassId> {
        let name = self.symbols.find(name)?;
        self.globals.first()?.get(&name).copied()
    }

    fn is_of(&self, value: Value, name: &str) -> bool {
        value.is_pointer() && self.kernel_class(name) == Some(self.heap.class_of_object(value))
    }

    fn slot_named(&self, object: Value, name: &str) -> Option<Value> {
        let index = self.class(self.class_of(object)).slot_index(self.symbols.find(name)?)?;
        Some(self.heap.slot(object, index))
    }

    /// The number that a value is; `None`: it is none.
    pub(crate) fn amount(&self, value: Value) -> Option<Amount> {
        if let Some(float) = self.as_float(value) {
            return Some(Amount::Float(float));
        }
        if let Some(integer) = self.as_big_integer(value) {
            return Some(Amount::Exact(integer, BigInt::one()));
        }
        let integer = |name: &str| self.as_big_integer(self.slot_named(value, name)?);
        if self.is_of(value, "Fraction") {
            let (numerator, denominator) = (integer("numerator")?, integer("denominator")?);
            return denominator.is_positive().then_some(Amount::Exact(numerator, denominator));
        }
        if self.is_of(value, "ScaledDecimal") {
            let scale = integer("scale")?.to_u32().filter(|scale| *scale <= 100_000)?;
            return Some(Amount::Exact(integer("digits")?, BigInt::from(10).pow(scale)));
        }
        None
    }

    /// A number object: an integer where it is whole and was exact.
    pub(crate) fn new_amount(&mut self, amount: Amount) -> Result<Value, Stop> {
        let (numerator, denominator) = match amount {
            Amount::Float(float) => return self.new_float(float),
            Amount::Exact(numerator, denominator) => {
                let common = numerator.gcd(&denominator);
                (numerator / &common, denominator / &common)
            }
        };
        let class = self.kernel_class("Fraction");
        let slot = |vm: &Vm, class: ClassId, name: &str| {
            vm.symbols.find(name).and_then(|name| vm.class(class).slot_index(name))
        };
        let places =
            class.and_then(|class| Some((class, slot(self, class, "numerator")?, slot(self, class, "denominator")?)));
        let (false, Some((class, upper, lower))) = (denominator.is_one(), places) else {
            return self.new_big_integer(&numerator);
        };
        let start = self.run.handles.len();
        let made = (|| {
            let numerator = self.new_big_integer(&numerator)?;
            self.run.handles.push(numerator);
            let denominator = self.new_big_integer(&denominator)?;
            self.run.handles.push(denominator);
            self.allocate(class)
        })();
        if let Ok(fraction) = made {
            self.heap.init_slot(fraction, upper, self.run.handles[start]);
            self.heap.init_slot(fraction, lower, self.run.handles[start + 1]);
        }
        self.run.handles.truncate(start);
        made
    }

    /// The number and the unit of a quantity; of a duration its seconds. `None`: it is neither.
    pub(crate) fn quantity(&self, value: Value) -> Option<(Amount, Unit)> {
        if self.is_of(value, "Quantity") {
            let unit = Unit::parse(self.as_text(self.slot_named(value, "unit")?)?)?;
            return Some((self.amount(self.slot_named(value, "number")?)?, unit));
        }
        if self.is_of(value, "Duration") {
            let nanoseconds = self.as_big_integer(self.slot_named(value, "nanoseconds")?)?;
            return Some((Amount::Exact(nanoseconds, BigInt::from(1_000_000_000)), Unit::parse("s")?));
        }
        None
    }

    /// `3 bar`, if the value is a quantity.
    pub(crate) fn quantity_text(&self, value: Value) -> Option<String> {
        let (amount, unit) = self.quantity(value)?;
        let number = match amount {
            Amount::Float(float) => format!("{float:?}"),
            Amount::Exact(numerator, denominator) if (&numerator % &denominator).is_zero() => {
                (numerator / denominator).to_string()
            }
            Amount::Exact(numerator, denominator) => format!("{:?}", ratio(&numerator, &denominator)),
        };
        Some(format!("{number} {unit}, {}", units::dimension_name(unit.dimension)))
    }

    /// What is to be in a slot of `unit` in the place of `value`: a number, if that is a quantity. `Err`: it measures
    /// something else.
    pub(crate) fn in_slot_unit(
        &self,
        value: Value,
        unit: &str,
        wanted: Option<ClassId>,
    ) -> Option<Result<Amount, String>> {
        if !value.is_pointer() {
            return None;
        }
        let to = Unit::parse(unit)?;
        let (amount, from) = self.quantity(value)?;
        let Some(amount) = amount.converted(&from, &to) else {
            return Some(Err(units::dimension_name(to.dimension)));
        };
        Some(Ok(match amount {
            // In a slot of integers: 1.5 km are 1500 m.
            Amount::Float(float)
                if wanted == Some(self.known.integer) && float.fract() == 0.0 && float.abs() < 9e15 =>
            {
                Amount::Exact(BigInt::from(float as i64), BigInt::one())
            }
            Amount::Exact(numerator, denominator) if wanted == Some(self.known.float) => {
                Amount::Float(ratio(&numerator, &denominator))
            }
            amount @ (Amount::Float(_) | Amount::Exact(..)) => amount,
        }))
    }

    /// What a factor is as a pair of integers.
    pub(crate) fn new_ratio(&mut self, exact: Exact) -> Result<Value, Stop> {
        let start = self.run.handles.len();
        let made = (|| {
            for part in [exact.numerator, exact.denominator] {
                let part = self.new_amount(Amount::from_exact(Exact { numerator: part, denominator: 1 }))?;
                self.run.handles.push(part);
            }
            self.allocate_indexed(self.known.array, 2)
        })();
        if let Ok(array) = made {
            self.heap.init_element(array, 0, self.run.handles[start]);
            self.heap.init_element(array, 1, self.run.handles[start + 1]);
        }
        self.run.handles.truncate(start);
        made
    }
}
