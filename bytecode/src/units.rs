//! Units of measure: what the compiler, the VM and whoever reads messages know of them. One table, everything derived.
//!
//! A unit is written as products and quotients of symbols: `m3`, `rev/min`, `kg*m/s2`, `J/kg/K`. Each symbol stands
//! in [`ROWS`], with a prefix of the SI where the row allows one; an exponent is written behind it. Words (`3 bar`, `20
//! celsius`) are messages to numbers, and stand in [`WORDS`] with the unit they mean.
//!
//! Factors are exact fractions. An angle is a dimension of its own, counted in whole turns: `rev/min` and `Hz` do not
//! mix, and a degree is exact; the radian is the one factor that is rounded, to 20 digits.
//!
//! Sources: The International System of Units (BIPM, 9th edition, 2019), tables 2 to 8, for the SI, its prefixes and what is
//! used beside it; NIST Special Publication 811 (2008), appendix B.8 and B.9, for inch, pound, gallon, Btu, the conventional
//! columns of mercury and water, and the like.

use std::fmt;

/// Exponents of length, mass, time, electric current, temperature, amount of substance, luminous intensity, angle.
pub type Dimension = [i8; 8];

/// No dimension: a ratio.
pub const RATIO: Dimension = [0; 8];
/// Time.
pub const TIME: Dimension = [0, 0, 1, 0, 0, 0, 0, 0];

/// An exact fraction: lowest terms, the lower part above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// The upper part.
    pub numerator: i128,
    /// The lower part.
    pub denominator: i128,
}

impl Exact {
    /// One.
    pub const ONE: Exact = Exact { numerator: 1, denominator: 1 };
    /// Zero.
    pub const ZERO: Exact = Exact { numerator: 0, denominator: 1 };

    /// `numerator` / `denominator`. `None`: past what fits, or by zero.
    pub fn new(numerator: i128, denominator: i128) -> Option<Exact> {
        if denominator == 0 {
            return None;
        }
        let (mut left, mut right) = (numerator.checked_abs()?, denominator.checked_abs()?);
        while right != 0 {
            (left, right) = (right, left % right);
        }
        let common = left * denominator.signum();
        Some(Exact { numerator: numerator / common, denominator: denominator / common })
    }

    /// The product. `None`: past what fits.
    pub fn times(self, other: Exact) -> Option<Exact> {
        // Crosswise first, so that what cancels does not count.
        let left = Exact::new(self.numerator, other.denominator)?;
        let right = Exact::new(other.numerator, self.denominator)?;
        Exact::new(left.numerator.checked_mul(right.numerator)?, left.denominator.checked_mul(right.denominator)?)
    }

    /// The quotient. `None`: past what fits, or by zero.
    pub fn over(self, other: Exact) -> Option<Exact> {
        self.times(Exact::new(other.denominator, other.numerator)?)
    }

    /// The sum. `None`: past what fits.
    pub fn plus(self, other: Exact) -> Option<Exact> {
        self.minus(Exact { numerator: other.numerator.checked_neg()?, ..other })
    }

    /// As near as a float comes.
    pub fn as_float(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    fn minus(self, other: Exact) -> Option<Exact> {
        let left = self.numerator.checked_mul(other.denominator)?;
        let right = other.numerator.checked_mul(self.denominator)?;
        Exact::new(left.checked_sub(right)?, self.denominator.checked_mul(other.denominator)?)
    }

    fn power(self, exponent: i8) -> Option<Exact> {
        let mut power = Exact::ONE;
        for _ in 0..exponent.unsigned_abs() {
            power = if exponent > 0 { power.times(self)? } else { power.over(self)? };
        }
        Some(power)
    }
}

/// A unit: a value of it times `factor`, plus `offset`, is one in base units (m, kg, s, A, K, mol, cd, turns).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Symbols with exponents other than 0, in the order of writing.
    terms: Vec<(String, i8)>,
    /// How many base units one is.
    pub factor: Exact,
    /// Where its zero lies, in base units: not at zero for the scales of temperature.
    pub offset: Exact,
    /// What it measures.
    pub dimension: Dimension,
}

