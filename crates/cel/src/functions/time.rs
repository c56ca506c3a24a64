//! Timestamps and durations: as Go reads and prints them.

use super::texts;
use crate::eval::{Outcome, fail, no_overload};
use crate::table::Sig::{Duration, Int, String as Text, Timestamp};
use crate::table::{Overload, global, member};
use crate::value::Value;
use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp as Instant};

/// A point in time, and where it was written: it prints with the offset that it was given with.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: Instant,
    pub offset: Offset,
}

impl Moment {
    fn utc(at: Instant) -> Moment {
        Moment { at, offset: Offset::UTC }
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Moment) -> bool {
        self.at == other.at
    }
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Moment) -> Option<std::cmp::Ordering> {
        self.at.partial_cmp(&other.at)
    }
}

/// A method of timestamps, in UTC or in a zone.
macro_rules! part {
    ($name:literal, $plain:literal, $zoned:literal, $part:expr) => {
        [
            member($name, $plain, &[Timestamp], Int, |_, args| of_timestamp(args, $part)),
            member($name, $zoned, &[Timestamp, Text], Int, |_, args| of_timestamp(args, $part)),
        ]
    };
}

static PARTS: [[Overload; 2]; 10] = [
    part!("getFullYear", "timestamp_to_year", "timestamp_to_year_with_tz", |at| i64::from(at.year())),
    part!("getMonth", "timestamp_to_month", "timestamp_to_month_with_tz", |at| i64::from(at.month()) - 1),
    part!("getDayOfYear", "timestamp_to_day_of_year", "timestamp_to_day_of_year_with_tz", |at| {
        i64::from(at.date().day_of_year()) - 1
    }),
    part!("getDayOfMonth", "timestamp_to_day_of_month", "timestamp_to_day_of_month_with_tz", |at| {
        i64::from(at.day()) - 1
    }),
    part!(
        "getDate",
        "timestamp_to_day_of_month_1_based",
        "timestamp_to_day_of_month_1_based_with_tz",
        |at| { i64::from(at.day()) }
    ),
    part!("getDayOfWeek", "timestamp_to_day_of_week", "timestamp_to_day_of_week_with_tz", |at| {
        i64::from(at.date().weekday().to_sunday_zero_offset())
    }),
    part!("getHours", "timestamp_to_hours", "timestamp_to_hours_with_tz", |at| i64::from(at.hour())),
    part!("getMinutes", "timestamp_to_minutes", "timestamp_to_minutes_with_tz", |at| i64::from(at.minute())),
    part!("getSeconds", "timestamp_to_seconds_tz", "timestamp_to_seconds_tz_with_tz", |at| i64::from(
        at.second()
    )),
    part!("getMilliseconds", "timestamp_to_milliseconds", "timestamp_to_milliseconds_with_tz", |at| {
        i64::from(at.millisecond())
    }),
];

static OTHERS: &[Overload] = &[
    global("timestamp", "timestamp_to_timestamp", &[Timestamp], Timestamp, |_, args| Ok(args[0].clone())),
    global("timestamp", "string_to_timestamp", &[Text], Timestamp, |_, args| {
        let [text] = texts(args)?;
        parse_timestamp(text).map_or_else(
            || {
                fail(format!(
                    "parsing time {}: not a time as RFC 3339 writes it",
                    apimachinery::go::quote(text)
                ))
            },
            |at| Ok(Value::Timestamp(at)),
        )
    }),
    global("timestamp", "int64_to_timestamp", &[Int], Timestamp, |_, args| match &args[0] {
        Value::Int(seconds) => Instant::from_second(*seconds)
            .ok()
            .filter(in_range)
            .map_or_else(|| fail("timestamp overflow"), |at| Ok(Value::Timestamp(Moment::utc(at)))),
        _ => no_overload(),
    }),
    global("duration", "duration_to_duration", &[Duration], Duration, |_, args| Ok(args[0].clone())),
    global("duration", "string_to_duration", &[Text], Duration, |_, args| {
        let [text] = texts(args)?;
        parse_duration(text).map_or_else(
            || fail(format!("time: invalid duration {}", apimachinery::go::quote(text))),
            |nanos| Ok(Value::Duration(nanos)),
        )
    }),
    member("getHours", "duration_to_hours", &[Duration], Int, |_, args| of_duration(args, 3_600_000_000_000)),
    member("getMinutes", "duration_to_minutes", &[Duration], Int, |_, args| {
        of_duration(args, 60_000_000_000)
    }),
    member("getSeconds", "duration_to_seconds", &[Duration], Int, |_, args| of_duration(args, 1_000_000_000)),
    member("getMilliseconds", "duration_to_milliseconds", &[Duration], Int, |_, args| {
        of_duration(args, 1_000_000)
    }),
];

