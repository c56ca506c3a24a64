//! Building netlink messages: header, fixed part, attributes, nested attributes.

/// Alignment of messages and attributes.
const ALIGN: usize = 4;
const HEADER: usize = 16;

/// A batch of messages in one buffer.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub count: u32,
}

/// One message being built; finished when dropped out of [`Batch::message`].
pub struct Message<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Batch {
    /// Appends one request that wants an acknowledgement; `fixed` is the family header.
    pub fn message(&mut self, kind: u16, flags: u16, fixed: &[u8], build: impl FnOnce(&mut Message<'_>)) {
        let start = self.bytes.len();
        self.count += 1;
        let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        debug_assert_eq!(self.bytes.len() - start, HEADER);
        self.bytes.extend_from_slice(fixed);
        let mut message = Message { bytes: &mut self.bytes };
        message.pad();
        build(&mut message);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }
}

impl Message<'_> {
    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(ALIGN) {
            self.bytes.push(0);
        }
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = (4 + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
    }

    pub fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// A string with its terminating zero.
    pub fn string(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    pub fn nested(&mut self, kind: u16, build: impl FnOnce(&mut Message<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 2]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        build(&mut Message { bytes: self.bytes });
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Bytes without an attribute header (the fixed part of a nested message).
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_headers_and_attributes_are_padded() {
        let mut batch = Batch::default();
        batch.message(16, 0, &[0; 16], |m| {
            m.string(3, "ab");
            m.nested(18, |m| m.attribute(1, b"veth"));
        });
        assert_eq!(batch.bytes.len(), 16 + 16 + 8 + 4 + 8);
        assert_eq!(batch.bytes[..4], 52u32.to_ne_bytes());
        assert_eq!(batch.bytes[32..34], 7u16.to_ne_bytes());
        assert_eq!(batch.bytes[40..42], 12u16.to_ne_bytes());
    }
}