/// A row of the table.
struct Row {
    symbol: &'static str,
    /// Other ways to write it.
    others: &'static [&'static str],
    dimension: Dimension,
    factor: (i128, i128),
    offset: (i128, i128),
    prefixes: bool,
}

const fn row(symbol: &'static str, dimension: Dimension, numerator: i128, denominator: i128) -> Row {
    Row { symbol, others: &[], dimension, factor: (numerator, denominator), offset: (0, 1), prefixes: false }
}

const fn si(symbol: &'static str, dimension: Dimension, numerator: i128, denominator: i128) -> Row {
    Row { prefixes: true, ..row(symbol, dimension, numerator, denominator) }
}

impl Row {
    const fn or(self, others: &'static [&'static str]) -> Row {
        Row { others, ..self }
    }

    const fn from(self, numerator: i128, denominator: i128) -> Row {
        Row { offset: (numerator, denominator), ..self }
    }
}

const LENGTH: Dimension = [1, 0, 0, 0, 0, 0, 0, 0];
const AREA: Dimension = [2, 0, 0, 0, 0, 0, 0, 0];
const VOLUME: Dimension = [3, 0, 0, 0, 0, 0, 0, 0];
const MASS: Dimension = [0, 1, 0, 0, 0, 0, 0, 0];
const CURRENT: Dimension = [0, 0, 0, 1, 0, 0, 0, 0];
const TEMPERATURE: Dimension = [0, 0, 0, 0, 1, 0, 0, 0];
const AMOUNT: Dimension = [0, 0, 0, 0, 0, 1, 0, 0];
const LUMINOUS: Dimension = [0, 0, 0, 0, 0, 0, 1, 0];
const ANGLE: Dimension = [0, 0, 0, 0, 0, 0, 0, 1];
const SPEED: Dimension = [1, 0, -1, 0, 0, 0, 0, 0];
const FREQUENCY: Dimension = [0, 0, -1, 0, 0, 0, 0, 0];
const TURNING: Dimension = [0, 0, -1, 0, 0, 0, 0, 1];
const FORCE: Dimension = [1, 1, -2, 0, 0, 0, 0, 0];
const PRESSURE: Dimension = [-1, 1, -2, 0, 0, 0, 0, 0];
const ENERGY: Dimension = [2, 1, -2, 0, 0, 0, 0, 0];
const POWER: Dimension = [2, 1, -3, 0, 0, 0, 0, 0];
const CHARGE: Dimension = [0, 0, 1, 1, 0, 0, 0, 0];
const VOLTAGE: Dimension = [2, 1, -3, -1, 0, 0, 0, 0];
const RESISTANCE: Dimension = [2, 1, -3, -2, 0, 0, 0, 0];
const CONDUCTANCE: Dimension = [-2, -1, 3, 2, 0, 0, 0, 0];
const CAPACITANCE: Dimension = [-2, -1, 4, 2, 0, 0, 0, 0];
const FLUX: Dimension = [2, 1, -2, -1, 0, 0, 0, 0];
const FLUX_DENSITY: Dimension = [0, 1, -2, -1, 0, 0, 0, 0];
const INDUCTANCE: Dimension = [2, 1, -2, -2, 0, 0, 0, 0];
const ILLUMINANCE: Dimension = [-2, 0, 0, 0, 0, 0, 1, 0];
const DOSE: Dimension = [2, 0, -2, 0, 0, 0, 0, 0];
const CATALYSIS: Dimension = [0, 0, -1, 0, 0, 1, 0, 0];

