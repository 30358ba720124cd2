//! The parcel of an update, taken in pieces as they come. The head is five lines; the image follows it:
//!
//! ```text
//! stagepost update 1
//! board NAME
//! bytes COUNT                    of the image
//! sha256 64 hexadecimal digits   of the image
//! signature 128 of them          Ed25519 over the four lines above, each with its line feed
//! ```
//!
//! Danger: nothing of the image is given on before the signature of the head has been verified, and the
//! image counts only when all of it was seen with the digest that was signed.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use memchr::memchr;
use ring::digest::{Context, SHA256};
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::limits::{PARCEL_HEAD_BYTES_MAX, SLOT_BYTES_MAX};

/// Bytes of an Ed25519 public key.
pub const KEY_BYTES: usize = 32;

/// Why a parcel is not taken, as the operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParcelError {
    NoParcel,
    BadSignature,
    /// For the board of this name.
    WrongBoard(String),
    TooLarge(u64),
    /// Bytes that are missing at its end.
    CutOff(u64),
    /// More bytes than it announced.
    TooLong,
    BadImage,
}

impl fmt::Display for ParcelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParcelError::NoParcel => write!(f, "this is no firmware update"),
            ParcelError::BadSignature => write!(f, "the update is not signed with this box's key"),
            ParcelError::WrongBoard(board) => write!(f, "the update is for the board {board}"),
            ParcelError::TooLarge(bytes) => write!(f, "an image of {bytes} bytes does not fit into a slot"),
            ParcelError::CutOff(missing) => write!(f, "the update is cut off, {missing} bytes are missing"),
            ParcelError::TooLong => write!(f, "the update is longer than it says"),
            ParcelError::BadImage => write!(f, "the image is damaged: its SHA-256 is not the one signed"),
        }
    }
}

impl std::error::Error for ParcelError {}

/// A head whose signature was good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub bytes: u64,
    pub sha256: [u8; 32],
}

/// Takes a parcel in pieces and gives its image on.
pub struct Unpacker {
    key: [u8; KEY_BYTES],
    board: String,
    state: State,
}

enum State {
    Head(Vec<u8>),
    Image { head: Head, seen: u64, digest: Box<Context> },
}

impl Unpacker {
    /// `key` verifies the head; `board` is the name of this box's board.
    pub fn new(key: [u8; KEY_BYTES], board: &str) -> Self {
        Unpacker { key, board: board.to_owned(), state: State::Head(Vec::new()) }
    }

    /// Takes the next piece, and gives the bytes of the image in it.
    ///
    /// # Errors
    /// Whatever is wrong with the head, or more bytes than announced. The parcel is of no use then.
    pub fn input<'p>(&mut self, piece: &'p [u8]) -> Result<&'p [u8], ParcelError> {
        let image = match &mut self.state {
            State::Image { .. } => piece,
            State::Head(gathered) => {
                let Some(used) = gather(gathered, piece)? else { return Ok(&[]) };
                let head = read_head(gathered, &self.key, &self.board)?;
                self.state = State::Image { head, seen: 0, digest: Box::new(Context::new(&SHA256)) };
                &piece[used..]
            }
        };
        if let State::Image { head, seen, digest } = &mut self.state {
            *seen += image.len() as u64;
            if *seen > head.bytes {
                return Err(ParcelError::TooLong);
            }
            digest.update(image);
        }
        Ok(image)
    }

    /// The parcel has ended.
    ///
    /// # Errors
    /// `CutOff` and `BadImage`; nothing of the image may be used then.
    pub fn finish(self) -> Result<Head, ParcelError> {
        match self.state {
            State::Head(_) => Err(ParcelError::NoParcel),
            State::Image { head, seen, .. } if seen < head.bytes => {
                Err(ParcelError::CutOff(head.bytes - seen))
            }
            State::Image { head, digest, .. } => match digest.finish().as_ref() == head.sha256 {
                true => Ok(head),
                false => Err(ParcelError::BadImage),
            },
        }
    }
}

/// Lines of the head.
const LINES: usize = 5;

/// Adds the head's part of `piece`; how many bytes those were once the head is whole.
fn gather(head: &mut Vec<u8>, piece: &[u8]) -> Result<Option<usize>, ParcelError> {
    let mut lines = head.iter().filter(|&&byte| byte == b'\n').count();
    let mut used = 0;
    while lines < LINES {
        let Some(at) = memchr(b'\n', &piece[used..]) else { break };
        used += at + 1;
        lines += 1;
    }
    let whole = lines == LINES;
    let part = if whole { &piece[..used] } else { piece };
    if head.len() + part.len() > PARCEL_HEAD_BYTES_MAX {
        return Err(ParcelError::NoParcel);
    }
    head.extend_from_slice(part);
    Ok(whole.then_some(used))
}

