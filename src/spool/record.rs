//! Records as they lie on flash: the header, drawn once, and the walk through a segment that finds them.
//! The table is in `spool/mod.rs`; numbers are little-endian.
//! Danger: a record that is torn, stale or forged must never be taken; one that is whole must be found.

use std::fmt;
use std::ops::Range;

use memchr::memmem;

use crate::limits::{FLASH_PAGE_BYTES, RECORD_PAYLOAD_BYTES_MAX};
use crate::mail::QueueId;

/// The fixed part of every record. Records begin at multiples of [`ALIGN`].
pub const HEADER_BYTES: usize = 32;
pub const ALIGN: usize = 8;

const CRC: Range<usize> = 0..4;
const LENGTH: Range<usize> = 4..8;
const NONCE: Range<usize> = 8..16;
const ID: Range<usize> = 16..24;
const DETAIL: Range<usize> = 24..28;
const KIND: usize = 28;
const VERSION: usize = 29;
const MAGIC: Range<usize> = 30..32;

const MAGIC_BYTES: [u8; 2] = *b"Sp";
const VERSION_NOW: u8 = 1;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A piece of a message that is too large for one record; the detail is its number, from 0.
    Data,
    /// The message is there: see `commit.rs` for the payload.
    Commit,
    /// Where its recipients stand: see `state.rs` for the payload. The latest one counts.
    State,
    /// The message is over. The payload lists the segments (u32) that may still hold a commit of it.
    Done,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Kind::Data => 1,
            Kind::Commit => 2,
            Kind::State => 3,
            Kind::Done => 4,
        }
    }

    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Kind::Data),
            2 => Some(Kind::Commit),
            3 => Some(Kind::State),
            4 => Some(Kind::Done),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Data => "data",
            Kind::Commit => "commit",
            Kind::State => "state",
            Kind::Done => "done",
        })
    }
}

/// A whole record, its checksum proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: Kind,
    pub id: QueueId,
    pub detail: u32,
    pub payload: &'a [u8],
    /// The nonce in its header was damaged; the checksum proves that it was this segment's.
    pub mended: bool,
}

/// The bytes that a record with such a payload takes, header and padding included.
pub const fn record_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGN)
}

/// Appends a record made of the given pieces of payload, padded with zeros to [`ALIGN`]; gives its bytes.
/// `out` must end at a multiple of [`ALIGN`], and the payload must be within its bound.
pub fn append(out: &mut Vec<u8>, nonce: u64, kind: Kind, id: QueueId, detail: u32, payload: &[&[u8]]) -> u32 {
    let start = out.len();
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    debug_assert!(start.is_multiple_of(ALIGN) && length <= RECORD_PAYLOAD_BYTES_MAX);
    let mut header = [0u8; HEADER_BYTES];
    header[LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
    header[NONCE].copy_from_slice(&nonce.to_le_bytes());
    header[ID].copy_from_slice(&id.as_u64().to_le_bytes());
    header[DETAIL].copy_from_slice(&detail.to_le_bytes());
    header[KIND] = kind.byte();
    header[VERSION] = VERSION_NOW;
    header[MAGIC].copy_from_slice(&MAGIC_BYTES);
    out.extend_from_slice(&header);
    for piece in payload {
        out.extend_from_slice(piece);
    }
    let crc = crc32fast::hash(&out[start + CRC.end..]);
    out[start..][CRC].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + record_bytes(length), 0);
    record_bytes(length) as u32
}

/// Why bytes are no record of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing here claims to be a record of this segment.
    Nothing,
    /// A header of this segment, but its fields are out of their bounds.
    Header,
    /// The record reaches past the end of the bytes.
    CutShort,
    /// The checksum disagrees with the content.
    Checksum,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Nothing => "no record where one belongs",
            Fault::Header => "a record's header is damaged",
            Fault::CutShort => "a record is cut short",
            Fault::Checksum => "a record's checksum is wrong",
        })
    }
}

/// Reads the record of the segment `nonce` that begins with the first of `bytes`.
pub fn parse(bytes: &[u8], nonce: u64) -> Result<Record<'_>, Fault> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Fault::Nothing)?;
    let ours = number(header, NONCE) == nonce;
    if !ours && header[MAGIC] != MAGIC_BYTES {
        return Err(Fault::Nothing);
    }
    let fault = |ours_fault| if ours { ours_fault } else { Fault::Nothing };
    let length = number(header, LENGTH) as usize;
    let kind = Kind::from_byte(header[KIND]);
    let id = QueueId::from_u64(number(header, ID));
    let (Some(kind), Some(id)) = (kind, id) else { return Err(fault(Fault::Header)) };
    if length > RECORD_PAYLOAD_BYTES_MAX || header[VERSION] != VERSION_NOW || header[MAGIC] != MAGIC_BYTES {
        return Err(fault(Fault::Header));
    }
    let Some(payload) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
        return Err(fault(Fault::CutShort));
    };
    if checksum(header, nonce, payload) != number(header, CRC) as u32 {
        return Err(fault(Fault::Checksum));
    }
    Ok(Record { kind, id, detail: number(header, DETAIL) as u32, payload, mended: !ours })
}