/// Every symbol.
const ROWS: &[Row] = &[
    // Length, area, volume.
    si("m", LENGTH, 1, 1),
    row("in", LENGTH, 254, 10_000),
    row("ft", LENGTH, 3_048, 10_000),
    row("yd", LENGTH, 9_144, 10_000),
    row("mi", LENGTH, 1_609_344, 1_000),
    row("nmi", LENGTH, 1_852, 1),
    row("ha", AREA, 10_000, 1),
    si("L", VOLUME, 1, 1_000).or(&["l"]),
    row("gal", VOLUME, 3_785_411_784, 1_000_000_000_000),
    row("bbl", VOLUME, 158_987_294_928, 1_000_000_000_000),
    // Mass.
    si("g", MASS, 1, 1_000),
    si("t", MASS, 1_000, 1),
    row("lb", MASS, 45_359_237, 100_000_000),
    row("oz", MASS, 28_349_523_125, 1_000_000_000_000),
    // Time and what is counted in it.
    si("s", TIME, 1, 1),
    row("min", TIME, 60, 1),
    row("h", TIME, 3_600, 1),
    row("d", TIME, 86_400, 1),
    si("Hz", FREQUENCY, 1, 1),
    si("Bq", FREQUENCY, 1, 1),
    // Speed.
    row("kn", SPEED, 1_852, 3_600),
    row("mph", SPEED, 1_609_344, 3_600_000),
    row("kmh", SPEED, 1_000, 3_600),
    // Angle.
    row("rev", ANGLE, 1, 1).or(&["turn"]),
    row("deg", ANGLE, 1, 360).or(&["°"]),
    row("arcmin", ANGLE, 1, 21_600),
    row("arcsec", ANGLE, 1, 1_296_000),
    // 1 / (2 pi) to 20 digits.
    si("rad", ANGLE, 15_915_494_309_189_533_577, 100_000_000_000_000_000_000),
    row("rpm", TURNING, 1, 60),
    // Temperature.
    si("K", TEMPERATURE, 1, 1),
    row("degC", TEMPERATURE, 1, 1).from(27_315, 100).or(&["°C", "celsius"]),
    row("degF", TEMPERATURE, 5, 9).from(45_967 * 5, 900).or(&["°F", "fahrenheit"]),
    // Force, pressure.
    si("N", FORCE, 1, 1),
    row("kgf", FORCE, 980_665, 100_000),
    row("lbf", FORCE, 44_482_216_152_605, 10_000_000_000_000),
    si("Pa", PRESSURE, 1, 1),
    si("bar", PRESSURE, 100_000, 1),
    row("atm", PRESSURE, 101_325, 1),
    row("Torr", PRESSURE, 101_325, 760),
    row("mmHg", PRESSURE, 133_322_387_415, 1_000_000_000),
    row("mH2O", PRESSURE, 980_665, 100),
    // 0.45359237 * 9.80665 / 0.0254^2.
    row("psi", PRESSURE, 44_482_216_152_605, 6_451_600_000),
    // Energy, power.
    si("J", ENERGY, 1, 1),
    si("Wh", ENERGY, 3_600, 1),
    si("eV", ENERGY, 1_602_176_634, 10_000_000_000_000_000_000_000_000_000),
    si("cal", ENERGY, 4_184, 1_000),
    row("Btu", ENERGY, 105_505_585_262, 100_000_000),
    si("W", POWER, 1, 1),
    // Apparent and reactive power of alternating current.
    si("VA", POWER, 1, 1),
    si("var", POWER, 1, 1),
    row("PS", POWER, 73_549_875, 100_000),
    row("hp", POWER, 74_569_987_158_227_022, 100_000_000_000_000),
    // Electricity and magnetism.
    si("A", CURRENT, 1, 1),
    si("C", CHARGE, 1, 1),
    si("Ah", CHARGE, 3_600, 1),
    si("V", VOLTAGE, 1, 1),
    si("Ohm", RESISTANCE, 1, 1).or(&["Ω", "\u{2126}"]),
    si("S", CONDUCTANCE, 1, 1),
    si("F", CAPACITANCE, 1, 1),
    si("Wb", FLUX, 1, 1),
    si("T", FLUX_DENSITY, 1, 1),
    si("H", INDUCTANCE, 1, 1),
    // Light, substance, radiation.
    si("cd", LUMINOUS, 1, 1),
    si("lm", LUMINOUS, 1, 1),
    si("lx", ILLUMINANCE, 1, 1),
    si("mol", AMOUNT, 1, 1),
    si("kat", CATALYSIS, 1, 1),
    si("Gy", DOSE, 1, 1),
    si("Sv", DOSE, 1, 1),
    // Ratios, and what is counted.
    row("count", RATIO, 1, 1).or(&["counts"]),
    row("%", RATIO, 1, 100).or(&["percent"]),
    row("permille", RATIO, 1, 1_000).or(&["‰"]),
    row("ppm", RATIO, 1, 1_000_000),
    row("ppb", RATIO, 1, 1_000_000_000),
];

