//! `metav1.Time` and `MicroTime`: RFC 3339 in, UTC out, with Go's messages; and ages as Tables print them.
//!
//! Nothing here reads a clock: the caller passes the present moment.

use std::fmt;
use std::time::Duration;

/// The Go layout of `metav1.Time`, quoted in its parse errors.
const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
/// The Go layout of `metav1.MicroTime`.
const RFC3339_MICRO: &str = "2006-01-02T15:04:05.000000Z07:00";

/// A moment: seconds since the Unix epoch and nanoseconds (0 to 999,999,999) after that second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub seconds: i64,
    /// Nanoseconds within the second.
    pub nanos: u32,
}

/// Why a text is not a time; prints as Go's `time.ParseError`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// The text does not follow the layout from `rest` on, where `element` was expected.
    #[error("parsing time {value:?} as {layout:?}: cannot parse {rest:?} as {element:?}")]
    Layout { value: String, layout: &'static str, rest: String, element: &'static str },
    /// An element is a number that no calendar or clock has.
    #[error("parsing time {value:?}: {element} out of range")]
    Range { value: String, element: &'static str },
    /// A whole time, and more behind it.
    #[error("parsing time {value:?}: extra text: {rest:?}")]
    Extra { value: String, rest: String },
}

impl Timestamp {
    /// Parses a `metav1.Time`: RFC 3339, any offset, an optional fraction of a second.
    pub fn parse(value: &str) -> Result<Self, TimeError> {
        Parser::new(value, RFC3339).run(Fraction::Optional)
    }

    /// Parses a `metav1.MicroTime`: RFC 3339 with exactly six fraction digits.
    pub fn parse_micro(value: &str) -> Result<Self, TimeError> {
        Parser::new(value, RFC3339_MICRO).run(Fraction::SixDigits)
    }

    /// Prints as `metav1.Time` does: UTC, whole seconds (the fraction is cut off).
    pub fn to_rfc3339(self) -> String {
        let (year, month, day) = civil_from_days(self.seconds.div_euclid(86_400));
        let second = self.seconds.rem_euclid(86_400);
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
    }

    /// Prints as `metav1.MicroTime` does: UTC, six fraction digits.
    pub fn to_rfc3339_micro(self) -> String {
        let mut text = self.to_rfc3339();
        text.pop();
        format!("{text}.{:06}Z", self.nanos / 1000)
    }

    /// Whole seconds from `earlier` to `self`, rounded toward zero, as Go's `Duration.Seconds` cast to int.
    pub fn seconds_since(self, earlier: Timestamp) -> i64 {
        let nanos = (i128::from(self.seconds) - i128::from(earlier.seconds)) * 1_000_000_000 + i128::from(self.nanos)
            - i128::from(earlier.nanos);
        i64::try_from(nanos / 1_000_000_000).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// The age of something created at `since`, as a Table's AGE column shows it.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    human_duration(now.seconds_since(since))
}

/// A duration of `seconds` in at most two units: `45s`, `5m10s`, `3h15m`, `5d3h`, `400d`, `3y12d`.
///
/// A clock may be one second ahead (`0s`); more than that prints `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let two = |big: i64, big_unit: char, small: i64, small_unit: char| {
        if small == 0 { format!("{big}{big_unit}") } else { format!("{big}{big_unit}{small}{small_unit}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two(seconds / MINUTE, 'm', seconds % MINUTE, 's'),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two(seconds / HOUR, 'h', seconds % HOUR / MINUTE, 'm'),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two(seconds / DAY, 'd', seconds % DAY / HOUR, 'h'),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two(seconds / YEAR, 'y', seconds % YEAR / DAY, 'd'),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// A duration of `seconds` in one unit, as `duration.ShortHumanDuration` prints it.
pub fn short_human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

enum Fraction {
    Optional,
    SixDigits,
}

/// Walks a text along a Go layout, so that errors name the element that Go would name.
struct Parser<'a> {
    value: &'a str,
    layout: &'static str,
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    fn new(value: &'a str, layout: &'static str) -> Self {
        Parser { value, layout, rest: value.as_bytes() }
    }

    fn run(mut self, fraction: Fraction) -> Result<Timestamp, TimeError> {
        let year = self.digits(4, "2006")?;
        self.literal(b'-', "-")?;
        let month = self.digits(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(self.range("month"));
        }
        self.literal(b'-', "-")?;
        let day = self.digits(2, "02")?;
        self.literal(b'T', "T")?;
        let hour = self.one_or_two_digits("15")?;
        if hour > 23 {
            return Err(self.range("hour"));
        }
        self.literal(b':', ":")?;
        let minute = self.digits(2, "04")?;
        if minute > 59 {
            return Err(self.range("minute"));
        }
        self.literal(b':', ":")?;
        let second = self.digits(2, "05")?;
        if second > 59 {
            return Err(self.range("second"));
        }
        let nanos = match fraction {
            Fraction::Optional => self.optional_fraction(),
            Fraction::SixDigits => self.micros()?,
        };
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(TimeError::Extra { value: self.value.to_owned(), rest: lossy(self.rest) });
        }
        if day < 1 || day > days_in_month(year, month) {
            return Err(self.range("day"));
        }
        let days = days_from_civil(year, month, day);
        Ok(Timestamp { seconds: days * 86_400 + hour * 3600 + minute * 60 + second - offset, nanos })
    }

    /// Exactly `count` digits.
    fn digits(&mut self, count: usize, element: &'static str) -> Result<i64, TimeError> {
        match self.rest.get(..count) {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
                self.rest = &self.rest[count..];
                Ok(number(digits))
            }
            _ => Err(self.mismatch(element)),
        }
    }

