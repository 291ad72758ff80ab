//! `resource.Quantity`: fixed-point numbers with a suffix, kept in the family of suffixes they came with.
//!
//! A quantity is `mantissa × 10^scale`. Values finer than a nano are rounded up, away from zero, as the API promises
//! ("if you ask for some, you get some"). The mantissa holds 38 digits; what would need more is rounded the same way.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

/// Ten to this power is the smallest step of a quantity.
const NANO: i32 = -9;
/// A quantity in binary suffixes is capped here, as Go's is.
const BINARY_MAX: i128 = i64::MAX as i128;
/// Most digits of a mantissa that are kept exactly: one less than i128 has, so that sums do not overflow.
const DIGITS_MAX: usize = 37;
/// Exponents beyond this are no quantity of anything; bounding them bounds the work of a comparison.
const EXPONENT_MAX: i64 = 1 << 30;

/// The suffixes a quantity is printed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Scientific: `12e6`.
    DecimalExponent,
    /// Powers of 1024: `12Mi`.
    BinarySi,
    /// Powers of 1000: `12M`, `500m`.
    DecimalSi,
}

/// Why a text is not a quantity; prints as the server's errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text is not a number followed by a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The text before the suffix is not a number.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is not one of the known ones.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount of a resource. Compares and adds by value; the format only matters for printing.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Invariant: not a multiple of ten unless zero; zero has scale 0.
    mantissa: i128,
    /// Invariant: at least [`NANO`].
    scale: i32,
    format: Format,
}

impl Quantity {
    /// The quantity zero.
    pub const ZERO: Quantity = Quantity { mantissa: 0, scale: 0, format: Format::DecimalSi };

    /// A whole number.
    pub fn from_i64(value: i64, format: Format) -> Self {
        Quantity::normalized(i128::from(value), 0, format)
    }

    /// A number of thousandths.
    pub fn from_millis(millis: i64, format: Format) -> Self {
        Quantity::normalized(i128::from(millis), -3, format)
    }

    /// Parses a quantity such as `1`, `0.5`, `500m`, `1.5Gi`, `1e3`.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let parts = Parts::split(text)?;
        let (radix, exponent, format) = interpret_suffix(parts.suffix)?;
        let (mut mantissa, dropped) = digits_to_mantissa(parts.whole, parts.fraction)?;
        if mantissa == 0 {
            return Ok(Quantity { format, ..Quantity::ZERO });
        }
        let fraction_digits = i64::try_from(parts.fraction.len()).map_err(|_| QuantityError::Numeric)?;
        let mut scale = i64::try_from(dropped).map_err(|_| QuantityError::Numeric)? - fraction_digits;
        match radix {
            Radix::Ten => scale += exponent,
            Radix::Two => (mantissa, scale) = shift_left(mantissa, scale, exponent),
        }
        let mut quantity = Quantity::normalized(mantissa, clamp_scale(scale), format);
        if format == Format::BinarySi {
            if quantity.cmp(&Quantity::from_i64(i64::MAX, format)) == Ordering::Greater {
                quantity = Quantity::normalized(BINARY_MAX, 0, format);
            } else if quantity.scale < 0 && quantity.cmp(&Quantity::from_i64(1, format)) == Ordering::Less {
                // Less than one cannot be said in powers of 1024.
                quantity.format = Format::DecimalSi;
            }
        }
        if parts.negative {
            quantity.mantissa = -quantity.mantissa;
        }
        Ok(quantity)
    }

    /// The family of suffixes this quantity prints with.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the value is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The value in whole units, rounded away from zero; saturates at the bounds of `i64`.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// The value in thousandths, rounded away from zero; saturates at the bounds of `i64`.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// The value in units of 10^`scale`, rounded away from zero; saturates at the bounds of `i64`.
    pub fn scaled_value(&self, scale: i32) -> i64 {
        let (value, _) = rescale(self.mantissa, self.scale, scale);
        value.map_or(if self.mantissa < 0 { i64::MIN } else { i64::MAX }, |v| {
            i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX })
        })
    }

    /// The value as `i64` if it is a whole number that fits.
    pub fn as_i64(&self) -> Option<i64> {
        match rescale(self.mantissa, self.scale, 0) {
            (Some(value), true) => i64::try_from(value).ok(),
            _ => None,
        }
    }

    /// Rounds away from zero to a multiple of 10^`scale`; the server rounds resources of Pods to millis (-3).
    pub fn round_up(self, scale: i32) -> Self {
        if self.scale >= scale {
            return self;
        }
        match rescale(self.mantissa, self.scale, scale).0 {
            Some(value) => Quantity::normalized(value, scale, self.format),
            None => self,
        }
    }

    /// The canonical text, the one the server stores: `1` for `1000m`, `1536Mi` for `1.5Gi`.
    pub fn canonical(&self) -> String {
        self.to_string()
    }

    fn normalized(mut mantissa: i128, mut scale: i32, format: Format) -> Self {
        if mantissa == 0 {
            return Quantity { mantissa: 0, scale: 0, format };
        }
        if scale < NANO {
            // A drop of fewer digits than `rescale` can divide by always gives a value.
            mantissa = rescale(mantissa, scale, NANO).0.unwrap_or(0);
            scale = NANO;
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            scale += 1;
        }
        Quantity { mantissa, scale, format }
    }

    /// Whether `-1024 < self < 1024`, where binary suffixes say nothing.
    fn is_below_1024(&self) -> bool {
        let magnitude = Quantity { mantissa: self.mantissa.abs(), ..*self };
        magnitude.cmp(&Quantity::from_i64(1024, self.format)) == Ordering::Less
    }
}

