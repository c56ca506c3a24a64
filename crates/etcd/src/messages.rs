//! etcd's messages (`etcdserverpb`), as far as they are used: requests are written, answers read, by
//! the published field numbers.

use crate::wire::{Malformed, Writer, read};
use bytes::Bytes;

pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";

/// The end of the range of all keys with a prefix.
pub fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

/// A read of one key or of a range; linearizable unless said otherwise.
#[derive(Default)]
pub struct Range<'a> {
    pub key: &'a [u8],
    pub end: &'a [u8],
    pub limit: u64,
    pub revision: u64,
    pub keys_only: bool,
    pub count_only: bool,
}

impl Range<'_> {
    pub fn write(&self) -> Writer {
        Writer::default()
            .bytes(1, self.key)
            .bytes(2, self.end)
            .number(3, self.limit)
            .number(4, self.revision)
            .flag(8, self.keys_only)
            .flag(9, self.count_only)
    }
}

pub fn put(key: &[u8], value: &[u8], lease: u64) -> Writer {
    Writer::default().bytes(1, key).bytes(2, value).number(3, lease)
}

/// Deletes one key and answers what it was.
pub fn delete(key: &[u8]) -> Writer {
    Writer::default().bytes(1, key).flag(3, true)
}

/// What a transaction compares.
pub enum Compare {
    /// 0: the key is not there.
    ModRevision(u64),
    /// The key is there.
    Exists,
    Version(u64),
    Always,
}

impl Compare {
    pub fn write(&self, key: &[u8]) -> Writer {
        let (result, target) = match self {
            Compare::ModRevision(_) => (0, 2),
            Compare::Exists => (1, 0),
            Compare::Version(_) => (0, 0),
            // No version is below 0, so each is greater than -1.
            Compare::Always => (1, 0),
        };
        let compare = Writer::default().number(1, result).number(2, target).bytes(3, key);
        // The value compared with is one of a choice: without it nothing would be compared.
        match self {
            Compare::ModRevision(0) => compare.zero(6),
            Compare::ModRevision(revision) => compare.number(6, *revision),
            Compare::Exists | Compare::Version(0) => compare.zero(4),
            Compare::Version(version) => compare.number(4, *version),
            Compare::Always => compare.number(4, u64::MAX),
        }
    }
}

/// One operation of a transaction.
pub enum TxnOp {
    Range(Writer),
    Put(Writer),
    Delete(Writer),
}

pub fn txn(compare: Writer, success: Vec<TxnOp>, failure: Vec<TxnOp>) -> Writer {
    let op = |op| match op {
        TxnOp::Range(range) => Writer::default().message(1, range),
        TxnOp::Put(put) => Writer::default().message(2, put),
        TxnOp::Delete(delete) => Writer::default().message(3, delete),
    };
    let mut writer = Writer::default().message(1, compare);
    for each in success {
        writer = writer.message(2, op(each));
    }
    for each in failure {
        writer = writer.message(3, op(each));
    }
    writer
}

pub fn compaction(revision: u64) -> Writer {
    Writer::default().number(1, revision)
}

/// Starts a watch; large answers come in fragments.
pub fn watch(key: &[u8], end: &[u8], start_revision: u64) -> Writer {
    let create = Writer::default().bytes(1, key).bytes(2, end).number(3, start_revision).flag(8, true);
    Writer::default().message(1, create)
}

pub fn lease_grant(seconds: u64) -> Writer {
    Writer::default().number(1, seconds)
}

pub fn authenticate(name: &str, password: &str) -> Writer {
    Writer::default().bytes(1, name.as_bytes()).bytes(2, password.as_bytes())
}

#[derive(Debug, Default, Clone)]
pub struct KeyValue {
    pub key: Bytes,
    pub create_revision: u64,
    pub mod_revision: u64,
    pub version: u64,
    pub value: Bytes,
}