/// The prefixes of the SI, as powers of ten.
const PREFIXES: &[(&str, i8)] = &[
    ("da", 1),
    ("h", 2),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
    ("Z", 21),
    ("Y", 24),
    ("d", -1),
    ("c", -2),
    ("m", -3),
    ("u", -6),
    ("µ", -6),
    ("μ", -6),
    ("n", -9),
    ("p", -12),
    ("f", -15),
    ("a", -18),
    ("z", -21),
    ("y", -24),
];

/// The messages to numbers that answer quantities, with the units they mean. A test keeps the kernel's to these.
pub const WORDS: &[(&[&str], &str)] = &[
    (&["metre", "metres", "meter", "meters"], "m"),
    (&["millimetre", "millimetres", "millimeter", "millimeters"], "mm"),
    (&["centimetre", "centimetres", "centimeter", "centimeters"], "cm"),
    (&["kilometre", "kilometres", "kilometer", "kilometers"], "km"),
    (&["squareMetre", "squareMetres", "squareMeter", "squareMeters"], "m2"),
    (&["hectare", "hectares"], "ha"),
    (&["cubicMetre", "cubicMetres", "cubicMeter", "cubicMeters"], "m3"),
    (&["litre", "litres", "liter", "liters"], "L"),
    (&["millilitre", "millilitres", "milliliter", "milliliters"], "mL"),
    (&["gram", "grams"], "g"),
    (&["milligram", "milligrams"], "mg"),
    (&["kilogram", "kilograms"], "kg"),
    (&["tonne", "tonnes"], "t"),
    (&["kelvin"], "K"),
    (&["celsius"], "degC"),
    (&["fahrenheit"], "degF"),
    (&["pascal", "pascals"], "Pa"),
    (&["hectopascal", "hectopascals"], "hPa"),
    (&["kilopascal", "kilopascals"], "kPa"),
    (&["megapascal", "megapascals"], "MPa"),
    (&["bar", "bars"], "bar"),
    (&["millibar", "millibars"], "mbar"),
    (&["metrePerSecond", "metresPerSecond", "meterPerSecond", "metersPerSecond"], "m/s"),
    (&["kilometrePerHour", "kilometresPerHour", "kilometerPerHour", "kilometersPerHour"], "km/h"),
    (&["knot", "knots"], "kn"),
    (&["cubicMetrePerHour", "cubicMetresPerHour", "cubicMeterPerHour", "cubicMetersPerHour"], "m3/h"),
    (&["cubicMetrePerSecond", "cubicMetresPerSecond", "cubicMeterPerSecond", "cubicMetersPerSecond"], "m3/s"),
    (&["litrePerMinute", "litresPerMinute", "literPerMinute", "litersPerMinute"], "L/min"),
    (&["litrePerSecond", "litresPerSecond", "literPerSecond", "litersPerSecond"], "L/s"),
    (&["kilogramPerSecond", "kilogramsPerSecond"], "kg/s"),
    (&["kilogramPerHour", "kilogramsPerHour"], "kg/h"),
    (&["hertz"], "Hz"),
    (&["kilohertz"], "kHz"),
    (&["megahertz"], "MHz"),
    (&["revolution", "revolutions"], "rev"),
    (&["revolutionPerMinute", "revolutionsPerMinute"], "rev/min"),
    (&["degree", "degrees"], "deg"),
    (&["radian", "radians"], "rad"),
    (&["newton", "newtons"], "N"),
    (&["kilonewton", "kilonewtons"], "kN"),
    (&["newtonMetre", "newtonMetres", "newtonMeter", "newtonMeters"], "N*m"),
    (&["joule", "joules"], "J"),
    (&["kilojoule", "kilojoules"], "kJ"),
    (&["megajoule", "megajoules"], "MJ"),
    (&["wattHour", "wattHours"], "Wh"),
    (&["kilowattHour", "kilowattHours"], "kWh"),
    (&["megawattHour", "megawattHours"], "MWh"),
    (&["watt", "watts"], "W"),
    (&["milliwatt", "milliwatts"], "mW"),
    (&["kilowatt", "kilowatts"], "kW"),
    (&["megawatt", "megawatts"], "MW"),
    (&["gigawatt", "gigawatts"], "GW"),
    (&["voltAmpere", "voltAmperes"], "VA"),
    (&["kilovoltAmpere", "kilovoltAmperes"], "kVA"),
    (&["ampere", "amperes"], "A"),
    (&["milliampere", "milliamperes"], "mA"),
    (&["ampereHour", "ampereHours"], "Ah"),
    (&["coulomb", "coulombs"], "C"),
    (&["volt", "volts"], "V"),
    (&["millivolt", "millivolts"], "mV"),
    (&["kilovolt", "kilovolts"], "kV"),
    (&["ohm", "ohms"], "Ohm"),
    (&["farad", "farads"], "F"),
    (&["henry", "henries"], "H"),
    (&["tesla", "teslas"], "T"),
    (&["lux"], "lx"),
    (&["lumen", "lumens"], "lm"),
    (&["mole", "moles"], "mol"),
    (&["percent"], "%"),
    (&["ppm"], "ppm"),
];

