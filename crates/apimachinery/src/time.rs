//! Times as the API writes them (`Time` to seconds, `MicroTime` to microseconds, always UTC `Z`)
//! and ages as kubectl prints them. No clock: callers pass "now" in.

use crate::go;
use jiff::{SignedDuration, Timestamp};
use std::fmt;

/// An instant. `Display` is RFC 3339 with seconds, as `metav1.Time` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub Timestamp);

impl Time {
    /// Reads RFC 3339 with any offset and fraction.
    ///
    /// # Errors
    /// Go's `time.Parse` message.
    pub fn parse(text: &str) -> Result<Self, String> {
        parse_as(text, "2006-01-02T15:04:05Z07:00").map(Self)
    }

    /// Reads a `MicroTime`: RFC 3339 with any fraction.
    ///
    /// # Errors
    /// Go's `time.Parse` message.
    pub fn parse_micro(text: &str) -> Result<Self, String> {
        parse_as(text, "2006-01-02T15:04:05.000000Z07:00").map(Self)
    }

    pub fn from_unix(seconds: i64, nanos: i32) -> Option<Self> {
        Timestamp::new(seconds, nanos).ok().map(Self)
    }

    /// Seconds since 1970 and the nanoseconds (never negative) after them.
    pub fn unix(self) -> (i64, i32) {
        let nanos = self.0.as_nanosecond();
        let fraction = nanos.rem_euclid(1_000_000_000);
        (((nanos - fraction) / 1_000_000_000) as i64, fraction as i32)
    }

    /// The form of `metav1.MicroTime`: `2006-01-02T15:04:05.000000Z`.
    pub fn micro(self) -> String {
        let (text, nanos) = self.whole_seconds();
        format!("{text}.{:06}Z", nanos / 1000)
    }

    /// Cut to whole seconds, as writing and reading a `Time` does.
    #[must_use]
    pub fn truncated(self) -> Self {
        let nanos = self.0.as_nanosecond();
        Self(Timestamp::from_nanosecond(nanos - nanos.rem_euclid(1_000_000_000)).unwrap_or(self.0))
    }

    /// How long after `earlier` this is; negative if before.
    pub fn since(self, earlier: Self) -> SignedDuration {
        self.0.duration_since(earlier.0)
    }

    fn whole_seconds(self) -> (String, i128) {
        let t = jiff::tz::Offset::UTC.to_datetime(self.0);
        let text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        );
        (text, self.0.as_nanosecond().rem_euclid(1_000_000_000))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Z", self.whole_seconds().0)
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp)
    }
}

fn parse_as(text: &str, layout: &str) -> Result<Timestamp, String> {
    check_layout(text, layout)?;
    text.parse().map_err(|_| format!("parsing time {}: out of range", go::quote(text)))
}

/// Checks the shape piece by piece, so that the error names the piece Go would name.
fn check_layout(text: &str, layout: &str) -> Result<(), String> {
    let pieces = [
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let fail = |rest: &str, piece: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            go::quote(text),
            go::quote(layout),
            go::quote(rest),
            go::quote(piece)
        )
    };
    let mut rest = text;
    for (piece, digits) in pieces {
        let length = if digits == 0 { piece.len() } else { digits };
        let fits = rest.is_char_boundary(length.min(rest.len()))
            && rest.len() >= length
            && if digits == 0 {
                rest.starts_with(piece)
            } else {
                rest.as_bytes()[..length].iter().all(u8::is_ascii_digit)
            };
        if !fits {
            return Err(fail(rest, piece));
        }
        rest = &rest[length..];
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(fail(rest, "Z07:00"));
        }
        rest = &fraction[digits..];
    } else if layout.contains('.') {
        return Err(fail(rest, ".000000"));
    }
    let offset = rest.as_bytes();
    let numeric = offset.len() == 6
        && matches!(offset[0], b'+' | b'-')
        && offset[3] == b':'
        && [1, 2, 4, 5].iter().all(|i| offset[*i].is_ascii_digit());
    if rest == "Z" || numeric {
        return Ok(());
    }
    match rest.strip_prefix('Z') {
        Some(extra) => Err(format!("parsing time {}: extra text: {}", go::quote(text), go::quote(extra))),
        None => Err(fail(rest, "Z07:00")),
    }
}

