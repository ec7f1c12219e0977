//! The kernel beside Python: thousands of expressions of numbers, texts, collections, dates, statistics, JSON and CSV, over random inputs.
//!
//! Each pair is an expression of ours and one of Python that have to print the same. All of Python's run in one process; without
//! a `python3` that answers the test says that it was skipped. `SEED=7` draws others; what failed is said with its seed.
//! Where we differ by intent the pair says so: `nan`, `inf` and exponents print otherwise, a half is rounded away from zero.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use twintalk_compiler::{NoSources, SourceText, compile};

use super::{answer, kernel, machine};

/// What is drawn unless `SEED` says otherwise.
const SEED: u64 = 20_260_714;

/// What Python makes its answers print like ours with.
const PYTHON: &str = r"
import sys, math, json, csv, io, statistics, datetime, fractions
sys.set_int_max_str_digits(0)
F = fractions.Fraction
def show(x):
    if x is None: return 'nil'
    if x is True: return 'true'
    if x is False: return 'false'
    if isinstance(x, int): return str(x)
    if isinstance(x, F): return str(x.numerator) if x.denominator == 1 else '(%d/%d)' % (x.numerator, x.denominator)
    if isinstance(x, float):
        text = repr(x)
        if 'e' in text:
            digits, exponent = text.split('e')
            if '.' not in digits: digits += '.0'
            text = digits + 'e' + str(int(exponent))
        return text
    if isinstance(x, str): return chr(39) + x.replace(chr(39), chr(39) * 2) + chr(39)
    if isinstance(x, (list, tuple)): return '[' + ' '.join(show(y) for y in x) + ']'
    if isinstance(x, dict): return '{' + ' '.join(show(k) + ':' + show(v) for k, v in x.items()) + '}'
    raise Exception('no form for ' + repr(x))
def quo(a, b):
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q
def away(x):
    return math.floor(x + F(1, 2)) if x >= 0 else -math.floor(-x + F(1, 2))
def percentile(values, p):
    s = sorted(values); place = F(len(s) - 1) * p / 100; i = math.floor(place)
    return F(s[i]) if i == place else s[i] + (place - i) * (s[i + 1] - s[i])
def iso(d): return d.strftime('%Y-%m-%dT%H:%M:%SZ').rjust(20, '0')
def finite(text):
    x = float(text)
    if math.isinf(x): raise ValueError(text)
    return x
def constant(text): raise ValueError(text)
def loads(text):
    try:
        value = json.loads(text, parse_float=finite, parse_constant=constant)
        json.dumps(value, ensure_ascii=False).encode()
        return value
    except ValueError: return 'no JSON'
def rows(text): return list(csv.reader(io.StringIO(text, newline='')))
def table(rows):
    out = io.StringIO(newline=''); csv.writer(out).writerows(rows); return out.getvalue()
epoch = datetime.datetime(1970, 1, 1)
for line in sys.stdin:
    try: print(show(eval(json.loads(line))).replace('\\', '\\\\').replace('\n', '\\n').replace('\r', '\\r'))
    except ZeroDivisionError: print('zero')
";