/// The messages to numbers that answer durations, in nanoseconds.
pub const DURATIONS: &[(&[&str], i64)] = &[
    (&["nanosecond", "nanoseconds"], 1),
    (&["microsecond", "microseconds"], 1_000),
    (&["millisecond", "milliseconds"], 1_000_000),
    (&["second", "seconds"], 1_000_000_000),
    (&["minute", "minutes"], 60 * 1_000_000_000),
    (&["hour", "hours"], 3_600 * 1_000_000_000),
    (&["day", "days"], 86_400 * 1_000_000_000),
    (&["week", "weeks"], 7 * 86_400 * 1_000_000_000),
];

/// The unit that a message to a number means.
pub fn of_word(word: &str) -> Option<&'static str> {
    WORDS.iter().find(|(words, _)| words.contains(&word)).map(|(_, unit)| *unit)
}

/// The nanoseconds that a message to a number means.
pub fn duration_of_word(word: &str) -> Option<i64> {
    DURATIONS.iter().find(|(words, _)| words.contains(&word)).map(|(_, unit_ns)| *unit_ns)
}

/// What a dimension is called.
const NAMES: &[(Dimension, &str)] = &[
    (RATIO, "a ratio"),
    (LENGTH, "a length"),
    (AREA, "an area"),
    (VOLUME, "a volume"),
    (MASS, "a mass"),
    (TIME, "a time"),
    (CURRENT, "a current"),
    (TEMPERATURE, "a temperature"),
    (AMOUNT, "an amount of substance"),
    (LUMINOUS, "a luminous intensity"),
    (ANGLE, "an angle"),
    (SPEED, "a speed"),
    ([1, 0, -2, 0, 0, 0, 0, 0], "an acceleration"),
    (FREQUENCY, "a frequency"),
    (TURNING, "a speed of rotation"),
    (FORCE, "a force"),
    (PRESSURE, "a pressure"),
    (ENERGY, "an energy"),
    (POWER, "a power"),
    ([3, 0, -1, 0, 0, 0, 0, 0], "a flow"),
    ([0, 1, -1, 0, 0, 0, 0, 0], "a flow of mass"),
    ([-3, 1, 0, 0, 0, 0, 0, 0], "a density"),
    (CHARGE, "a charge"),
    (VOLTAGE, "a voltage"),
    (RESISTANCE, "a resistance"),
    (CONDUCTANCE, "a conductance"),
    (CAPACITANCE, "a capacitance"),
    (FLUX, "a magnetic flux"),
    (FLUX_DENSITY, "a magnetic flux density"),
    (INDUCTANCE, "an inductance"),
    (ILLUMINANCE, "an illuminance"),
    (DOSE, "a dose"),
    (CATALYSIS, "a catalytic activity"),
];