/// An age in at most two units, as kubectl's AGE column shows it: `10s`, `2m30s`, `3h5m`, `2d3h`, `400d`, `2y35d`.
pub fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    if seconds < -1 {
        return "<invalid>".into();
    }
    if seconds < 0 || duration.is_negative() {
        return "0s".into();
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let two = |big: i64, unit: &str, small: i64, rest: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{rest}") }
    };
    match (seconds, minutes, hours) {
        (s, ..) if s < 120 => format!("{s}s"),
        (s, m, _) if m < 10 => two(m, "m", s % 60, "s"),
        (_, m, _) if m < 180 => format!("{m}m"),
        (_, m, h) if h < 8 => two(h, "h", m % 60, "m"),
        (_, _, h) if h < 48 => format!("{h}h"),
        (_, _, h) if h < 24 * 8 => two(h / 24, "d", h % 24, "h"),
        (_, _, h) if h < 24 * 365 * 2 => format!("{}d", h / 24),
        (_, _, h) if h < 24 * 365 * 8 => two(h / 24 / 365, "y", h / 24 % 365, "d"),
        (_, _, h) => format!("{}y", h / 24 / 365),
    }
}

/// A duration as Go's `time.Duration` prints it: `1h2m3.5s`, `10ms`, `0s`.
pub fn go_duration(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let (sign, n) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let fraction = |n: u128, unit: u128| {
        let text = format!("{}.{:0width$}", n / unit, n % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match n {
        0 => "0s".into(),
        _ if n < 1_000 => format!("{sign}{n}ns"),
        _ if n < 1_000_000 => format!("{sign}{}µs", fraction(n, 1_000)),
        _ if n < 1_000_000_000 => format!("{sign}{}ms", fraction(n, 1_000_000)),
        _ => {
            let minutes = n / 60_000_000_000;
            let seconds = fraction(n % 60_000_000_000, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

/// As [`go_duration`], of nanoseconds.
pub fn go_duration_nanos(nanos: i64) -> String {
    go_duration(SignedDuration::from_nanos(nanos))
}

/// Reads what [`go_duration`] prints (and `1.5h`, `2h45m`), as nanoseconds.
pub fn parse_go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += amount
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    if total >= i64::MAX as f64 {
        return None;
    }
    Some(if negative { -(total.round() as i64) } else { total.round() as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_and_print() {
        for (text, want, micro) in [
            ("2026-11-20T09:39:00Z", "2026-11-20T09:39:00Z", "2026-11-20T09:39:00.000000Z"),
            ("2026-11-20T10:39:00.123456789+01:00", "2026-11-20T09:39:00Z", "2026-11-20T09:39:00.123456Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59.500000Z"),
        ] {
            let time = Time::parse(text).unwrap();
            assert_eq!((time.to_string(), time.micro()), (want.to_owned(), micro.to_owned()));
            assert_eq!(Time::parse(want).unwrap(), time.truncated());
        }
        let layout = r#"as "2006-01-02T15:04:05Z07:00": cannot parse"#;
        assert_eq!(Time::parse("x").unwrap_err(), format!(r#"parsing time "x" {layout} "x" as "2006""#));
        assert_eq!(
            Time::parse("2026-11-20 09:39:00Z").unwrap_err(),
            format!(r#"parsing time "2026-11-20 09:39:00Z" {layout} " 09:39:00Z" as "T""#)
        );
        assert_eq!(
            Time::parse("2026-11-20T09:39:00").unwrap_err(),
            format!(r#"parsing time "2026-11-20T09:39:00" {layout} "" as "Z07:00""#)
        );
        assert!(Time::parse("2026-13-20T09:39:00Z").is_err());
    }

    #[test]
    fn ages_match_kubectl() {
        const M: i64 = 60;
        const H: i64 = 60 * M;
        const D: i64 = 24 * H;
        for (seconds, want) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (10 * M + 30, "10m"),
            (179 * M, "179m"),
            (3 * H, "3h"),
            (3 * H + 5 * M, "3h5m"),
            (8 * H + 5 * M, "8h"),
            (47 * H, "47h"),
            (2 * D + 3 * H, "2d3h"),
            (8 * D + H, "8d"),
            (400 * D, "400d"),
            (730 * D, "2y"),
            (765 * D, "2y35d"),
            (3000 * D, "8y"),
        ] {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn durations_match_go() {
        for (nanos, want) in [
            (0, "0s"),
            (15, "15ns"),
            (1_500, "1.5µs"),
            (10_000_000, "10ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(go_duration(SignedDuration::from_nanos(nanos)), want);
            assert_eq!(parse_go_duration(want), Some(nanos));
        }
    }
}