/// What ours are shown with: the same forms.
const TWINTALK: &str = r#"
object Shown = (
  ----
  of: x = (
    x isDictionary ifTrue: [ ^'{' , ((x keysAndValuesCollect: [ :k :v | (self of: k) , ':' , (self of: v) ]) joinedBy: ' ') , '}' ].
    (x isCollection and: [ x isString not ]) ifTrue: [ ^'[' , ((x asArray collect: [ :each | self of: each ]) joinedBy: ' ') , ']' ].
    ^x printString
  )
  try: aBlock = ( ^[ self escaped: (self of: aBlock value) ] on: ZeroDivide do: [ :e | 'zero' ] )
  escaped: text = ( ^((text replaceAll: '\' with: '\\') replaceAll: Character lf with: '\n') replaceAll: Character cr with: '\r' )
)
"#;

/// A generator of numbers by chance, after Steele, Lea and Flood 2014 (SplitMix).
struct Dice(u64);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// From `low` to `high`, both included.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.bits() % (high - low + 1) as u64) as i64
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.between(0, of.len() as i64 - 1) as usize]
    }

    /// An integer of any size, in digits.
    fn integer(&mut self) -> String {
        let sign = if self.between(0, 2) == 0 { "-" } else { "" };
        let magnitude = match self.between(0, 5) {
            0 => self.between(0, 10).to_string(),
            1 => self.between(0, 100_000).to_string(),
            2 => (self.bits() >> 1).to_string(),
            3 => {
                let edge = *self.pick(&[1i128 << 31, 1 << 32, 1 << 53, 1 << 62, 1 << 63, 1 << 64, 1 << 100]);
                (edge + i128::from(self.between(-2, 2))).to_string()
            }
            4 => self.digits(20, 45),
            _ => self.digits(45, 200),
        };
        format!("({sign}{magnitude})")
    }

    fn digits(&mut self, least: i64, most: i64) -> String {
        let count = self.between(least, most);
        let first = self.between(1, 9).to_string();
        (1..count).fold(first, |text, _| text + &self.between(0, 9).to_string())
    }

    /// A float: any bits, or a plain one.
    fn float(&mut self) -> f64 {
        loop {
            let number = match self.between(0, 3) {
                0 => f64::from_bits(self.bits()),
                1 => self.between(-1_000_000, 1_000_000) as f64 / 1000.0,
                2 => self.between(-99_999, 99_999) as f64 * 10f64.powi(self.between(-30, 30) as i32),
                _ => self.bits() as f64 / 1e9,
            };
            if number.is_finite() {
                return number;
            }
        }
    }

    /// A text of letters, blanks and others, some of more bytes than one.
    fn text(&mut self) -> String {
        let letters: Vec<char> = "abcABCxyz  ,;.-'\"\\01239äßéΣж漢😀".chars().collect();
        (0..self.between(0, 14)).map(|_| *self.pick(&letters)).collect()
    }

    fn integers(&mut self, least: i64) -> Vec<i64> {
        (0..self.between(least, 12)).map(|_| self.between(-50, 50)).collect()
    }
}

/// A text as a literal of ours.
fn ours(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text as a literal of Python's.
fn pythons(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        let _ = write!(literal, "\\U{:08x}", u32::from(character));
    }
    literal + "'"
}

fn our_array(numbers: &[i64]) -> String {
    format!("#({})", numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" "))
}

/// A float as both read it.
fn float(number: f64) -> (String, String) {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("the form has an exponent");
    let point = if digits.contains('.') { "" } else { ".0" };
    (format!("({digits}{point}e{exponent})"), format!("({number:e})"))
}

/// An expression of ours and Python's for the same.
type Pair = (String, String);

fn integers(dice: &mut Dice) -> Pair {
    let (a, b) = (dice.integer(), dice.integer());
    let (small, shift, base) = (dice.between(0, 40), dice.between(0, 200), dice.between(2, 36));
    let forms = [
        (format!("{a} + {b}"), format!("{a} + {b}")),
        (format!("{a} - {b}"), format!("{a} - {b}")),
        (format!("{a} * {b}"), format!("{a} * {b}")),
        (format!("{a} // {b}"), format!("{a} // {b}")),
        (format!("{a} \\\\ {b}"), format!("{a} % {b}")),
        (format!("{a} quo: {b}"), format!("quo({a}, {b})")),
        (format!("{a} rem: {b}"), format!("{a} - quo({a}, {b}) * {b}")),
        (format!("{a} / {b}"), format!("F({a}, {b})")),
        (format!("({a} / {b}) rounded"), format!("away(F({a}, {b}))")),
        (format!("({a} / {b}) floor"), format!("math.floor(F({a}, {b}))")),
        (format!("({a} / {b}) ceiling"), format!("math.ceil(F({a}, {b}))")),
        (format!("({a} / {b}) truncated"), format!("math.trunc(F({a}, {b}))")),
        (format!("({a} / {b}) asFloat"), format!("float(F({a}, {b}))")),
        (format!("({a} / {b}) + ({b} / 7)"), format!("F({a}, {b}) + F({b}, 7)")),
        (format!("{a} gcd: {b}"), format!("math.gcd({a}, {b})")),
        (format!("{a} lcm: {b}"), format!("math.lcm({a}, {b})")),
        (format!("{a} raisedTo: {small}"), format!("{a} ** {small}")),
        (format!("{a} bitAnd: {b}"), format!("{a} & {b}")),
        (format!("{a} bitOr: {b}"), format!("{a} | {b}")),
        (format!("{a} bitXor: {b}"), format!("{a} ^ {b}")),
        (format!("{a} bitInvert"), format!("~{a}")),
        (format!("{a} << {shift}"), format!("{a} << {shift}")),
        (format!("{a} >> {shift}"), format!("{a} >> {shift}")),
        (format!("{a} bitAt: {}", shift + 1), format!("{a} >> {shift} & 1")),
        (format!("{a} abs bitCount"), format!("bin(abs({a})).count('1')")),
        (format!("{a} bitLength"), format!("abs({a}).bit_length()")),
        (format!("{a} abs sqrtFloor"), format!("math.isqrt(abs({a}))")),
        (format!("{a} abs raisedTo: {small} modulo: {b} abs + 1"), format!("pow(abs({a}), {small}, abs({b}) + 1)")),
        (format!("{a} < {b}"), format!("{a} < {b}")),
        (format!("{a} = {b}"), format!("{a} == {b}")),
        (format!("{a} asFloat"), format!("float({a})")),
        (format!("{a} abs numberOfDigits"), format!("len(str(abs({a})))")),
        (format!("{a} printString size"), format!("len(str({a}))")),
        (format!("Integer readFrom: ({a} printString: {base}) base: {base}"), a.clone()),
        (format!("{a} asStringWithCommas"), format!("format({a}, ',')")),
        (format!("{small} factorial"), format!("math.factorial({small})")),
        (format!("{shift} binomial: {small}"), format!("math.comb({shift}, {small})")),
    ];
    dice.pick(&forms).clone()
}

