//! Resource quantities: `100m`, `1.5Gi`, `12e6`. Grammar, rounding and canonical form are
//! upstream's (`k8s.io/apimachinery/pkg/api/resource`); amounts are exact in billionths.
//!
//! Limits: an amount must fit 128 bits of billionths (about 1.7e29 units); binary amounts are
//! capped at 2^63-1 units as upstream does.

use std::cmp::Ordering;
use std::fmt;

const NANO: i128 = 1_000_000_000;
/// Upstream caps binary quantities here.
const MAX_BINARY: i128 = i64::MAX as i128 * NANO;

/// How a quantity was written and will be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    DecimalExponent,
    BinarySi,
    DecimalSi,
}

/// Why a text is no quantity; `Display` is upstream's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    Format,
    Numeric,
    Suffix,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => {
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
            }
            Self::Numeric => "unable to parse numeric part of quantity",
            Self::Suffix => "unable to parse quantity's suffix",
        })
    }
}
impl std::error::Error for ParseError {}

/// An exact amount. Equality and order look at the amount only, not at how it is written.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Default for Quantity {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Quantity {
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    pub const fn from_units(units: i64, format: Format) -> Self {
        Self { nanos: units as i128 * NANO, format }
    }

    pub const fn from_milli(milli: i64, format: Format) -> Self {
        Self { nanos: milli as i128 * (NANO / 1000), format }
    }

    /// # Errors
    /// [`ParseError`], in upstream's words.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text == "0" {
            return Ok(Self::ZERO);
        }
        Parts::split(text)?.amount()
    }

    /// The text upstream would print for `text` after reading it: kept as written where it is
    /// already canonical (also `+5` or `05`), else the canonical form.
    ///
    /// # Errors
    /// As [`Quantity::parse`].
    pub fn normalize(text: &str) -> Result<String, ParseError> {
        if text == "0" || is_plainly_canonical(text) {
            return Ok(text.to_owned());
        }
        let parts = Parts::split(text)?;
        let amount = parts.amount()?;
        Ok(if parts.kept()? { text.to_owned() } else { amount.to_string() })
    }

    pub const fn format(&self) -> Format {
        self.format
    }

    pub const fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub const fn signum(&self) -> i128 {
        self.nanos.signum()
    }

    /// Billionths; exact.
    pub const fn nanos(&self) -> i128 {
        self.nanos
    }

    /// Whole units, rounded away from zero, saturating.
    pub fn value(&self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded away from zero, saturating.
    pub fn milli_value(&self) -> i64 {
        self.scaled(NANO / 1000)
    }

    fn scaled(&self, unit: i128) -> i64 {
        let quotient = self.nanos / unit;
        let rounded = if self.nanos % unit == 0 { quotient } else { quotient + self.nanos.signum() };
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }

    pub fn as_f64(&self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    /// Zero takes the other's format, as upstream does; saturating.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "implemented below; this one needs no import")]
    pub fn add(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }

    /// As [`Quantity::add`].
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "implemented below; this one needs no import")]
    pub fn sub(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_sub(other.nanos), format }
    }

    /// Saturating.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a factor is no quantity")]
    pub fn mul(self, factor: i64) -> Self {
        Self { nanos: self.nanos.saturating_mul(i128::from(factor)), format: self.format }
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::add(self, other)
    }
}
impl std::ops::Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self::sub(self, other)
    }
}
impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::add)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}
impl std::str::FromStr for Quantity {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: the largest suffix that leaves an integer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.nanos % NANO == 0 {
            return self.print_binary(f);
        }
        self.print_decimal(f)
    }
}

impl Quantity {
    fn print_binary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.nanos / NANO;
        let mut power = 0;
        while power < 6 && number % 1024 == 0 {
            number /= 1024;
            power += 1;
        }
        write!(f, "{number}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power])
    }

    fn print_decimal(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = self.nanos;
        let mut exponent = -9;
        // Plain suffixes end at E; exponents do not.
        let last = if self.format == Format::DecimalExponent { i32::MAX } else { 18 };
        while number % 1000 == 0 && exponent < last {
            number /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => write!(f, "{number}"),
            (Format::DecimalExponent, _) => write!(f, "{number}e{exponent}"),
            _ => write!(
                f,
                "{number}{}",
                ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][((exponent + 9) / 3) as usize]
            ),
        }
    }
}

/// The pieces of a written quantity. `whole` has no leading zeros but is never empty.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

