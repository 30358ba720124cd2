//! 8-bit mail for a host that takes only seven bits: every part that needs it becomes quoted-printable or
//! base64. Source: RFC 6152 §3 (convert, or return the message), RFC 2045 §6, RFC 1428 (text that does not
//! say its charset).
//! Danger: a part that is read otherwise than its receiver reads it comes out as another; whatever is not
//! plain MIME is refused, not guessed.
//!
//! Two walks over the message, piece by piece: [`Survey`] finds what has to be done, [`Recoder`] does it.
//! Neither keeps more than a header section of the message. DKIM signatures come after.

mod header;
mod mime;

use std::fmt;

use crate::mail::encoding::{Base64Stream, append_quoted_printable};
use header::relabelled;
use mime::{Entity, Kind, Label, Task, Walk};

/// Why a message cannot be given to a 7-bit host; it is returned with 5.6.3 (RFC 3463 §3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecodable {
    /// 8-bit bytes in a header section: they need SMTPUTF8 (RFC 6531), not another encoding.
    Header,
    /// An 8-bit part inside `multipart/signed`: encoding it would break the signature.
    Signed,
    /// 8-bit bytes in a part that claims to be encoded, or of a type that must not be.
    Opaque,
    /// More parts, deeper parts, or a longer header section than any mail program makes.
    TooComplex,
}

impl fmt::Display for Unrecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unrecodable::Header => "its header has 8-bit characters, and the host takes only 7-bit mail",
            Unrecodable::Signed => "a signed part has 8-bit characters, and the host takes only 7-bit mail",
            Unrecodable::Opaque => {
                "a part has 8-bit characters where none may be, and the host takes only 7-bit mail"
            }
            Unrecodable::TooComplex => {
                "it has too many parts to be made fit for a host that takes only 7-bit mail"
            }
        })
    }
}

impl std::error::Error for Unrecodable {}

/// What a message needs before a 7-bit host can have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nothing: it is ASCII throughout.
    SevenBit,
    Recode(Plan),
    Impossible(Unrecodable),
}

/// Which parts are to be encoded: one entry for each leaf, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<bool>);

/// The first walk.
#[derive(Debug, Default)]
pub struct Survey {
    walk: Walk<Surveyor>,
}

impl Survey {
    pub fn push(&mut self, piece: &[u8]) {
        self.walk.push(piece);
    }

    pub fn finish(mut self) -> Surveyed {
        self.walk.finish();
        let Surveyor { leaves, eight_bit, obstacle, header, .. } = self.walk.task;
        let finding = match (eight_bit, obstacle) {
            (false, _) => Finding::SevenBit,
            (true, Some(obstacle)) => Finding::Impossible(obstacle),
            (true, None) => Finding::Recode(Plan(leaves)),
        };
        Surveyed { finding, header }
    }
}

/// What the first walk has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    pub finding: Finding,
    /// A header section, of the message or of a part, goes beyond ASCII: it needs SMTPUTF8 (RFC 6531 §3.2).
    pub header: bool,
}

#[derive(Debug, Default)]
struct Surveyor {
    leaves: Vec<bool>,
    eight_bit: bool,
    obstacle: Option<Unrecodable>,
    header: bool,
    /// What 8-bit bytes in the current leaf would mean.
    here: Option<Unrecodable>,
}

impl Surveyor {
    fn met(&mut self, bytes: &[u8], obstacle: Option<Unrecodable>) -> bool {
        let eight_bit = !bytes.is_ascii();
        if eight_bit {
            self.eight_bit = true;
            self.obstacle = self.obstacle.or(obstacle);
        }
        eight_bit
    }
}

impl Task for Surveyor {
    fn header(&mut self, header: &[u8], entity: &Entity, in_signed: bool) {
        self.header |= self.met(header, Some(Unrecodable::Header));
        if let Kind::Leaf { .. } | Kind::Opaque = entity.kind {
            self.leaves.push(false);
            self.here = match (&entity.kind, entity.label) {
                _ if in_signed => Some(Unrecodable::Signed),
                (Kind::Opaque, _) | (_, Label::Encoded) => Some(Unrecodable::Opaque),
                _ => None,
            };
        }
    }