fn floats(dice: &mut Dice) -> Pair {
    let (x, y) = (dice.float(), dice.float());
    let ((a, pa), (b, pb)) = (float(x), float(y));
    let places = dice.between(0, 6);
    let integer = dice.integer();
    let mut forms = vec![
        (a.clone(), pa.clone()),
        (format!("{a} printString asNumber"), pa.clone()),
        (format!("{a} + {b}"), format!("{pa} + {pb}")),
        (format!("{a} - {b}"), format!("{pa} - {pb}")),
        (format!("{a} * {b}"), format!("{pa} * {pb}")),
        (format!("{a} / {b}"), format!("{pa} / {pb}")),
        (format!("{a} < {b}"), format!("{pa} < {pb}")),
        (format!("{a} < {integer}"), format!("{pa} < {integer}")),
        (format!("{a} asExact"), format!("F({pa})")),
        (format!("{a} truncated"), format!("math.trunc({pa})")),
        (format!("{a} floor"), format!("math.floor({pa})")),
        (format!("{a} ceiling"), format!("math.ceil({pa})")),
        (format!("{a} rounded"), format!("away(F({pa}))")),
        (format!("{a} abs sqrt"), format!("math.sqrt(abs({pa}))")),
        (format!("{a} successor"), format!("math.nextafter({pa}, math.inf)")),
        (format!("{a} predecessor"), format!("math.nextafter({pa}, -math.inf)")),
        (format!("{a} negated"), format!("-{pa}")),
        (format!("{a} asMinimalDecimalFraction"), format!("F(repr({pa}))")),
        (format!("{a} asJson"), format!("show({pa})")),
        (format!("JSON parse: {}", ours(&format!("{x:e}"))), pa.clone()),
    ];
    if x.abs() < 1e15 {
        let exact = format!("away(F({pa}) * 10 ** {places})");
        forms.push((
            format!("(({a} printDecimals: {places}) , 's') asNumber asExact"),
            format!("F({exact}, 10 ** {places})"),
        ));
        forms.push((format!("{a} round: {places}"), format!("float(F({exact}, 10 ** {places}))")));
    }
    dice.pick(&forms).clone()
}

