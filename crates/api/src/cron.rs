//! Cron schedules as CronJobs write them: five fields, or a name such as `@daily`, or `@every 1h`. Parsing
//! and its errors are those of the library upstream uses; when a schedule fires is the controller's.

use apimachinery::go;
use std::time::Duration;

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Whenever a bit of each field matches; day of month and day of week either, unless one is a star.
    Fields(Fields),
    Every(Duration),
}

/// One bit for each minute, hour, …; [`STAR`] where the field was `*` or `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    pub minute: u64,
    pub hour: u64,
    pub day_of_month: u64,
    pub month: u64,
    pub day_of_week: u64,
}

/// Set in a field that asks for nothing.
pub const STAR: u64 = 1 << 63;

struct Bounds {
    min: u32,
    max: u32,
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const BOUNDS: [Bounds; 5] = [
    Bounds { min: 0, max: 59, names: &[] },
    Bounds { min: 0, max: 23, names: &[] },
    Bounds { min: 1, max: 31, names: &[] },
    Bounds { min: 1, max: 12, names: MONTHS },
    Bounds { min: 0, max: 6, names: DAYS },
];
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Whether there is a time zone of this name.
pub fn is_time_zone(name: &str) -> bool {
    if matches!(name, "" | "UTC") {
        return true;
    }
    jiff::tz::TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

impl Schedule {
    /// # Errors
    /// Upstream's words.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        if text.is_empty() {
            return Err("empty spec string".into());
        }
        let mut text = text;
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let zone = text.split_once('=').map_or("", |(_, rest)| rest);
            let Some((zone, rest)) = zone.split_once(' ') else {
                return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".into());
            };
            if zone != "Local" && !is_time_zone(zone) {
                return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
            }
            text = rest.trim();
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        fields(text).map(Schedule::Fields)
    }
}

fn descriptor(text: &str) -> Result<Schedule, String> {
    if let Some((_, written)) = NAMED.iter().find(|(name, _)| *name == text) {
        return fields(written).map(Schedule::Fields);
    }
    match text.strip_prefix("@every ") {
        Some(duration) => go_duration(duration)
            .map(Schedule::Every)
            .map_err(|why| format!("failed to parse duration {text}: {why}")),
        None => Err(format!("unrecognized descriptor: {text}")),
    }
}

fn fields(text: &str) -> Result<Fields, String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    if parts.len() != BOUNDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    let mut bits = [0; 5];
    for ((bits, part), bounds) in bits.iter_mut().zip(parts).zip(&BOUNDS) {
        for range in part.split(',').filter(|range| !range.is_empty()) {
            *bits |= self::range(range, bounds)?;
        }
    }
    let [minute, hour, day_of_month, month, day_of_week] = bits;
    Ok(Fields { minute, hour, day_of_month, month, day_of_week })
}

/// `number`, `number-number`, `*`, each with `/step`.
fn range(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let star = matches!(ends[0], "*" | "?");
    let (start, mut end) = if star {
        (bounds.min, bounds.max)
    } else {
        let start = number_or_name(ends[0], bounds)?;
        match ends.as_slice() {
            [_] => (start, start),
            [_, end] => (start, number_or_name(end, bounds)?),
            _ => return Err(format!("too many hyphens: {text}")),
        }
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if ends.len() == 1 {
                end = bounds.max;
            }
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let bits = (start..=end).step_by(step as usize).fold(0, |bits, at| bits | 1_u64 << at);
    Ok(if star && step == 1 { bits | STAR } else { bits })
}

fn number_or_name(text: &str, bounds: &Bounds) -> Result<u32, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(at) => Ok(bounds.min + at as u32),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let why = if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        "invalid syntax"
    } else {
        "value out of range"
    };
    let number = text.parse::<i64>().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {}: {why}", go::quote(text))
    })?;
    if number < 0 {
        return Err(format!("negative number ({number}) not allowed: {text}"));
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// A duration as Go writes them: `1h30m`, `1.5h`.
fn go_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("time: invalid duration {}", go::quote(text));
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let unit = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let scale = match unit {
            "" => return Err(format!("time: missing unit in duration {}", go::quote(text))),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(format!(
                    "time: unknown unit {} in duration {}",
                    go::quote(unit),
                    go::quote(text)
                ));
            }
        };
        seconds += number * scale;
        rest = after;
    }
    // Upstream rounds down to seconds, and fires at least every second.
    let whole = if text.starts_with('-') { 1.0 } else { f64::max(seconds, 1.0) };
    Duration::try_from_secs_f64(whole.floor()).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Fields {
        match Schedule::parse(text) {
            Ok(Schedule::Fields(fields)) => fields,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn schedules_are_read_as_upstream_reads_them() {
        let every = parsed("*/15 0-3,22 ? jan-mar MON");
        assert_eq!(every.minute, 1 | 1 << 15 | 1 << 30 | 1 << 45);
        assert_eq!(every.hour, 0b1111 | 1 << 22);
        assert_eq!(every.day_of_month & STAR, STAR);
        assert_eq!(every.month, 0b1110);
        assert_eq!(every.day_of_week, 0b10);
        assert_eq!(parsed("@weekly"), parsed("0 0 * * sun"));
        assert_eq!(parsed("5/20 * * * *").minute, 1 << 5 | 1 << 25 | 1 << 45);
        assert_eq!(Schedule::parse("@every 1h30m"), Ok(Schedule::Every(Duration::from_secs(5400))));
        assert_eq!(parsed("TZ=UTC 0 0 * * *"), parsed("@daily"));
    }

    #[test]
    fn errors_in_upstreams_words() {
        let cases = [
            ("error", "expected exactly 5 fields, found 1: [error]"),
            ("* * * * * *", "expected exactly 5 fields, found 6: [* * * * * *]"),
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-3 * * * *", "beginning of range (5) beyond end of range (3): 5-3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
            ("@never", "unrecognized descriptor: @never"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
            ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
            ("TZ=UTC", "invalid schedule format: runtime error: slice bounds out of range [:-1]"),
            ("TZ=Mars/X * * * * *", "provided bad location Mars/X: unknown time zone Mars/X"),
        ];
        for (text, wanted) in cases {
            assert_eq!(Schedule::parse(text), Err(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn time_zones_have_exact_names() {
        for (name, known) in [
            ("Europe/Berlin", true),
            ("UTC", true),
            ("Etc/GMT+5", true),
            ("europe/berlin", false),
            ("Mars/X", false),
        ] {
            assert_eq!(is_time_zone(name), known, "{name}");
        }
    }
}
