//! The scalars that travel as strings: base64, times, quantities, checked and brought into canonical form as Go does.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::quantity::Quantity;
use crate::time::Timestamp;

/// `0001-01-01T00:00:00Z`, Go's zero time, in seconds of the Unix epoch.
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// The standard alphabet; like Go's, it lets the unused bits of the last character be anything.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Canonical base64 of the bytes that `text` encodes, or Go's error.
pub(super) fn base64(text: Cow<'_, str>) -> Result<String, String> {
    let shape = base64_shape(text.as_bytes()).map_err(|at| format!("illegal base64 data at input byte {at}"))?;
    if shape == Base64::Canonical {
        return Ok(text.into_owned());
    }
    let compact: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect();
    match LENIENT.decode(&compact) {
        Ok(bytes) => Ok(LENIENT.encode(bytes)),
        Err(_) => Err(format!("illegal base64 data at input byte {}", text.len())),
    }
}

#[derive(PartialEq)]
enum Base64 {
    /// Prints as it was read.
    Canonical,
    /// Has line breaks, or bits set that nothing reads.
    Other,
}

/// Checks as Go's decoder does; the error is the offset that Go reports.
fn base64_shape(text: &[u8]) -> Result<Base64, usize> {
    let symbol = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut shape = Base64::Canonical;
    let mut at = 0;
    let skip_breaks = |at: &mut usize, shape: &mut Base64| {
        while matches!(text.get(*at), Some(b'\r' | b'\n')) {
            *at += 1;
            *shape = Base64::Other;
        }
    };
    loop {
        let mut last = 0;
        for place in 0..4 {
            skip_breaks(&mut at, &mut shape);
            let Some(&byte) = text.get(at) else {
                return if place == 0 { Ok(shape) } else { Err(at - place) };
            };
            at += 1;
            if let Some(value) = symbol(byte) {
                last = value;
                continue;
            }
            if byte != b'=' || place < 2 {
                return Err(at - 1);
            }
            if place == 2 {
                skip_breaks(&mut at, &mut shape);
                match text.get(at) {
                    None => return Err(text.len()),
                    Some(b'=') => at += 1,
                    Some(_) => return Err(at - 1),
                }
            }
            skip_breaks(&mut at, &mut shape);
            if at < text.len() {
                return Err(at);
            }
            let unused_bits = if place == 2 { 0b1111 } else { 0b11 };
            return Ok(if last & unused_bits == 0 { shape } else { Base64::Other });
        }
    }
}

/// `metav1.Time`: UTC, whole seconds; `None` for Go's zero time, which is printed as unset.
pub(super) fn time(text: Cow<'_, str>) -> Result<Option<String>, String> {
    let moment = Timestamp::parse(&text).map_err(|error| error.to_string())?;
    if moment.seconds == ZERO_TIME_SECONDS && moment.nanos == 0 {
        return Ok(None);
    }
    let bytes = text.as_bytes();
    let canonical = bytes.len() == "2006-01-02T15:04:05Z".len() && bytes[10] == b'T' && bytes[19] == b'Z';
    Ok(Some(if canonical { text.into_owned() } else { moment.to_rfc3339() }))
}

/// `metav1.MicroTime`: UTC, six fraction digits; `None` for Go's zero time.
pub(super) fn micro_time(text: Cow<'_, str>) -> Result<Option<String>, String> {
    let moment = Timestamp::parse_micro(&text).map_err(|error| error.to_string())?;
    let zero = moment.seconds == ZERO_TIME_SECONDS && moment.nanos == 0;
    Ok((!zero).then(|| moment.to_rfc3339_micro()))
}

/// `resource.Quantity` from the raw JSON value, a string or a number.
pub(super) fn quantity(raw: &str) -> Result<String, String> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
    let inner = inner.trim();
    if is_canonical(inner) {
        return Ok(inner.to_owned());
    }
    let quantity = Quantity::parse(inner).map_err(|error| error.to_string())?;
    Ok(quantity.to_string())
}

/// Whether a quantity surely prints as it was read: a small whole number that no larger suffix could shorten.
fn is_canonical(text: &str) -> bool {
    const DIGITS_MAX: usize = 9;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    if digits == 0 || digits > DIGITS_MAX || number.starts_with('0') {
        return text == "0";
    }
    let step: u32 = match suffix {
        "" | "m" | "k" | "M" | "G" => 1000,
        "Ki" | "Mi" | "Gi" => 1024,
        _ => return false,
    };
    number.parse::<u32>().is_ok_and(|number| number % step != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn canonical_quantities_print_as_they_were_read(number in 0_u32..2_000_000_000, suffix in "(m|k|M|G|T|Ki|Mi|Gi|e3|)") {
            let text = format!("{number}{suffix}");
            if is_canonical(&text) {
                prop_assert_eq!(Quantity::parse(&text).unwrap().to_string(), text);
            }
        }
    }

    #[test]
    fn quantities_that_are_canonical() {
        for text in ["0", "1", "100m", "128Mi", "1500m", "3G"] {
            assert!(is_canonical(text), "{text}");
        }
        for text in ["00", "1000", "2000m", "1024Mi", "0.5", "1e3", "-1", "", "m"] {
            assert!(!is_canonical(text), "{text}");
        }
    }

    #[test]
    fn base64_as_go() {
        let run = |text: &'static str| base64(Cow::Borrowed(text));
        assert_eq!(run("").unwrap(), "");
        assert_eq!(run("aGk=").unwrap(), "aGk=");
        assert_eq!(run("aG\nk=\n").unwrap(), "aGk=");
        assert_eq!(run("aGl=").unwrap(), "aGk=");
        for (text, at) in [("!", 0), ("abc", 0), ("abc!", 3), ("abcda", 4), ("ab=", 3), ("a===", 1), ("aGk=x", 4)] {
            assert_eq!(run(text).unwrap_err(), format!("illegal base64 data at input byte {at}"), "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time("2020-01-02T03:04:05.9+01:00".into()).unwrap().unwrap(), "2020-01-02T02:04:05Z");
        assert_eq!(time("2020-01-02T03:04:05Z".into()).unwrap().unwrap(), "2020-01-02T03:04:05Z");
        assert_eq!(time("0001-01-01T00:00:00Z".into()).unwrap(), None);
        assert!(time("yesterday".into()).is_err());
    }
}