fn texts(dice: &mut Dice) -> Pair {
    let (s, t) = (dice.text(), dice.text());
    let part: String = {
        let letters: Vec<char> = s.chars().collect();
        let start = dice.between(0, letters.len() as i64) as usize;
        letters[start..].iter().take(dice.between(1, 2) as usize).collect()
    };
    let part = if part.is_empty() { "a".to_owned() } else { part };
    let (a, b, p) = (ours(&s), ours(&t), ours(&part));
    let (pa, pb, pp) = (pythons(&s), pythons(&t), pythons(&part));
    let size = s.chars().count() as i64;
    let (start, width) = (dice.between(1, size + 1), dice.between(0, 20));
    let stop = dice.between(start - 1, size);
    let forms = [
        (format!("{a} , {b}"), format!("{pa} + {pb}")),
        (format!("{a} size"), format!("len({pa})")),
        (format!("{a} byteSize"), format!("len({pa}.encode())")),
        (format!("{a} reversed"), format!("{pa}[::-1]")),
        (format!("{a} asUppercase"), format!("{pa}.upper()")),
        (format!("{a} asLowercase"), format!("{pa}.lower()")),
        (format!("{a} trim"), format!("{pa}.strip()")),
        (format!("{a} trimLeft"), format!("{pa}.lstrip()")),
        (format!("{a} trimRight"), format!("{pa}.rstrip()")),
        (format!("{a} words"), format!("{pa}.split()")),
        (format!("{a} split: {p}"), format!("{pa}.split({pp})")),
        (format!("{a} replaceAll: {p} with: {b}"), format!("{pa}.replace({pp}, {pb})")),
        (format!("{a} replaceFirst: {p} with: {b}"), format!("{pa}.replace({pp}, {pb}, 1)")),
        (format!("{a} occurrencesOfString: {p}"), format!("{pa}.count({pp})")),
        (format!("{a} indexOfSubstring: {p}"), format!("{pa}.find({pp}) + 1")),
        (format!("{a} lastIndexOfSubstring: {p}"), format!("{pa}.rfind({pp}) + 1")),
        (format!("{a} startsWith: {p}"), format!("{pa}.startswith({pp})")),
        (format!("{a} endsWith: {p}"), format!("{pa}.endswith({pp})")),
        (format!("{a} withoutSuffix: {p}"), format!("{pa}.removesuffix({pp})")),
        (format!("{a} copyFrom: {start} to: {stop}"), format!("{pa}[{start} - 1:{stop}]")),
        (format!("{a} < {b}"), format!("{pa} < {pb}")),
        (format!("{a} = {b}"), format!("{pa} == {pb}")),
        (format!("{a} padLeftTo: {width} with: $*"), format!("{pa}.rjust({width}, '*')")),
        (format!("{a} padRightTo: {width} with: $*"), format!("{pa}.ljust({width}, '*')")),
        (format!("{a} repeat: 3"), format!("{pa} * 3")),
        (format!("{b} join: ({a} split: {p})"), format!("{pb}.join({pa}.split({pp}))")),
        (format!("{a} asArray collect: [ :each | each codePoint ]"), format!("[ord(c) for c in {pa}]")),
        (format!("{a} utf8Encoded"), format!("list({pa}.encode())")),
        (format!("{a} asSet size"), format!("len(set({pa}))")),
        (format!("{a} asJson"), format!("json.dumps({pa}, ensure_ascii=False)")),
        (format!("JSON parse: {a} asJson"), pa.clone()),
        (format!("CSV parse: (CSV write: {{{{{a}. {b}}}. {{{p}}}}})"), format!("rows(table([[{pa}, {pb}], [{pp}]]))")),
    ];
    dice.pick(&forms).clone()
}

