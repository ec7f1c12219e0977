//! Numbers and byte strings as bytes, one way each.
//!
//! Numbers without sign are LEB128: seven bits a byte, lowest first, the top bit says that more
//! follow; the last byte is not zero unless it is the only one. Numbers with sign go zigzag first.
//!
//! Invariant: reading is total. A [`Reader`] never reads past its end and never allocates.

use crate::record::RecordError;

/// Appends `value` as LEB128: 1 byte below 128, at most 10.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` zigzag: small magnitudes of both signs are short.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_number(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends the length of `bytes`, then `bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes still to be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], RecordError> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(RecordError::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RecordError> {
        let (&first, rest) = self.bytes.split_first().ok_or(RecordError::Truncated)?;
        self.bytes = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, RecordError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(RecordError::Malformed("a number is beyond 64 bits"));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 { Err(RecordError::Malformed("a number is padded")) } else { Ok(value) };
            }
            shift += 7;
            if shift > 63 {
                return Err(RecordError::Malformed("a number is beyond 64 bits"));
            }
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, RecordError> {
        let value = self.number()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A length and that many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], RecordError> {
        let count = usize::try_from(self.number()?).map_err(|_| RecordError::Truncated)?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, RecordError> {
        str::from_utf8(self.bytes()?).map_err(|_| RecordError::Malformed("a text is not UTF-8"))
    }

    /// The number of items that follow, each of at least `item_bytes_min` bytes: what a list may
    /// reserve room for without trusting the count.
    pub(crate) fn count(&mut self, item_bytes_min: usize) -> Result<usize, RecordError> {
        let count = self.number()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() / item_bytes_min => Ok(count),
            _ => Err(RecordError::Truncated),
        }
    }

    /// Refuses bytes that nobody asked for.
    pub(crate) fn end(&self) -> Result<(), RecordError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(RecordError::Malformed("bytes follow the end")) }
    }
}