impl KeyValue {
    fn read(bytes: Bytes) -> Result<KeyValue, Malformed> {
        let mut kv = KeyValue::default();
        read(bytes, |field, value| {
            match field {
                1 => kv.key = value.bytes(),
                2 => kv.create_revision = value.number(),
                3 => kv.mod_revision = value.number(),
                4 => kv.version = value.number(),
                5 => kv.value = value.bytes(),
                _ => {}
            }
            Ok(())
        })?;
        Ok(kv)
    }
}

fn header_revision(bytes: Bytes) -> Result<u64, Malformed> {
    let mut revision = 0;
    read(bytes, |field, value| {
        if field == 3 {
            revision = value.number();
        }
        Ok(())
    })?;
    Ok(revision)
}

#[derive(Debug, Default)]
pub struct Ranged {
    pub revision: u64,
    pub kvs: Vec<KeyValue>,
    pub more: bool,
}

impl Ranged {
    pub fn read(bytes: Bytes) -> Result<Ranged, Malformed> {
        let mut ranged = Ranged::default();
        read(bytes, |field, value| {
            match field {
                1 => ranged.revision = header_revision(value.bytes())?,
                2 => ranged.kvs.push(KeyValue::read(value.bytes())?),
                3 => ranged.more = value.number() != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(ranged)
    }
}

/// The answer to a transaction, with the pairs its operations read (or deleted), in order.
#[derive(Debug, Default)]
pub struct TxnAnswer {
    pub revision: u64,
    pub succeeded: bool,
    pub kvs: Vec<KeyValue>,
}

impl TxnAnswer {
    pub fn read(bytes: Bytes) -> Result<TxnAnswer, Malformed> {
        let mut answer = TxnAnswer::default();
        read(bytes, |field, value| {
            match field {
                1 => answer.revision = header_revision(value.bytes())?,
                2 => answer.succeeded = value.number() != 0,
                3 => read(value.bytes(), |kind, value| {
                    match kind {
                        1 => answer.kvs.extend(Ranged::read(value.bytes())?.kvs),
                        3 => read(value.bytes(), |field, value| {
                            if field == 3 {
                                answer.kvs.push(KeyValue::read(value.bytes())?);
                            }
                            Ok(())
                        })?,
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(answer)
    }
}

#[derive(Debug)]
pub struct WatchEvent {
    pub deleted: bool,
    pub kv: KeyValue,
}

#[derive(Debug, Default)]
pub struct WatchAnswer {
    pub created: bool,
    pub canceled: bool,
    pub compact_revision: u64,
    pub cancel_reason: String,
    /// More of the same answer follows.
    pub fragment: bool,
    pub events: Vec<WatchEvent>,
}

impl WatchAnswer {
    pub fn read(bytes: Bytes) -> Result<WatchAnswer, Malformed> {
        let mut answer = WatchAnswer::default();
        read(bytes, |field, value| {
            match field {
                3 => answer.created = value.number() != 0,
                4 => answer.canceled = value.number() != 0,
                5 => answer.compact_revision = value.number(),
                6 => answer.cancel_reason = String::from_utf8_lossy(&value.bytes()).into_owned(),
                7 => answer.fragment = value.number() != 0,
                11 => {
                    let mut event = WatchEvent { deleted: false, kv: KeyValue::default() };
                    read(value.bytes(), |field, value| {
                        match field {
                            1 => event.deleted = value.number() == 1,
                            2 => event.kv = KeyValue::read(value.bytes())?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    answer.events.push(event);
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(answer)
    }
}

/// One number or one text of an answer: lease id, token.
pub fn field(bytes: Bytes, wanted: u64) -> Result<Option<crate::wire::Value>, Malformed> {
    let mut found = None;
    read(bytes, |field, value| {
        if field == wanted {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(prefix_end("/registry/"), b"/registry0");
        assert_eq!(prefix_end(""), [0], "everything");
    }

    #[test]
    fn a_comparison_with_nothing_is_written() {
        let absent = Compare::ModRevision(0).write(b"k").finish();
        assert_eq!(absent, [0x10, 2, 0x1a, 1, b'k', 0x30, 0]);
        let exists = Compare::Exists.write(b"k").finish();
        assert_eq!(exists, [0x08, 1, 0x1a, 1, b'k', 0x20, 0]);
    }
}