    fn between(&mut self, bytes: &[u8]) {
        self.met(bytes, Some(Unrecodable::Opaque));
    }

    fn body(&mut self, bytes: &[u8], _ends_line: bool) {
        if self.met(bytes, self.here)
            && let Some(leaf) = self.leaves.last_mut()
        {
            *leaf = true;
        }
    }

    fn end_of_leaf(&mut self, _last: bool) {}

    fn too_complex(&mut self) {
        self.obstacle = self.obstacle.or(Some(Unrecodable::TooComplex));
    }
}

/// The second walk.
#[derive(Debug)]
pub struct Recoder {
    walk: Walk<Rewriter>,
}

impl Recoder {
    pub fn new(plan: Plan) -> Self {
        let task =
            Rewriter { leaves: plan.0.into_iter(), encoding: Encoding::None, out: Vec::new(), top: true };
        Recoder { walk: Walk::new(task) }
    }

    /// Takes a piece of the message, appends what it becomes.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.walk.push(piece);
        out.append(&mut self.walk.task.out);
    }

    /// Appends the rest.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.walk.finish();
        out.append(&mut self.walk.task.out);
    }
}

#[derive(Debug)]
struct Rewriter {
    leaves: std::vec::IntoIter<bool>,
    /// Of the current leaf.
    encoding: Encoding,
    out: Vec<u8>,
    /// The next header section is the message's own.
    top: bool,
}

#[derive(Debug)]
enum Encoding {
    None,
    QuotedPrintable,
    /// The line end that came last is kept back: before a boundary it does not belong to the part.
    Base64 {
        stream: Base64Stream,
        line_end: bool,
    },
}

impl Encoding {
    fn name(&self) -> Option<&'static str> {
        match self {
            Encoding::None => None,
            Encoding::QuotedPrintable => Some("quoted-printable"),
            Encoding::Base64 { .. } => Some("base64"),
        }
    }
}

impl Task for Rewriter {
    fn header(&mut self, header: &[u8], entity: &Entity, _in_signed: bool) {
        let encode = match entity.kind {
            Kind::Leaf { .. } | Kind::Opaque => self.leaves.next() == Some(true),
            Kind::Container { .. } | Kind::Message => false,
        };
        self.encoding = match entity.kind {
            Kind::Leaf { text: true } if encode => Encoding::QuotedPrintable,
            Kind::Leaf { text: false } if encode => {
                Encoding::Base64 { stream: Base64Stream::default(), line_end: false }
            }
            _ => Encoding::None,
        };
        let seven_bit = (entity.label == Label::EightBit).then_some("7bit");
        let top = std::mem::take(&mut self.top);
        match self.encoding.name().or(seven_bit) {
            Some(label) => relabelled(&mut self.out, header, label, top),
            None => self.out.extend_from_slice(header),
        }
    }

    fn between(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn body(&mut self, bytes: &[u8], ends_line: bool) {
        match &mut self.encoding {
            Encoding::None => self.out.extend_from_slice(bytes),
            Encoding::QuotedPrintable => {
                append_quoted_printable(&mut self.out, bytes);
                if !ends_line {
                    self.out.extend_from_slice(b"=\r\n");
                }
            }
            Encoding::Base64 { stream, line_end } => {
                if std::mem::take(line_end) {
                    stream.push(b"\r\n", &mut self.out);
                }
                *line_end = ends_line;
                stream.push(if ends_line { &bytes[..bytes.len() - 2] } else { bytes }, &mut self.out);
            }
        }
    }

    fn end_of_leaf(&mut self, last: bool) {
        if let Encoding::Base64 { mut stream, line_end } =
            std::mem::replace(&mut self.encoding, Encoding::None)
        {
            if last && line_end {
                stream.push(b"\r\n", &mut self.out);
            }
            stream.finish(&mut self.out);
        }
    }

    fn too_complex(&mut self) {}
}

#[cfg(test)]
mod tests;
