//! Little-endian numbers and counted texts within a record's payload: one writer, one reader.
//! The reader takes arbitrary bytes and answers `None` past their end; it never panics.

/// Appends fields to a payload.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn u8(&mut self, n: u8) {
        self.0.push(n);
    }

    pub fn u16(&mut self, n: u16) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn u32(&mut self, n: u32) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    pub fn u64(&mut self, n: u64) {
        self.0.extend_from_slice(&n.to_le_bytes());
    }

    /// A length of two bytes, then the text; what is longer than `bytes_max` is cut at a character.
    pub fn text(&mut self, text: &str, bytes_max: u16) {
        let cut = text.floor_char_boundary(usize::from(bytes_max));
        let kept = &text[..cut];
        self.u16(u16::try_from(kept.len()).unwrap_or(bytes_max));
        self.0.extend_from_slice(kept.as_bytes());
    }
}

/// Takes fields from a payload, front to back.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let count = self.u16()?;
        std::str::from_utf8(self.bytes(usize::from(count))?).ok()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_read_back_in_their_order() {
        let mut w = Writer::default();
        w.u8(7);
        w.u16(0x1234);
        w.u32(5);
        w.u64(u64::MAX);
        w.text("grüße", 4);
        let mut r = Reader(&w.0);
        assert_eq!((r.u8(), r.u16(), r.u32(), r.u64()), (Some(7), Some(0x1234), Some(5), Some(u64::MAX)));
        assert_eq!(r.text(), Some("grü"));
        assert_eq!((r.u8(), r.text(), r.bytes(1)), (None, None, None));
    }
}