    /// Go takes a one-digit hour even where the layout has two.
    fn one_or_two_digits(&mut self, element: &'static str) -> Result<i64, TimeError> {
        let count = self.rest.iter().take(2).take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.mismatch(element));
        }
        self.digits(count, element)
    }

    fn literal(&mut self, byte: u8, element: &'static str) -> Result<(), TimeError> {
        match self.rest.split_first() {
            Some((&first, rest)) if first == byte => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(self.mismatch(element)),
        }
    }

    /// A point or comma and any number of digits, of which nine count.
    fn optional_fraction(&mut self) -> u32 {
        let [b'.' | b',', tail @ ..] = self.rest else { return 0 };
        let count = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return 0;
        }
        let nanos = (0..9).fold(0, |sum, i| sum * 10 + if i < count { u32::from(tail[i] - b'0') } else { 0 });
        self.rest = &tail[count..];
        nanos
    }

    fn micros(&mut self) -> Result<u32, TimeError> {
        match self.rest {
            [b'.' | b',', tail @ ..] if tail.len() >= 6 && tail[..6].iter().all(u8::is_ascii_digit) => {
                let micros = number(&tail[..6]);
                self.rest = &tail[6..];
                Ok(micros as u32 * 1000)
            }
            _ => Err(self.mismatch(".000000")),
        }
    }

    /// `Z` or `±hh:mm`, in seconds east of UTC.
    fn offset(&mut self) -> Result<i64, TimeError> {
        if let [b'Z', rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(0);
        }
        let [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, rest @ ..] = self.rest else {
            return Err(self.mismatch("Z07:00"));
        };
        if ![h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) {
            return Err(self.mismatch("Z07:00"));
        }
        let (hours, minutes) = (number(&[*h1, *h2]), number(&[*m1, *m2]));
        if hours > 24 {
            return Err(self.range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.range("time zone offset minute"));
        }
        self.rest = rest;
        let offset = hours * 3600 + minutes * 60;
        Ok(if *sign == b'-' { -offset } else { offset })
    }

    fn mismatch(&self, element: &'static str) -> TimeError {
        let value = self.value.to_owned();
        TimeError::Layout { value, layout: self.layout, rest: lossy(self.rest), element }
    }

    fn range(&self, element: &'static str) -> TimeError {
        TimeError::Range { value: self.value.to_owned(), element }
    }
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'))
}

/// The parser stops between ASCII bytes or before a whole character, never inside one, but must not rely on it.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the Unix epoch of a date in the proleptic Gregorian calendar, counted in 400-year eras from March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// A Go duration: `1m0s`, `500ms`, `1.5h`; a bare number is not one, except `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("time: invalid duration {text:?}");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(bad());
    }
    let mut seconds = 0f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(bad()),
            };
        rest = &rest[unit..];
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_in_utc() {
        for (text, printed) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
            ("2024-01-01T00:00:00+02:00", "2023-12-31T22:00:00Z"),
            ("2024-01-01T00:00:00-00:30", "2024-01-01T00:30:00Z"),
            ("2024-01-01T00:00:00.999Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("2024-01-01T1:00:00Z", "2024-01-01T01:00:00Z"),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_rfc3339(), printed, "{text}");
        }
        let micro = Timestamp::parse_micro("2024-01-01T00:00:00.000123Z").unwrap();
        assert_eq!(micro.to_rfc3339_micro(), "2024-01-01T00:00:00.000123Z");
        assert_eq!(micro.nanos, 123_000);
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in -146_097..146_097 {
            let (y, m, d) = civil_from_days(day);
            assert_eq!(days_from_civil(y, m, d), day);
        }
    }

    #[test]
    fn errors_read_as_in_go() {
        let parse = |text: &str| Timestamp::parse(text).unwrap_err().to_string();
        assert_eq!(parse("abc"), r#"parsing time "abc" as "2006-01-02T15:04:05Z07:00": cannot parse "abc" as "2006""#);
        assert_eq!(
            parse("2024-01-01"),
            r#"parsing time "2024-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#
        );
        assert_eq!(parse("2024-13-01T00:00:00Z"), r#"parsing time "2024-13-01T00:00:00Z": month out of range"#);
        assert_eq!(parse("2023-02-29T00:00:00Z"), r#"parsing time "2023-02-29T00:00:00Z": day out of range"#);
        assert_eq!(parse("2024-01-01T00:00:00Zx"), r#"parsing time "2024-01-01T00:00:00Zx": extra text: "x""#);
        assert_eq!(
            Timestamp::parse_micro("2024-01-01T00:00:00Z").unwrap_err().to_string(),
            r#"parsing time "2024-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#
        );
        assert!(Timestamp::parse_micro("2024-01-01T00:00:00.1234567Z").is_err());
        for text in ["", "é024-01-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00"]
        {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn human_durations() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_700, "3h15m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (176_400, "2d1h"),
            (691_199, "7d23h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
            (999_999_999, "31y"),
        ] {
            assert_eq!(human_duration(seconds), text, "{seconds}");
        }
        assert_eq!(short_human_duration(7199), "1h");
        assert_eq!(short_human_duration(86_400 * 364), "364d");
        let (a, b) = (Timestamp { seconds: 10, nanos: 900_000_000 }, Timestamp { seconds: 12, nanos: 0 });
        assert_eq!(age(a, b), "1s");
        assert_eq!(age(b, a), "0s");
    }
}
