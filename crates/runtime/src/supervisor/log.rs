//! Container output to files in the CRI log format: `<RFC 3339 with nanoseconds> <stream> <F|P>
//! <line>`. Lines beyond 16 KiB, and a last line without its end, are partial (`P`), as containerd
//! writes them. Files are rotated here, so that no log depends on the daemon.

use crate::limits::LOG_LINE_BYTES;
use crate::spec::LogSpec;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// An open log file.
pub struct Log {
    pub spec: LogSpec,
    file: File,
    size: u64,
    /// Bytes that could not be written (disk full); output is lost rather than the container
    /// blocked.
    pub lost: u64,
}

impl Log {
    pub fn open(spec: LogSpec) -> io::Result<Log> {
        let file = append(&spec.path)?;
        let size = file.metadata()?.len();
        Ok(Log { spec, file, size, lost: 0 })
    }

    /// Opens the path again after somebody else moved the file.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = append(&self.spec.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    /// Appends already formatted, whole lines.
    pub fn write(&mut self, mut lines: &[u8]) {
        let limit = self.spec.max_size;
        while !lines.is_empty() {
            let room = limit.saturating_sub(self.size) as usize;
            let fits = if limit == 0 || lines.len() <= room {
                lines.len()
            } else {
                lines[..room].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1)
            };
            // A failed rotation must not lose output: the old file simply grows. A line longer than
            // a whole file gets a file of its own.
            if fits == 0 && self.size > 0 && self.rotate().is_ok() {
                continue;
            }
            let first_line = || lines.iter().position(|b| *b == b'\n').map_or(lines.len(), |at| at + 1);
            let end = if fits > 0 { fits } else { first_line() };
            match self.file.write_all(&lines[..end]) {
                Ok(()) => self.size += end as u64,
                Err(_) => self.lost += end as u64,
            }
            lines = &lines[end..];
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let path = &self.spec.path;
        let mut files = rotated_files(path)?;
        files.sort_unstable();
        // Names must sort by age even when several files fill within a second.
        let mut seconds = crate::sys::now() / 1_000_000_000;
        while files.last().is_some_and(|newest| *newest >= rotated(path, seconds)) {
            seconds += 1;
        }
        let old = rotated(path, seconds);
        std::fs::rename(path, &old)?;
        files.push(old);
        self.reopen()?;
        let keep = (self.spec.max_files.max(2) - 1) as usize;
        let surplus = files.len().saturating_sub(keep);
        files[..surplus].iter().try_for_each(std::fs::remove_file)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn rotated(path: &Path, seconds: u64) -> PathBuf {
    let (date, time) = civil(seconds);
    let stamp = format!("{}-{}", date.replace('-', ""), time.replace(':', ""));
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{stamp}"));
    name.into()
}

fn rotated_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{name}.");
    let ours = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(&prefix));
    Ok(std::fs::read_dir(directory)?.flatten().map(|e| e.path()).filter(ours).collect())
}

/// (YYYY-MM-DD, HH:MM:SS) in UTC, by the proleptic Gregorian calendar.
fn civil(seconds: u64) -> (String, String) {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 0000-03-01, in eras of 400 years.
    let z = days + 719_468;
    let (era, day) = (z / 146_097, z % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60),
    )
}

/// Adds `data` to the unfinished line `partial` and returns formatted lines. At the `end` of the
/// stream an unfinished line is flushed.
pub fn format_lines(stream: &str, now: u64, partial: &mut Vec<u8>, data: &[u8], end: bool) -> Vec<u8> {
    let (date, time) = civil(now / 1_000_000_000);
    let head = format!("{date}T{time}.{:09}Z {stream} ", now % 1_000_000_000);
    let mut out = Vec::with_capacity(data.len() + data.len() / 8 + 64);
    let mut put = |tag: &[u8], parts: [&[u8]; 2]| {
        for part in [head.as_bytes(), tag, b" ", parts[0], parts[1], b"\n"] {
            out.extend_from_slice(part);
        }
    };
    let mut rest = data;
    while !rest.is_empty() {
        let room = LOG_LINE_BYTES - partial.len();
        let window = &rest[..rest.len().min(room)];
        match window.iter().position(|b| *b == b'\n') {
            Some(at) => {
                put(b"F", [partial, &rest[..at]]);
                *partial = Vec::new();
                rest = &rest[at + 1..];
            }
            None if window.len() == room && rest.get(room) == Some(&b'\n') => {
                // Exactly as long as allowed: still one whole line.
                put(b"F", [partial, window]);
                *partial = Vec::new();
                rest = &rest[room + 1..];
            }
            None if window.len() == room && rest.len() > room => {
                put(b"P", [partial, window]);
                *partial = Vec::new();
                rest = &rest[room..];
            }
            None => {
                partial.extend_from_slice(window);
                // A full buffer waits for one more byte to know whether its line ends here.
                rest = &rest[window.len()..];
            }
        }
    }
    if end && !partial.is_empty() {
        put(b"P", [partial, b""]);
        *partial = Vec::new();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: u64 = 1_475_713_757_669_794_202;

    #[test]
    fn a_line_reads_as_the_cri_format_says() {
        let mut partial = Vec::new();
        let got = format_lines("stdout", AT, &mut partial, b"msg\nhalf", false);
        assert_eq!(String::from_utf8(got).unwrap(), "2016-10-06T00:29:17.669794202Z stdout F msg\n");
        let got = format_lines("stdout", AT, &mut partial, b"", true);
        assert!(got.ends_with(b"stdout P half\n"));
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(civil(seconds).0, date);
        }
    }

    #[test]
    fn files_rotate_and_old_ones_go() {
        let dir = std::env::temp_dir().join(format!("minke-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let spec = LogSpec { path: dir.join("0.log"), max_size: 100, max_files: 3 };
        let mut log = Log::open(spec).unwrap();
        for i in 0..10 {
            log.write(format!("{i}{}\n", "x".repeat(58)).as_bytes());
        }
        let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().flatten().map(|e| e.path()).collect();
        files.sort();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(std::fs::read_to_string(&files[0]).unwrap().starts_with('9'));
        assert!(std::fs::read_to_string(&files[2]).unwrap().starts_with('8'));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    proptest! {
        /// However output is cut into reads, joining the lines gives it back, and no line is long.
        #[test]
        fn nothing_is_lost_or_changed(
            lines in prop::collection::vec((prop::collection::vec(97u8..100, 0..40), any::<bool>(), 0usize..3), 0..20),
            cut in 1usize..40_000,
        ) {
            let mut data = Vec::new();
            for (line, newline, long) in &lines {
                data.extend(line.iter().cycle().take(if line.is_empty() { 0 } else { line.len() + long * LOG_LINE_BYTES }));
                if *newline { data.push(b'\n'); }
            }
            let (mut partial, mut out) = (Vec::new(), Vec::new());
            for chunk in data.chunks(cut) {
                out.extend(format_lines("stderr", AT, &mut partial, chunk, false));
                prop_assert!(partial.len() <= LOG_LINE_BYTES);
            }
            out.extend(format_lines("stderr", AT, &mut partial, b"", true));
            let mut joined = Vec::new();
            for line in out.split_inclusive(|b| *b == b'\n') {
                let text = &line["2016-10-06T00:29:17.669794202Z stderr ".len()..line.len() - 1];
                prop_assert!(text.len() <= LOG_LINE_BYTES + 2);
                joined.extend(&text[2..]);
                if text[0] == b'F' { joined.push(b'\n'); }
            }
            prop_assert_eq!(joined, data);
        }
    }
}