fn collections(dice: &mut Dice) -> Pair {
    let (x, y) = (dice.integers(1), dice.integers(0));
    let (a, b) = (our_array(&x), our_array(&y));
    let (pa, pb) = (format!("{x:?}"), format!("{y:?}"));
    let (count, percent) = (dice.between(1, 4), dice.between(0, 100));
    let zipped = our_array(&x.iter().rev().copied().collect::<Vec<_>>());
    let forms = [
        (format!("{a} sorted"), format!("sorted({pa})")),
        (format!("{a} sorted: [ :p :q | p >= q ]"), format!("sorted({pa}, reverse=True)")),
        (format!("{a} sorted: [ :each | each \\\\ 5 ]"), format!("sorted({pa}, key=lambda v: v % 5)")),
        (format!("{a} , {b}"), format!("{pa} + {pb}")),
        (format!("{a} reversed"), format!("{pa}[::-1]")),
        (format!("{a} sum"), format!("sum({pa})")),
        (format!("{a} product"), format!("math.prod({pa})")),
        (format!("{a} max"), format!("max({pa})")),
        (format!("{a} min"), format!("min({pa})")),
        (format!("{a} collect: [ :each | each squared ]"), format!("[v * v for v in {pa}]")),
        (format!("{a} select: [ :each | each even ]"), format!("[v for v in {pa} if v % 2 == 0]")),
        (format!("{a} indexOf: {a} last"), format!("{pa}.index({pa}[-1]) + 1")),
        (format!("{a} asSet asArray"), format!("list(dict.fromkeys({pa}))")),
        (format!("({a} intersection: {b}) asSet sorted"), format!("sorted(set({pa}) & set({pb}))")),
        (format!("({a} union: {b}) sorted"), format!("sorted(set({pa}) | set({pb}))")),
        (format!("({a} symmetricDifference: {b}) sorted"), format!("sorted(set({pa}) ^ set({pb}))")),
        (format!("{a} zip: {zipped}"), format!("list(zip({pa}, {pa}[::-1]))")),
        (format!("{a} take: {count}"), format!("{pa}[:{count}]")),
        (format!("{a} drop: {count}"), format!("{pa}[{count}:]")),
        (format!("{a} slicesOf: {count}"), format!("[{pa}[i:i + {count}] for i in range(0, len({pa}), {count})]")),
        (format!("{a} windowsOf: {count}"), format!("[{pa}[i:i + {count}] for i in range(len({pa}) - {count} + 1)]")),
        (
            format!("{a} scan: 0 into: [ :sum :each | sum + each ]"),
            format!("list(__import__('itertools').accumulate({pa}))"),
        ),
        (
            format!("{a} groupBy: [ :each | each \\\\ 3 ]"),
            format!("(lambda d: [d.setdefault(v % 3, []).append(v) for v in {pa}] and d)({{}})"),
        ),
        (format!("{a} average"), format!("F(sum({pa}), len({pa}))")),
        (format!("{a} median"), format!("statistics.median([F(v) for v in {pa}])")),
        (format!("{a} variance"), format!("statistics.pvariance([F(v) for v in {pa}])")),
        (format!("({a} , #(1 2)) sampleVariance"), format!("statistics.variance([F(v) for v in {pa} + [1, 2]])")),
        (format!("({a} , #(1 2)) mode"), format!("statistics.mode({pa} + [1, 2])")),
        (format!("{a} percentile: {percent}"), format!("percentile({pa}, {percent})")),
        (format!("JSON parse: {a} asJson"), format!("json.loads(json.dumps({pa}))")),
        (format!("JSON parse: {}", ours(&format!("{{\"k\": {pa}, \"l\": {pb}}}"))), format!("dict(k={pa}, l={pb})")),
        (format!("(1 to: {percent} by: {count}) asArray"), format!("list(range(1, {percent} + 1, {count}))")),
    ];
    dice.pick(&forms).clone()
}

fn dates(dice: &mut Dice) -> Pair {
    let (day, second) = (dice.between(-700_000, 2_900_000), dice.between(0, 86_399));
    let days = dice.between(-10_000, 10_000);
    let seconds = day * 86_400 + second;
    let (a, pa) =
        (format!("(DateTime seconds: {seconds})"), format!("(epoch + datetime.timedelta(seconds={seconds}))"));
    let (d, pd) = (format!("({days} days + {second} seconds)"), format!("datetime.timedelta({days}, {second})"));
    let forms = [
        (format!("{a} printString"), format!("iso({pa})")),
        (format!("({a} + {d}) printString"), format!("iso({pa} + {pd})")),
        (format!("({a} - {d}) printString"), format!("iso({pa} - {pd})")),
        (format!("{{{a} year. {a} month. {a} day}}"), format!("[{pa}.year, {pa}.month, {pa}.day]")),
        (format!("{{{a} hour. {a} minute. {a} second}}"), format!("[{pa}.hour, {pa}.minute, {pa}.second]")),
        (format!("{a} dayOfWeek"), format!("{pa}.isoweekday()")),
        (format!("{a} dayOfYear"), format!("{pa}.timetuple().tm_yday")),
        (format!("{a} printString asDateTime = {a}"), "True".to_owned()),
        (format!("({a} - DateTime epoch) asSeconds"), seconds.to_string()),
        (format!("{a} isLeapYear"), format!("__import__('calendar').isleap({pa}.year)")),
        (
            format!("(DateTime daysInMonth: {a} month year: {a} year)"),
            format!("__import__('calendar').monthrange({pa}.year, {pa}.month)[1]"),
        ),
    ];
    dice.pick(&forms).clone()
}