/// The base units, in the order of [`Dimension`].
const BASE: [&str; 8] = ["m", "kg", "s", "A", "K", "mol", "cd", "rev"];

/// What `dimension` is called; its base units where it has no name.
pub fn dimension_name(dimension: Dimension) -> String {
    if let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == dimension) {
        return (*name).to_owned();
    }
    Unit::base_of(dimension).to_string()
}

/// A symbol, with a prefix or without.
fn symbol(text: &str) -> Option<(&'static Row, i8)> {
    let find = |text: &str| ROWS.iter().find(|row| row.symbol == text || row.others.contains(&text));
    if let Some(row) = find(text) {
        return Some((row, 0));
    }
    PREFIXES.iter().find_map(|(prefix, power)| {
        let row = find(text.strip_prefix(prefix)?).filter(|row| row.prefixes)?;
        Some((row, *power))
    })
}

/// How many symbols a unit has at most, and how high an exponent is.
const TERMS_MAX: usize = 16;
const EXPONENT_MAX: i8 = 24;

impl Unit {
    /// The unit of no dimension: one.
    pub fn one() -> Unit {
        Unit { terms: Vec::new(), factor: Exact::ONE, offset: Exact::ZERO, dimension: RATIO }
    }

    /// The product of base units that measures `dimension`.
    pub fn base_of(dimension: Dimension) -> Unit {
        let terms = BASE.iter().zip(dimension).filter(|(_, exponent)| *exponent != 0);
        let terms = terms.map(|(symbol, exponent)| ((*symbol).to_owned(), exponent)).collect();
        Unit { terms, factor: Exact::ONE, offset: Exact::ZERO, dimension }
    }

    /// The unit that `text` writes. `None`: there is none.
    pub fn parse(text: &str) -> Option<Unit> {
        let mut unit = Unit::one();
        if text.is_empty() {
            return None;
        }
        let mut sign = 1;
        let mut rest = text;
        loop {
            let end = rest.find(['*', '·', '/']).unwrap_or(rest.len());
            let (term, behind) = rest.split_at(end);
            if term != "1" {
                let digits = term.trim_end_matches(|c: char| c.is_ascii_digit());
                let digits = digits.strip_suffix('-').filter(|_| digits.len() < term.len()).unwrap_or(digits);
                // `mH2O` ends in a letter, and nothing else has a digit inside.
                let (name, exponent) = match term.split_at(digits.len()) {
                    (name, "") => (name, 1),
                    (name, exponent) => (name, exponent.parse::<i8>().ok()?),
                };
                unit = unit.times(&Unit::of_symbol(name)?.power(exponent.checked_mul(sign)?)?)?;
            }
            let Some(operator) = behind.chars().next() else { break };
            sign = if operator == '/' { -1 } else { 1 };
            rest = &behind[operator.len_utf8()..];
        }
        Some(unit)
    }

    fn of_symbol(text: &str) -> Option<Unit> {
        let (row, power) = symbol(text)?;
        let ten = Exact { numerator: 10, denominator: 1 };
        let factor = Exact::new(row.factor.0, row.factor.1)?.times(ten.power(power)?)?;
        let offset = Exact::new(row.offset.0, row.offset.1)?;
        Some(Unit { terms: vec![(text.to_owned(), 1)], factor, offset, dimension: row.dimension })
    }

    /// A unit of so many of this one, which has no name. `None`: past what fits.
    pub fn scaled(&self, factor: Exact) -> Option<Unit> {
        Some(Unit { factor: self.factor.times(factor)?, ..self.clone() })
    }