/// The sum is in the left format, or in the right one if the left is zero.
impl Add for Quantity {
    type Output = Quantity;

    fn add(self, other: Quantity) -> Quantity {
        let format = if self.is_zero() { other.format } else { self.format };
        let (left, right, scale) = align(self, other);
        Quantity::normalized(left.saturating_add(right), scale, format)
    }
}

/// The difference is in the left format, or in the right one if the left is zero.
impl Sub for Quantity {
    type Output = Quantity;

    fn sub(self, other: Quantity) -> Quantity {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Quantity;

    fn neg(self) -> Quantity {
        Quantity { mantissa: -self.mantissa, ..self }
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
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
        let by_sign = self.sign().cmp(&other.sign());
        if by_sign != Ordering::Equal || self.mantissa == 0 {
            return by_sign;
        }
        // The position of the first digit decides, unless it is the same; then the mantissas align within i128.
        let top = |q: &Quantity| i64::from(q.scale) + i64::from(q.mantissa.unsigned_abs().ilog10());
        let magnitude = top(self).cmp(&top(other)).then_with(|| {
            let low = self.scale.min(other.scale);
            let left = pow10(self.scale - low).and_then(|p| self.mantissa.unsigned_abs().checked_mul(p));
            let right = pow10(other.scale - low).and_then(|p| other.mantissa.unsigned_abs().checked_mul(p));
            left.unwrap_or(u128::MAX).cmp(&right.unwrap_or(u128::MAX))
        });
        if self.mantissa < 0 { magnitude.reverse() } else { magnitude }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Quantity::parse(text)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        if self.format == Format::BinarySi
            && !self.is_below_1024()
            && let (Some(mut value), true) = rescale(self.mantissa, self.scale, 0)
        {
            let mut power = 0;
            while power < BINARY_SUFFIXES.len() - 1 && value % 1024 == 0 {
                value /= 1024;
                power += 1;
            }
            return write!(f, "{value}{}", BINARY_SUFFIXES[power]);
        }
        // Exponents go in threes, so that 10^4 prints as 10k.
        let mut exponent = self.scale.div_euclid(3) * 3;
        if self.format != Format::DecimalExponent {
            exponent = exponent.min(18);
        }
        let zeros = self.scale - exponent;
        write!(f, "{}", self.mantissa)?;
        for _ in 0..zeros.min(MAX_PRINTED_ZEROS) {
            f.write_str("0")?;
        }
        match (self.format, exponent) {
            (_, 0) => Ok(()),
            (Format::DecimalExponent, _) => write!(f, "e{exponent}"),
            _ => f.write_str(DECIMAL_SUFFIXES[((exponent - NANO) / 3) as usize]),
        }
    }
}

/// `1e1000000000` added to a decimal-suffix quantity must not print a gigabyte of zeros.
const MAX_PRINTED_ZEROS: i32 = 1024;

/// Suffixes of 10^-9, 10^-6 … 10^18.
const DECIMAL_SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Suffixes of 1024^0, 1024^1 … 1024^6.
const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

#[derive(Clone, Copy)]
enum Radix {
    Two,
    Ten,
}

/// The pieces of a quantity's text.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, QuantityError> {
        if text.is_empty() {
            return Err(QuantityError::Format);
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = unsigned.split_at(digits(unsigned));
        let (fraction, suffix) = match rest.strip_prefix('.') {
            Some(tail) => tail.split_at(digits(tail)),
            None => ("", rest),
        };
        let letters = suffix.bytes().take_while(|b| b"eEinumkKMGTP".contains(b)).count();
        let tail = &suffix[letters..];
        let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
        if !tail.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QuantityError::Format);
        }
        Ok(Parts { negative, whole, fraction, suffix })
    }
}

