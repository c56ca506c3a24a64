//! The form of a snapshot: a line about it, a line for each key, a line with the checksum. Lines are
//! JSON, values base64, so that any tool can look into it. Read whole or refused.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use store::{Entry, Ranged};

const FORMAT: &str = "minke-store-snapshot-1";

pub fn write((revision, entries): &Ranged) -> String {
    let mut text = json!({"format": FORMAT, "revision": revision, "keys": entries.len()}).to_string();
    for entry in entries {
        text.push('\n');
        let line = json!({
            "key": &*entry.key,
            "created": entry.create_revision,
            "modified": entry.mod_revision,
            "expires": entry.expires_ms,
            "value": STANDARD.encode(&entry.value),
        });
        text.push_str(&line.to_string());
    }
    text.push('\n');
    let sum = crc32c::crc32c(text.as_bytes());
    text.push_str(&json!({ "crc32c": sum }).to_string());
    text.push('\n');
    text
}

pub fn read(text: &str) -> Result<Ranged, String> {
    let bad = |what: &str| format!("this is no whole snapshot: {what}");
    let body = text.strip_suffix('\n').ok_or_else(|| bad("its end is missing"))?;
    let (body, last) = body.rsplit_once('\n').ok_or_else(|| bad("its end is missing"))?;
    let parse = |line: &str| serde_json::from_str::<Value>(line).map_err(|_| bad("a line is not JSON"));
    let sum = parse(last)?["crc32c"].as_u64().ok_or_else(|| bad("its end is missing"))?;
    if sum != u64::from(crc32c::crc32c(&text.as_bytes()[..body.len() + 1])) {
        return Err(bad("its checksum does not fit"));
    }
    let mut lines = body.lines();
    let head = parse(lines.next().unwrap_or_default())?;
    if head["format"] != FORMAT {
        return Err(bad("its format is not known"));
    }
    let revision = head["revision"].as_u64().ok_or_else(|| bad("it names no revision"))?;
    let entry = |line: &str| {
        let line = parse(line)?;
        let number = |field: &str| line[field].as_u64().ok_or_else(|| bad("a number is missing"));
        let key = line["key"].as_str().ok_or_else(|| bad("a key is missing"))?;
        let value = STANDARD.decode(line["value"].as_str().unwrap_or_default());
        let value = value.map_err(|_| bad("a value is not base64"))?;
        let (created, modified) = (number("created")?, number("modified")?);
        Ok::<_, String>(Arc::new(Entry::new(
            key.into(),
            created,
            modified,
            line["expires"].as_i64(),
            value.into(),
        )))
    };
    let entries: Vec<_> = lines.map(entry).collect::<Result<_, _>>()?;
    if head["keys"].as_u64() != Some(entries.len() as u64) {
        return Err(bad("keys are missing"));
    }
    Ok((revision, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_and_nothing_less() {
        let entry = |key: &str, value: &'static [u8]| {
            Arc::new(Entry::new(key.into(), 2, 3, Some(7), bytes::Bytes::from_static(value)))
        };
        let state = (9, vec![entry("/registry/a", b"{}"), entry("/registry/b", b"\0\n\xff")]);
        let text = write(&state);
        let (revision, entries) = read(&text).expect("whole");
        assert_eq!((revision, entries.len()), (9, 2));
        assert_eq!((&*entries[1].key, &entries[1].value[..]), ("/registry/b", &b"\0\n\xff"[..]));
        assert_eq!(
            (entries[1].create_revision, entries[1].mod_revision, entries[1].expires_ms),
            (2, 3, Some(7))
        );
        for cut in 0..text.len() {
            assert!(read(&text[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&text.replace("registry/a", "registry/c")).is_err(), "changed");
    }
}