/// What a header of this segment says of its record, true or not.
fn claimed(bytes: &[u8], nonce: u64) -> Option<(Kind, QueueId)> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let id = QueueId::from_u64(number(header, ID))?;
    if number(header, NONCE) == nonce { Some((Kind::from_byte(header[KIND])?, id)) } else { None }
}

/// The checksum as it must be in a segment with this nonce, whatever the header's own nonce says.
fn checksum(header: &[u8; HEADER_BYTES], nonce: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[LENGTH]);
    crc.update(&nonce.to_le_bytes());
    crc.update(&header[NONCE.end..]);
    crc.update(payload);
    crc.finalize()
}

/// A number of up to eight bytes.
fn number(header: &[u8; HEADER_BYTES], field: Range<usize>) -> u64 {
    header[field].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Zeros at the front of `bytes`, in multiples of [`ALIGN`] unless these are all.
fn leading_zeros(bytes: &[u8]) -> usize {
    let units = bytes.chunks(ALIGN).take_while(|unit| **unit == [0; ALIGN][..unit.len()]);
    (units.count() * ALIGN).min(bytes.len())
}

/// What the walk through a segment comes upon.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    Record {
        offset: usize,
        record: Record<'a>,
    },
    /// `of`: the record that begins there, as its own header says; nothing proves it.
    Damage {
        range: Range<usize>,
        why: Fault,
        of: Option<(Kind, QueueId)>,
    },
}

/// The walk: records one behind the other; zeros up to a page are padding; what is neither is damage, and
/// behind it the walk goes on at the next record.
pub struct Walk<'a> {
    bytes: &'a [u8],
    nonce: u64,
    at: usize,
    /// The damage has been told; this record comes next.
    next: Option<usize>,
    /// Where everything of this segment ends: nothing of it lies behind.
    end: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8], nonce: u64) -> Self {
        Walk { bytes, nonce, at: 0, next: None, end: 0 }
    }

    /// The end of the last record or damage met so far.
    pub fn end(&self) -> usize {
        self.end
    }

    /// What lies between `at` and the next record, or the end: padding, old content, or damage.
    fn judge_gap(&self) -> (Option<usize>, Option<(Range<usize>, Fault)>) {
        let mut last_claim = None;
        for claim in self.claims() {
            if parse(&self.bytes[claim..], self.nonce).is_ok() {
                return (Some(claim), self.harm_before(claim));
            }
            last_claim = Some(claim);
        }
        (None, last_claim.and_then(|claim| self.harm_before(self.claimed_end(claim))))
    }

    /// Goes to the next page if nothing but zeros lies before it.
    fn skip_padding(&mut self) {
        const ZEROS: [u8; FLASH_PAGE_BYTES] = [0; FLASH_PAGE_BYTES];
        let page = self.at.next_multiple_of(FLASH_PAGE_BYTES).min(self.bytes.len());
        if self.bytes[self.at..page] == ZEROS[..page - self.at] {
            self.at = page;
        }
    }

    /// What lies before `end` and is no padding.
    fn harm_before(&self, end: usize) -> Option<(Range<usize>, Fault)> {
        let start = self.at + leading_zeros(&self.bytes[self.at..end]);
        let fault = parse(&self.bytes[start..end], self.nonce).err().unwrap_or(Fault::Nothing);
        (start < end).then_some((start..end, fault))
    }

    /// Places from `at` on whose header would carry the nonce.
    fn claims(&self) -> impl Iterator<Item = usize> {
        let nonce = self.nonce.to_le_bytes();
        let rest = self.bytes.get(self.at + NONCE.start..).unwrap_or(&[]);
        let (mut from, at) = (0, self.at);
        std::iter::from_fn(move || {
            loop {
                let found = from + memmem::find(rest.get(from..)?, &nonce)?;
                from = (found + 1).next_multiple_of(ALIGN);
                if found.is_multiple_of(ALIGN) {
                    return Some(at + found);
                }
            }
        })
    }

    fn claimed_end(&self, claim: usize) -> usize {
        let header = self.bytes[claim..].first_chunk::<HEADER_BYTES>();
        let length = header.map_or(0, |h| number(h, LENGTH) as usize);
        let length = if length > RECORD_PAYLOAD_BYTES_MAX { 0 } else { length };
        (claim + record_bytes(length)).min(self.bytes.len())
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if let Some(next) = self.next.take() {
            self.at = next;
        }
        if parse(self.bytes.get(self.at..)?, self.nonce).is_err() {
            self.skip_padding();
        }
        match parse(self.bytes.get(self.at..)?, self.nonce) {
            Ok(record) => {
                let offset = self.at;
                self.at += record_bytes(record.payload.len());
                self.end = self.at;
                Some(Found::Record { offset, record })
            }
            Err(_) => match self.judge_gap() {
                (Some(next), None) => {
                    self.at = next;
                    self.next()
                }
                (next, Some((range, why))) => {
                    self.end = range.end;
                    self.at = self.bytes.len();
                    self.next = next;
                    let of = claimed(&self.bytes[range.start..], self.nonce);
                    Some(Found::Damage { range, why, of })
                }
                (None, None) => {
                    self.at = self.bytes.len();
                    None
                }
            },
        }
    }
}