fn interpret_suffix(suffix: &str) -> Result<(Radix, i64, Format), QuantityError> {
    if let Some(index) = DECIMAL_SUFFIXES.iter().position(|&known| known == suffix) {
        return Ok((Radix::Ten, index as i64 * 3 + i64::from(NANO), Format::DecimalSi));
    }
    if let Some(index) = BINARY_SUFFIXES.iter().position(|&known| known == suffix) {
        return Ok((Radix::Two, index as i64 * 10, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError::Suffix)?;
    let exponent: i64 = exponent.parse().map_err(|_| QuantityError::Suffix)?;
    if exponent.abs() > EXPONENT_MAX {
        return Err(QuantityError::Suffix);
    }
    Ok((Radix::Ten, exponent, Format::DecimalExponent))
}

/// The number that the digits spell, and how many trailing digits were dropped (the rest is then rounded up).
fn digits_to_mantissa(whole: &str, fraction: &str) -> Result<(i128, usize), QuantityError> {
    let mut mantissa: i128 = 0;
    let mut significant = 0usize;
    let mut dropped = 0usize;
    let mut inexact = false;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if significant == DIGITS_MAX {
            dropped += 1;
            inexact |= byte != b'0';
            continue;
        }
        mantissa = mantissa * 10 + i128::from(byte - b'0');
        significant += usize::from(mantissa != 0);
    }
    Ok((mantissa + i128::from(inexact), dropped))
}

/// `mantissa × 10^scale × 2^bits`, with 10^-1 traded for factors of the mantissa where it would overflow.
fn shift_left(mut mantissa: i128, mut scale: i64, bits: i64) -> (i128, i64) {
    for _ in 0..bits {
        mantissa = match mantissa.checked_mul(2) {
            Some(doubled) => doubled,
            None => {
                scale += 1;
                (mantissa / 10 + i128::from(mantissa % 10 != 0)) * 2
            }
        };
    }
    (mantissa, scale)
}

/// `mantissa × 10^from` in units of 10^to, rounded away from zero: the value (none if it overflows) and whether it
/// is exact.
fn rescale(mantissa: i128, from: i32, to: i32) -> (Option<i128>, bool) {
    if mantissa == 0 {
        return (Some(0), true);
    }
    let power = i64::from(from) - i64::from(to);
    if power >= 0 {
        let factor = i32::try_from(power).ok().and_then(pow10).and_then(|p| i128::try_from(p).ok());
        return (factor.and_then(|p| mantissa.checked_mul(p)), true);
    }
    match i32::try_from(-power).ok().and_then(pow10).and_then(|p| i128::try_from(p).ok()) {
        Some(divisor) => {
            let remainder = mantissa % divisor;
            (Some(mantissa / divisor + if remainder == 0 { 0 } else { mantissa.signum() }), remainder == 0)
        }
        // Less than one unit, but something.
        None => (Some(mantissa.signum()), false),
    }
}

/// Both mantissas at one scale; of two values too far apart, the smaller loses its last digits.
fn align(left: Quantity, right: Quantity) -> (i128, i128, i32) {
    let low = left.scale.min(right.scale);
    if left.mantissa == 0 || right.mantissa == 0 {
        let scale = if left.mantissa == 0 { right.scale } else { left.scale };
        return (left.mantissa, right.mantissa, scale);
    }
    if let (Some(l), Some(r)) = (rescale(left.mantissa, left.scale, low).0, rescale(right.mantissa, right.scale, low).0)
    {
        return (l, r, low);
    }
    let high = left.scale.max(right.scale);
    let keep = |q: Quantity| rescale(q.mantissa, q.scale, high).0.unwrap_or(0);
    (keep(left), keep(right), high)
}

fn pow10(power: i32) -> Option<u128> {
    u32::try_from(power).ok().and_then(|power| 10u128.checked_pow(power))
}

fn clamp_scale(scale: i64) -> i32 {
    scale.clamp(-2 * EXPONENT_MAX + 1, 2 * EXPONENT_MAX - 1) as i32
}

#[cfg(test)]
mod tests;