    /// What turns a value of this unit into one of `to`: a factor, and then a term. `None`: they measure different things,
    /// or it is past what fits.
    pub fn conversion(&self, to: &Unit) -> Option<(Exact, Exact)> {
        (self.dimension == to.dimension).then_some(())?;
        let zero = self.offset.minus(to.offset)?.over(to.factor)?;
        Some((self.factor.over(to.factor)?, zero))
    }

    /// Whether its zero lies elsewhere than that of others of its dimension.
    pub fn is_scale(&self) -> bool {
        self.offset != Exact::ZERO
    }

    fn power(&self, exponent: i8) -> Option<Unit> {
        if exponent == 1 {
            return Some(self.clone());
        }
        if self.is_scale() || exponent == 0 || !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent) {
            return None;
        }
        let mut dimension = self.dimension;
        for power in &mut dimension {
            *power = power.checked_mul(exponent)?;
        }
        let terms = self.terms.iter().map(|(symbol, power)| Some((symbol.clone(), power.checked_mul(exponent)?)));
        let terms = terms.collect::<Option<Vec<_>>>()?;
        Some(Unit { terms, factor: self.factor.power(exponent)?, offset: Exact::ZERO, dimension })
    }

    /// The product. `None`: one is a scale, which has none, or it is past what a unit can be.
    pub fn times(&self, other: &Unit) -> Option<Unit> {
        if self.terms.is_empty() || other.terms.is_empty() {
            return Some(if self.terms.is_empty() { other.clone() } else { self.clone() });
        }
        if self.is_scale() || other.is_scale() {
            return None;
        }
        let mut terms = self.terms.clone();
        for (symbol, exponent) in &other.terms {
            match terms.iter_mut().find(|(known, _)| known == symbol) {
                Some((_, sum)) => *sum = sum.checked_add(*exponent)?,
                None => terms.push((symbol.clone(), *exponent)),
            }
        }
        terms.retain(|(_, exponent)| *exponent != 0);
        let mut dimension = self.dimension;
        for (sum, exponent) in dimension.iter_mut().zip(other.dimension) {
            *sum = sum.checked_add(exponent)?;
        }
        let fits = terms.len() <= TERMS_MAX && terms.iter().all(|(_, exponent)| exponent.abs() <= EXPONENT_MAX);
        let factor = self.factor.times(other.factor)?;
        fits.then_some(Unit { terms, factor, offset: Exact::ZERO, dimension })
    }

    /// The quotient, as [`Unit::times`].
    pub fn over(&self, other: &Unit) -> Option<Unit> {
        self.times(&other.power(-1)?)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&written(self.terms.iter().map(|(symbol, exponent)| (symbol.as_str(), *exponent))))
    }
}