/// A text of JSON, `depth` levels of it at most.
fn json_text(dice: &mut Dice, depth: u32) -> String {
    let blank = *dice.pick(&["", "", "", " ", "\t", "\n "]);
    let text = match dice.between(if depth == 0 { 2 } else { 0 }, 9) {
        0 => {
            let parts: Vec<String> = (0..dice.between(0, 4)).map(|_| json_text(dice, depth - 1)).collect();
            format!("[{}]", parts.join(","))
        }
        1 => {
            let parts =
                (0..dice.between(0, 4)).map(|_| format!("{}{blank}:{}", json_string(dice), json_text(dice, depth - 1)));
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        2 | 3 => json_string(dice),
        4 => dice.integer().trim_matches(['(', ')']).to_owned(),
        5 => format!("{:e}", dice.float()),
        6 => format!("{}.{}E+{}", dice.between(0, 99), dice.between(0, 999), dice.between(0, 30)),
        7 => "true".to_owned(),
        8 => "false".to_owned(),
        _ => "null".to_owned(),
    };
    format!("{blank}{text}{blank}")
}

fn json_string(dice: &mut Dice) -> String {
    let parts =
        ["a", "ü", "漢", "😀", " ", "/", "\\\"", "\\\\", "\\/", "\\b", "\\n", "\\u00e9", "\\u20ac", "\\ud83d\\ude00"];
    let text: String = (0..dice.between(0, 6)).map(|_| *dice.pick(&parts)).collect();
    format!("\"{text}\"")
}

/// JSON, every other text with a character put in, left out or replaced: both read it alike, or both refuse it.
fn json(dice: &mut Dice) -> Pair {
    let mut letters: Vec<char> = json_text(dice, 4).chars().collect();
    if dice.between(0, 1) == 0 {
        let at = dice.between(0, letters.len() as i64 - 1) as usize;
        let character =
            *dice.pick(&['"', '[', ']', '{', '}', ',', ':', '0', '1', '-', '.', 'e', 't', 'n', ' ', '\'', 'x']);
        match dice.between(0, 2) {
            0 => letters.insert(at, character),
            1 => letters[at] = character,
            _ => drop(letters.remove(at)),
        }
    }
    let text: String = letters.into_iter().collect();
    (format!("JSON parse: {} ifFail: [ 'no JSON' ]", ours(&text)), format!("loads({})", pythons(&text)))
}

/// What Python answers for each line, or `None` where there is no Python.
fn python(lines: &[String]) -> Option<Vec<String>> {
    let version = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !version.is_ok_and(|status| status.success()) {
        return None;
    }
    let child = Command::new("python3")
        .args(["-c", PYTHON])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("Python was started above");
    let mut input = child.stdin.take().expect("asked for above");
    let text: String =
        lines.iter().map(|line| format!("\"{}\"\n", line.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("Python was started");
    let written = writer.join().expect("the writer does not panic");
    assert!(output.status.success() && written.is_ok(), "Python ends with {}", output.status);
    Some(String::from_utf8(output.stdout).expect("UTF-8 was asked for").lines().map(str::to_owned).collect())
}

fn check(name: &str, count: usize, draw: fn(&mut Dice) -> Pair) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    println!("{name}: SEED={seed}");
    let mut dice = Dice(seed ^ name.len() as u64);
    let pairs: Vec<Pair> = (0..count).map(|_| draw(&mut dice)).collect();
    let lines: Vec<String> = pairs.iter().map(|(_, line)| line.clone()).collect();
    let Some(wanted) = python(&lines) else {
        println!("{name}: skipped, since there is no python3");
        return;
    };
    assert_eq!(wanted.len(), pairs.len(), "Python answers each line");
    let prelude = super::program(TWINTALK, &[kernel()]);
    let mut vm = machine(&[kernel(), &prelude]);
    let mut wrong = String::new();
    for ((expression, line), wanted) in pairs.iter().zip(&wanted) {
        let root = SourceText { name: "line".to_owned(), text: format!("Shown try: [ {expression} ]") };
        let compilation = compile(vec![root], &mut NoSources, &[kernel(), &prelude]);
        let Some(image) = compilation.image else { panic!("{expression}: {:?}", compilation.diagnostics) };
        vm.add_image(&image).unwrap_or_else(|error| panic!("{error}"));
        let found = answer(&mut vm);
        if found != format!("'{}'", wanted.replace('\'', "''")) {
            let _ = writeln!(wrong, "{expression}\n  python {line}\n  wanted {wanted}\n  found  {found}");
        }
    }
    assert!(wrong.is_empty(), "SEED={seed}\n{wrong}");
}

#[test]
fn integers_and_fractions_are_pythons() {
    check("integers", 2500, integers);
}

#[test]
fn floats_are_pythons() {
    check("floats", 1500, floats);
}

#[test]
fn texts_are_pythons() {
    check("texts", 1500, texts);
}

#[test]
fn collections_and_statistics_are_pythons() {
    check("collections", 1500, collections);
}

#[test]
fn dates_are_pythons() {
    check("dates", 600, dates);
}

#[test]
fn json_is_pythons() {
    check("json", 2000, json);
}
