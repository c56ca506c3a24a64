//! The protobuf wire format: tags, varints, lengths. Knows nothing of messages' meaning.

use crate::decode::DecodeError;

/// One value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

fn bad(what: &str) -> DecodeError {
    DecodeError::Syntax(format!("proto: {what}"))
}

impl<'a> Wire<'a> {
    pub fn text(self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| bad("field contains invalid UTF-8"))
    }

    pub fn bytes(self) -> Result<&'a [u8], DecodeError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(bad("wrong wireType")),
        }
    }

    /// Varints are two's complement, also those of 32 bits.
    pub fn integer(self) -> Result<i64, DecodeError> {
        match self {
            Self::Varint(n) | Self::Fixed64(n) => Ok(n as i64),
            Self::Fixed32(n) => Ok(i64::from(n as i32)),
            Self::Bytes(_) => Err(bad("wrong wireType")),
        }
    }

    pub fn double(self) -> Result<f64, DecodeError> {
        match self {
            Self::Fixed64(bits) => Ok(f64::from_bits(bits)),
            Self::Fixed32(bits) => Ok(f64::from(f32::from_bits(bits))),
            _ => Err(bad("wrong wireType")),
        }
    }
}

/// Reads the fields of one message in the order of the wire.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    pub fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or_else(|| bad("illegal tag"))?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| bad("length overflow"))?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(bad("illegal wireType")),
        };
        Ok(Some((number, value)))
    }

    /// The rest as packed varints.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad("integer overflow"))
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| bad("unexpected EOF"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| bad("unexpected EOF"))?;
        self.0 = rest;
        Ok(*taken)
    }
}

pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub fn put_integer(out: &mut Vec<u8>, number: u8, value: i64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value as u64);
}

pub fn put_double(out: &mut Vec<u8>, number: u8, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

pub fn put_bytes(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
