//! The little of protobuf's wire format that etcd's messages need: varints and length-delimited fields.
//! No schema and no reflection: `messages.rs` knows the numbers.

use bytes::{Buf, Bytes};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Writes a message. Fields with their default value are left out, as proto3 does.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn number(mut self, field: u64, value: u64) -> Writer {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
        self
    }

    /// Writes a number even if it is 0.
    pub fn zero(mut self, field: u64) -> Writer {
        self.varint(field << 3 | VARINT);
        self.varint(0);
        self
    }

    pub fn flag(self, field: u64, value: bool) -> Writer {
        self.number(field, u64::from(value))
    }

    pub fn bytes(self, field: u64, value: &[u8]) -> Writer {
        if value.is_empty() { self } else { self.field(field, value) }
    }

    /// A message is written even when it is empty: that it is there says which one it is.
    pub fn message(self, field: u64, message: Writer) -> Writer {
        self.field(field, &message.0)
    }

    /// Also writes an empty value (a choice among fields keeps its meaning).
    pub fn field(mut self, field: u64, value: &[u8]) -> Writer {
        self.varint(field << 3 | BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// A field of a message that is read.
pub enum Value {
    Number(u64),
    Bytes(Bytes),
}

impl Value {
    pub fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }

    pub fn bytes(self) -> Bytes {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => Bytes::new(),
        }
    }
}

/// The answer was not what a protobuf message looks like.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

fn varint(bytes: &mut Bytes) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        if !bytes.has_remaining() {
            return Err(Malformed);
        }
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

fn take(bytes: &mut Bytes, count: u64) -> Result<Bytes, Malformed> {
    match usize::try_from(count) {
        Ok(count) if count <= bytes.len() => Ok(bytes.split_to(count)),
        _ => Err(Malformed),
    }
}

/// Hands every field to `each`; unknown ones are for it to ignore. Nothing is copied.
pub fn read(
    mut bytes: Bytes,
    mut each: impl FnMut(u64, Value) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while bytes.has_remaining() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            VARINT => Value::Number(varint(&mut bytes)?),
            BYTES => {
                let length = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, length)?)
            }
            FIXED64 => Value::Bytes(take(&mut bytes, 8)?),
            FIXED32 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return Err(Malformed),
        };
        each(tag >> 3, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Writer::default().number(1, 300).bytes(2, b"x");
        let message = Writer::default().number(3, u64::MAX).flag(4, false).message(5, inner).field(6, b"");
        let bytes = Bytes::from(message.finish());
        let mut seen = Vec::new();
        let outcome = read(bytes, |field, value| {
            seen.push((field, matches!(value, Value::Number(u64::MAX)), value.bytes().len()));
            Ok(())
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(seen, [(3, true, 0), (5, false, 6), (6, false, 0)]);
    }

    #[test]
    fn bad_bytes_are_refused() {
        let bad: [&[u8]; 5] = [&[0x08], &[0x12, 5, 1], &[0x0b], &[0x80; 11], &[0x09, 1, 2]];
        for bytes in bad {
            assert_eq!(read(Bytes::copy_from_slice(bytes), |_, _| Ok(())), Err(Malformed), "{bytes:?}");
        }
    }
}