/// Products first, then what they are divided by.
fn written<'a>(terms: impl Iterator<Item = (&'a str, i8)>) -> String {
    let (above, below): (Vec<_>, Vec<_>) = terms.partition(|(_, exponent)| *exponent > 0);
    let term = |(symbol, exponent): &(&str, i8)| match exponent.unsigned_abs() {
        1 => (*symbol).to_owned(),
        power => format!("{symbol}{power}"),
    };
    let mut text = above.iter().map(term).collect::<Vec<_>>().join("*");
    if text.is_empty() {
        text.push('1');
    }
    for one in &below {
        text.push('/');
        text.push_str(&term(one));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many `to` one `from` is.
    fn ratio(from: &str, to: &str) -> (i128, i128) {
        let unit = |text| Unit::parse(text).unwrap_or_else(|| panic!("{text}"));
        let (from, to) = (unit(from), unit(to));
        assert_eq!(from.dimension, to.dimension);
        let ratio = from.factor.over(to.factor).expect("fits");
        (ratio.numerator, ratio.denominator)
    }

    #[test]
    fn factors_are_exact() {
        assert_eq!(ratio("bar", "kPa"), (100, 1));
        assert_eq!(ratio("m3/h", "L/s"), (5, 18));
        assert_eq!(ratio("kWh", "MJ"), (18, 5));
        assert_eq!(ratio("km/h", "m/s"), (5, 18));
        assert_eq!(ratio("rpm", "rev/min"), (1, 1));
        assert_eq!(ratio("deg/s", "rev/min"), (1, 6));
        assert_eq!(ratio("V*A", "W"), (1, 1));
        assert_eq!(ratio("kg*m2/s3", "W"), (1, 1));
        assert_eq!(ratio("W*s", "J"), (1, 1));
        assert_eq!(ratio("N*m", "J"), (1, 1));
        assert_eq!(ratio("V/A", "Ohm"), (1, 1));
        assert_eq!(ratio("S", "A/V"), (1, 1));
        assert_eq!(ratio("F*V", "C"), (1, 1));
        assert_eq!(ratio("H*A", "Wb"), (1, 1));
        assert_eq!(ratio("T*m2", "Wb"), (1, 1));
        assert_eq!(ratio("Ah*V", "Wh"), (1, 1));
        assert_eq!(ratio("lbf/in2", "psi"), (1, 1));
        assert_eq!(ratio("lm/m2", "lx"), (1, 1));
        assert_eq!(ratio("bbl", "gal"), (42, 1));
        assert_eq!(ratio("mi", "ft"), (5280, 1));
        assert_eq!(ratio("lb", "oz"), (16, 1));
        assert_eq!(ratio("%", "ppm"), (10_000, 1));
        assert_eq!(ratio("Torr", "atm"), (1, 760));
        assert_eq!(ratio("µm", "um"), (1, 1));
        assert_eq!(ratio("s-1", "Hz"), (1, 1));
    }

    #[test]
    fn a_temperature_is_a_point_on_a_scale() {
        let celsius = Unit::parse("degC").expect("known");
        assert!(celsius.is_scale());
        assert_eq!((celsius.offset.numerator, celsius.offset.denominator), (5463, 20));
        let fahrenheit = Unit::parse("degF").expect("known");
        // 32 degrees are the zero of the other.
        let ice = Exact { numerator: 32, denominator: 1 }.times(fahrenheit.factor).expect("fits");
        let sum = ice.numerator * fahrenheit.offset.denominator + fahrenheit.offset.numerator * ice.denominator;
        let kelvin = Exact::new(sum, ice.denominator * fahrenheit.offset.denominator);
        assert_eq!(kelvin, Some(celsius.offset));
        assert_eq!(Unit::parse("J/degC"), None);
    }

    #[test]
    fn what_is_no_unit_is_none() {
        for text in
            ["", "x", "m/", "/s", "m**s", "m0", "kmin", "m25", "kkg", "m3.5", "1000", "m--2", "µ", "degC2", "2m"]
        {
            assert_eq!(Unit::parse(text), None, "{text}");
        }
        let long = ["m"; 300].join("*");
        assert_eq!(Unit::parse(&long), None);
        assert_eq!(Unit::parse("Ym24"), None);
    }

    #[test]
    fn units_are_written_one_way() {
        for (text, written) in [
            ("m*m/s", "m2/s"),
            ("1/s", "1/s"),
            ("kg/m*s", "kg*s/m"),
            ("m/m", "1"),
            ("J/kg/K", "J/kg/K"),
            ("m·s-2", "m/s2"),
        ] {
            let unit = Unit::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(unit.to_string(), written);
            assert_eq!(Unit::parse(written).map(|unit| unit.to_string()).as_deref(), Some(written));
        }
        assert_eq!(dimension_name([1, 1, 0, 0, 0, 0, 0, -1]), "m*kg/rev");
    }

    #[test]
    fn the_table_has_no_doubles() {
        let names: Vec<&str> =
            ROWS.iter().flat_map(|row| [row.symbol].into_iter().chain(row.others.to_vec())).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name}");
            assert!(Unit::parse(name).is_some(), "{name}");
        }
        let words: Vec<&str> = WORDS.iter().flat_map(|(words, _)| words.to_vec()).collect();
        for (index, word) in words.iter().enumerate() {
            assert!(!words[..index].contains(word), "{word}");
        }
        assert!(WORDS.iter().all(|(_, unit)| Unit::parse(unit).is_some()));
    }
}