/// What a suffix multiplies by: `base` to the `exponent`.
struct Scale {
    exponent: i32,
    format: Format,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, ParseError> {
        if text.is_empty() {
            return Err(ParseError::Format);
        }
        let (negative, rest) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let rest = rest.trim_start_matches('0');
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", rest),
        };
        let letters = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        let number = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseError::Format);
        }
        Ok(Self { negative, whole: if whole.is_empty() { "0" } else { whole }, fraction, suffix })
    }

    fn scale(&self) -> Result<Scale, ParseError> {
        let decimal = |exponent| Ok(Scale { exponent, format: Format::DecimalSi });
        let binary = |exponent| Ok(Scale { exponent, format: Format::BinarySi });
        match self.suffix {
            "n" => decimal(-9),
            "u" => decimal(-6),
            "m" => decimal(-3),
            "" => decimal(0),
            "k" => decimal(3),
            "M" => decimal(6),
            "G" => decimal(9),
            "T" => decimal(12),
            "P" => decimal(15),
            "E" => decimal(18),
            "Ki" => binary(10),
            "Mi" => binary(20),
            "Gi" => binary(30),
            "Ti" => binary(40),
            "Pi" => binary(50),
            "Ei" => binary(60),
            other => {
                let exponent =
                    other.strip_prefix(['e', 'E']).and_then(|n| n.parse().ok()).ok_or(ParseError::Suffix)?;
                Ok(Scale { exponent, format: Format::DecimalExponent })
            }
        }
    }

    /// The exact amount, rounded away from zero at billionths.
    fn amount(&self) -> Result<Quantity, ParseError> {
        let scale = self.scale()?;
        let fraction = self.fraction.trim_end_matches('0');
        let mut number: i128 =
            format!("{}{fraction}", self.whole).parse().map_err(|_| ParseError::Numeric)?;
        let mut power = 9 - fraction.len() as i32;
        if scale.format == Format::BinarySi {
            number = number.checked_mul(1 << scale.exponent).unwrap_or(i128::MAX);
        } else {
            power = power.saturating_add(scale.exponent);
        }
        let mut nanos = shift(number, power).ok_or(ParseError::Numeric)?;
        let mut format = scale.format;
        if format == Format::BinarySi {
            nanos = nanos.min(MAX_BINARY);
            if nanos > 0 && nanos < NANO {
                format = Format::DecimalSi;
            }
        }
        Ok(Quantity { nanos: if self.negative { -nanos } else { nanos }, format })
    }

    /// Upstream's test for "already canonical": then the text is kept as it was written.
    fn kept(&self) -> Result<bool, ParseError> {
        let scale = self.scale()?;
        let digits = (self.whole.len() + self.fraction.len()) as i32;
        // 18 decimal digits always fit 63 bits; 15 before a binary shift.
        let (precision, exponent) = match scale.format {
            Format::BinarySi if !self.fraction.is_empty() => return Ok(false),
            Format::BinarySi => (15 - digits - (scale.exponent as f32 * 3.0 / 10.0) as i32 - 1, 0),
            _ => (18 - digits, scale.exponent.saturating_sub(self.fraction.len() as i32)),
        };
        if precision < 0 || exponent < -9 {
            return Ok(false);
        }
        let shifted = format!("{}{}", self.whole, self.fraction);
        let number: i64 = shifted.parse().map_err(|_| ParseError::Numeric)?;
        Ok(match scale.format {
            Format::BinarySi => scale.exponent % 10 == 0 && number & 7 != 0,
            _ => exponent % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0'),
        })
    }
}

/// The common case without arithmetic: a few digits and a suffix, nothing to shorten. Saying no
/// only costs time.
fn is_plainly_canonical(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if number.is_empty() || number.starts_with('0') {
        return false;
    }
    match suffix {
        "" | "m" | "k" | "M" | "G" | "T" => digits <= 15 && !number.ends_with("000"),
        "Ki" | "Mi" | "Gi" => digits <= 5 && number.parse::<u32>().is_ok_and(|n| n % 1024 != 0),
        _ => false,
    }
}

/// `number * 10^power`, rounded up; `None` if it does not fit.
fn shift(number: i128, power: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    if power >= 0 {
        return number.checked_mul(10i128.checked_pow(power.unsigned_abs())?);
    }
    let Some(divisor) = 10i128.checked_pow(power.unsigned_abs()) else { return Some(1) };
    Some(number / divisor + i128::from(number % divisor != 0))
}

#[cfg(test)]
mod tests;