fn read_head(head: &[u8], key: &[u8; KEY_BYTES], board: &str) -> Result<Head, ParcelError> {
    let text = std::str::from_utf8(head).map_err(|_| ParcelError::NoParcel)?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let [kind, for_board, bytes, sha256, signature] = lines[..] else { return Err(ParcelError::NoParcel) };
    let value = |line: &'static str, of: &str| -> Result<String, ParcelError> {
        let rest = of.strip_prefix(line).and_then(|rest| rest.strip_suffix('\n'));
        rest.map(str::to_owned).ok_or(ParcelError::NoParcel)
    };
    if kind != "stagepost update 1\n" {
        return Err(ParcelError::NoParcel);
    }
    let hex = |text: String| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| ParcelError::NoParcel);
    let signature_bytes = hex(value("signature ", signature)?)?;
    let signed = &head[..head.len() - signature.len()];
    UnparsedPublicKey::new(&ED25519, key)
        .verify(signed, &signature_bytes)
        .map_err(|_| ParcelError::BadSignature)?;
    let for_board = value("board ", for_board)?;
    if for_board != board {
        return Err(ParcelError::WrongBoard(for_board));
    }
    let bytes = value("bytes ", bytes)?.parse().map_err(|_| ParcelError::NoParcel)?;
    if bytes > SLOT_BYTES_MAX {
        return Err(ParcelError::TooLarge(bytes));
    }
    let sha256 = hex(value("sha256 ", sha256)?)?.try_into().map_err(|_| ParcelError::NoParcel)?;
    Ok(Head { bytes, sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::digest::digest;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    fn signer() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn key() -> [u8; KEY_BYTES] {
        signer().public_key().as_ref().try_into().unwrap()
    }

    fn parcel(board: &str, bytes: u64, image: &[u8]) -> Vec<u8> {
        let sha256 = HEXLOWER_PERMISSIVE.encode(digest(&SHA256, image).as_ref());
        let mut head = format!("stagepost update 1\nboard {board}\nbytes {bytes}\nsha256 {sha256}\n");
        let signature = HEXLOWER_PERMISSIVE.encode(signer().sign(head.as_bytes()).as_ref());
        head.push_str(&format!("signature {signature}\n"));
        [head.as_bytes(), image].concat()
    }

    /// The image that comes out, or why none does.
    fn unpacked(parcel: &[u8], piece: usize) -> Result<Vec<u8>, ParcelError> {
        let mut unpacker = Unpacker::new(key(), "pc");
        let mut image = Vec::new();
        for piece in parcel.chunks(piece) {
            image.extend_from_slice(unpacker.input(piece)?);
        }
        unpacker.finish().map(|_| image)
    }

    const IMAGE: &[u8] = b"hsqs and\nthe rest\n\n\n\n\n\n";

    #[test]
    fn an_image_comes_out_whole_whatever_the_pieces() {
        let parcel = parcel("pc", IMAGE.len() as u64, IMAGE);
        for piece in [1, 2, 7, 100, 4096] {
            assert_eq!(unpacked(&parcel, piece).unwrap(), IMAGE, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_not_right_is_refused() {
        let good = parcel("pc", IMAGE.len() as u64, IMAGE);
        let flipped = |at: usize| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        };
        let in_signature = good.len() - IMAGE.len() - 3;
        for (caption, parcel, error) in [
            ("nothing", vec![], ParcelError::NoParcel),
            ("another file", b"\x7fELF\n\n\n\n\n".to_vec(), ParcelError::NoParcel),
            ("no line ends", vec![b'x'; 10_000], ParcelError::NoParcel),
            ("another kind", flipped(0), ParcelError::NoParcel),
            ("another board, unsigned", flipped(26), ParcelError::BadSignature),
            ("a broken signature", flipped(in_signature), ParcelError::BadSignature),
            ("for another board", parcel("pd", 0, b""), ParcelError::WrongBoard("pd".into())),
            ("too large", parcel("pc", SLOT_BYTES_MAX + 1, b""), ParcelError::TooLarge(SLOT_BYTES_MAX + 1)),
            ("cut off", good[..good.len() - 4].to_vec(), ParcelError::CutOff(4)),
            ("longer than it says", [&good[..], b"x"].concat(), ParcelError::TooLong),
            ("damaged at the end", flipped(good.len() - 1), ParcelError::BadImage),
        ] {
            assert_eq!(unpacked(&parcel, 64).unwrap_err(), error, "{caption}");
        }
    }

    proptest! {
        #[test]
        fn no_parcel_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1..64_usize) {
            prop_assert!(unpacked(&bytes, piece).is_err());
        }
    }
}