pub(super) fn functions() -> impl Iterator<Item = &'static Overload> {
    OTHERS.iter().chain(PARTS.iter().flatten())
}

/// The years 1 to 9999.
fn in_range(at: &Instant) -> bool {
    (1..=9999).contains(&at.to_zoned(TimeZone::UTC).year())
}

fn of_duration<'a>(args: &[Value<'a>], unit: i64) -> Outcome<'a> {
    match &args[0] {
        Value::Duration(nanos) => Ok(Value::Int(nanos / unit)),
        _ => no_overload(),
    }
}

fn of_timestamp<'a>(args: &[Value<'a>], part: fn(DateTime) -> i64) -> Outcome<'a> {
    let Value::Timestamp(at) = &args[0] else { return no_overload() };
    let offset = match args.get(1).and_then(Value::as_text) {
        None | Some("UTC" | "utc" | "Z" | "") => Offset::UTC,
        Some(zone) => match parse_offset(zone) {
            Some(offset) => offset,
            // Zones by name need a database, which this program does not carry.
            None => return fail(format!("unknown time zone {zone}")),
        },
    };
    Ok(Value::Int(part(offset.to_datetime(at.at))))
}

/// `+05:30`, `-08:00`, `05:30`.
fn parse_offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds =
        hours.parse::<i32>().ok()?.checked_mul(3600)?.checked_add(minutes.parse::<i32>().ok()? * 60)?;
    Offset::from_seconds(sign * seconds).ok()
}

pub(super) fn add<'a>(at: &Value<'a>, by: &Value<'a>) -> Outcome<'a> {
    match (at, by) {
        (Value::Timestamp(at), Value::Duration(nanos)) => {
            let sum = at.at.checked_add(SignedDuration::from_nanos(*nanos)).ok().filter(in_range);
            let offset = at.offset;
            sum.map_or_else(|| fail("timestamp overflow"), |at| Ok(Value::Timestamp(Moment { at, offset })))
        }
        _ => no_overload(),
    }
}

pub(super) fn difference<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Timestamp(a), Value::Timestamp(b)] => {
            let nanos = a.at.as_nanosecond() - b.at.as_nanosecond();
            i64::try_from(nanos)
                .map_or_else(|_| fail("duration overflow"), |nanos| Ok(Value::Duration(nanos)))
        }
        _ => no_overload(),
    }
}

/// RFC 3339, or a date alone (midnight UTC).
pub(crate) fn parse_timestamp(text: &str) -> Option<Moment> {
    if text.len() == 10 {
        let date: Date = text.parse().ok()?;
        return date.to_zoned(TimeZone::UTC).ok().map(|at| Moment::utc(at.timestamp()));
    }
    let bytes = text.as_bytes();
    let shape =
        bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b'T' && bytes[13] == b':';
    let offset = match text.strip_suffix('Z') {
        Some(_) => Offset::UTC,
        None => parse_offset(text.get(text.len().checked_sub(6)?..)?)?,
    };
    let at = text.parse::<Instant>().ok().filter(in_range)?;
    shape.then_some(Moment { at, offset })
}

/// RFC 3339 with as many digits of a second as are needed.
pub(crate) fn print_timestamp(moment: Moment) -> String {
    let at = moment.offset.to_datetime(moment.at);
    let seconds = moment.offset.seconds();
    let zone = match seconds {
        0 => "Z".to_string(),
        _ => {
            let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    };
    format!("{at}{zone}")
}

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `1h30m`, `-1.5s`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || number.matches('.').count() > 1 || number.len() > 30 {
            return None;
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(*nanos)?)?;
        let mut scale = *nanos;
        for digit in fraction.bytes() {
            scale /= 10;
            total += i128::from(digit - b'0') * scale;
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// Seconds, as the language prints durations.
pub(crate) fn print_duration(nanos: i64) -> String {
    let (seconds, rest) = (nanos / 1_000_000_000, (nanos % 1_000_000_000).unsigned_abs());
    let sign = if nanos < 0 && seconds == 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{seconds}s");
    }
    let fraction = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}
