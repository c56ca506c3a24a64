//! The last words of a container (`terminationMessagePath`): the start of its file, or the end of
//! its log where the policy says so and the file is empty.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes taken from the file (upstream's MaxContainerTerminationMessageLength).
const FILE_BYTES: u64 = 4096;
/// Bytes and lines taken from the log.
const LOG_BYTES: usize = 2048;
const LOG_LINES: usize = 80;
/// How much of the log's end is read to find them.
const LOG_TAIL: u64 = 64 << 10;

/// `log` is given where the policy is FallbackToLogsOnError and the container failed.
pub fn termination_message(file: &Path, log: Option<&Path>) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(file) {
        let _ = file.take(FILE_BYTES).read_to_end(&mut bytes);
    }
    match log {
        Some(log) if bytes.is_empty() => log_tail(log),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

fn log_tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let length = file.metadata().map(|m| m.len()).unwrap_or(0);
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)));
    let mut bytes = Vec::new();
    let _ = file.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    // Time, stream and tag stand before the text of each line.
    let lines: Vec<&str> = text.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
    let mut out = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    if !out.is_empty() {
        out.push('\n');
    }
    let mut start = out.len().saturating_sub(LOG_BYTES);
    while !out.is_char_boundary(start) {
        start += 1;
    }
    out.split_off(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_counts_and_the_log_helps_out() {
        let dir = std::env::temp_dir().join(format!("minke-messages-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("writable");
        let (file, log) = (dir.join("message"), dir.join("0.log"));
        std::fs::write(&log, "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr F two\n")
            .expect("written");
        assert_eq!(termination_message(&file, None), "");
        assert_eq!(termination_message(&file, Some(&log)), "one\ntwo\n");
        std::fs::write(&file, "last words").expect("written");
        assert_eq!(termination_message(&file, Some(&log)), "last words");
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
