//! A walk over a MIME message, line by line: header sections, what stands between parts, and bodies of
//! leaves. Source: RFC 2046 §5.1 (boundaries), §5.2 (`message/rfc822`).
//! Danger: the message comes from outside; its depth, its parts and its header sections are bounded.

use mailparse::parse_content_type;

use crate::limits::{HEADER_SECTION_BYTES_MAX, MIME_DEPTH_MAX, MIME_PARTS_MAX};
use crate::mail::headers::Section;

/// A longer line is handed on in pieces; a boundary line is never so long (RFC 2046 §5.1.1).
const LINE_PIECE_BYTES_MAX: usize = 1024;

/// What is done on the way.
pub trait Task {
    /// A whole header section, with its empty line where it has one.
    fn header(&mut self, header: &[u8], entity: &Entity, in_signed: bool);
    /// Boundary lines, and text before the first and after the last part of a container.
    fn between(&mut self, bytes: &[u8]);
    /// A line of a leaf, or a piece of one that is long or holds a bare LF.
    fn body(&mut self, bytes: &[u8], ends_line: bool);
    /// A leaf's body is over; `last`: so is the message.
    fn end_of_leaf(&mut self, last: bool);
    /// The bounds are reached; what follows is taken as one body.
    fn too_complex(&mut self);
}

/// What a header section says about the body after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub kind: Kind,
    pub label: Label,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `multipart/...`
    Container {
        boundary: Vec<u8>,
        signed: bool,
    },
    /// `message/rfc822`: another header section follows.
    Message,
    Leaf {
        text: bool,
    },
    /// A leaf that may not be encoded (RFC 2046 §5.2.2, §5.2.3, RFC 3464 §2).
    Opaque,
}

/// The transfer encoding that the header section names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    SevenBit,
    /// `8bit` or `binary`.
    EightBit,
    /// `quoted-printable`, `base64`, or something that nobody knows.
    Encoded,
}

impl Entity {
    fn of(section: &Section<'_>) -> Self {
        let value =
            |name| section.find(name).map(|field| String::from_utf8_lossy(field.body()).trim().to_owned());
        let label =
            match value("Content-Transfer-Encoding").map(|label| label.to_ascii_lowercase()).as_deref() {
                None | Some("" | "7bit") => Label::SevenBit,
                Some("8bit" | "binary") => Label::EightBit,
                Some(_) => Label::Encoded,
            };
        Entity { kind: Kind::of(&value("Content-Type").unwrap_or_default(), label), label }
    }
}

impl Kind {
    /// Without a type, a body is text (RFC 2045 §5.2).
    fn of(content_type: &str, label: Label) -> Self {
        if content_type.is_empty() {
            return Kind::Leaf { text: true };
        }
        let parsed = parse_content_type(content_type);
        let mimetype = parsed.mimetype.to_ascii_lowercase();
        let (kind, subtype) = mimetype.split_once('/').unwrap_or((&mimetype, ""));
        match (kind, subtype, parsed.params.get("boundary")) {
            ("multipart", _, Some(boundary)) if !boundary.is_empty() && label != Label::Encoded => {
                Kind::Container { boundary: boundary.clone().into_bytes(), signed: subtype == "signed" }
            }
            ("multipart", ..) => Kind::Opaque,
            ("message", "rfc822", _) if label != Label::Encoded => Kind::Message,
            ("message", "global" | "global-headers" | "global-delivery-status", _) => {
                Kind::Leaf { text: false }
            }
            ("message", ..) => Kind::Opaque,
            _ => Kind::Leaf { text: kind == "text" },
        }
    }
}

/// The walk itself.
#[derive(Debug, Default)]
pub struct Walk<T> {
    pub task: T,
    place: Place,
    containers: Vec<Container>,
    parts: usize,
    /// The line that is being gathered.
    line: Vec<u8>,
    /// The next piece continues a line.
    within_line: bool,
}

#[derive(Debug)]
struct Container {
    boundary: Vec<u8>,
    signed: bool,
}

#[derive(Debug)]
enum Place {
    /// In a header section, as far as it has come; `depth` counts messages within messages.
    Header {
        gathered: Vec<u8>,
        depth: usize,
    },
    Body,
    Between,
}

impl Default for Place {
    fn default() -> Self {
        Place::Header { gathered: Vec::new(), depth: 0 }
    }
}

impl<T: Task> Walk<T> {
    pub fn new(task: T) -> Self {
        Walk {
            task,
            place: Place::default(),
            containers: Vec::new(),
            parts: 0,
            line: Vec::new(),
            within_line: false,
        }
    }

    pub fn push(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            let room = LINE_PIECE_BYTES_MAX - self.line.len();
            let reach = &rest[..rest.len().min(room)];
            let len = memchr::memchr(b'\n', reach).map_or(reach.len(), |lf| lf + 1);
            self.line.extend_from_slice(&rest[..len]);
            rest = &rest[len..];
            if self.line.ends_with(b"\n") {
                self.take_line();
            } else if self.line.len() == LINE_PIECE_BYTES_MAX {
                self.take_long_line();
            }
        }
    }

    /// Takes a piece of a line; a CR at its end waits for what follows it.
    fn take_long_line(&mut self) {
        let cr = self.line.pop_if(|last| *last == b'\r');
        self.take_line();
        self.line.extend(cr);
    }

    pub fn finish(&mut self) {
        if !self.line.is_empty() {
            self.take_line();
        }
        self.leave(true);
    }

    fn take_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let starts_line = !self.within_line;
        self.within_line = !line.ends_with(b"\r\n");
        match self.boundary(&line).filter(|_| starts_line) {
            Some((level, closes)) => self.cross(&line, level, closes),
            None => self.take_content(&line, starts_line),
        }
        line.clear();
        self.line = line;
    }

    /// Which container's boundary this line is, and whether it is the last one.
    fn boundary(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?;
        let ends_here = |rest: &[u8]| rest.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        self.containers.iter().enumerate().rev().find_map(|(level, container)| {
            let rest = text.strip_prefix(container.boundary.as_slice())?;
            match rest.strip_prefix(b"--") {
                Some(after) if ends_here(after) => Some((level, true)),
                _ => ends_here(rest).then_some((level, false)),
            }
        })
    }

    fn cross(&mut self, line: &[u8], level: usize, closes: bool) {
        self.leave(false);
        self.task.between(line);
        self.containers.truncate(if closes { level } else { level + 1 });
        self.place = if closes { Place::Between } else { Place::default() };
    }

    /// Ends what was going on.
    fn leave(&mut self, last: bool) {
        match std::mem::replace(&mut self.place, Place::Between) {
            Place::Header { gathered, depth } => {
                if !gathered.is_empty() {
                    self.enter(gathered, depth);
                    self.leave_leaf(last);
                }
            }
            Place::Body => self.task.end_of_leaf(last),
            Place::Between => {}
        }
    }

    fn leave_leaf(&mut self, last: bool) {
        if let Place::Body = std::mem::replace(&mut self.place, Place::Between) {
            self.task.end_of_leaf(last);
        }
    }

    fn take_content(&mut self, line: &[u8], starts_line: bool) {
        match &mut self.place {
            Place::Between => self.task.between(line),
            Place::Body => self.task.body(line, line.ends_with(b"\r\n")),
            Place::Header { gathered, depth } => {
                gathered.extend_from_slice(line);
                let ends = starts_line && line == b"\r\n";
                if ends || gathered.len() > HEADER_SECTION_BYTES_MAX {
                    let (gathered, depth) = (std::mem::take(gathered), *depth);
                    if !ends {
                        self.task.too_complex();
                    }
                    self.enter(gathered, depth);
                }
            }
        }
    }

    /// Goes on after a header section.
    fn enter(&mut self, header: Vec<u8>, depth: usize) {
        self.parts += 1;
        let in_signed = self.containers.iter().any(|container| container.signed);
        let mut entity = Entity::of(&Section::of(&header));
        let nests = matches!(entity.kind, Kind::Container { .. } | Kind::Message);
        let too_deep = nests && self.containers.len() + depth >= MIME_DEPTH_MAX;
        if too_deep || self.parts > MIME_PARTS_MAX {
            self.task.too_complex();
            entity.kind = Kind::Opaque;
            self.containers.clear();
        }
        self.task.header(&header, &entity, in_signed);
        self.place = match entity.kind {
            Kind::Container { boundary, signed } => {
                self.containers.push(Container { boundary, signed });
                Place::Between
            }
            Kind::Message => Place::Header { gathered: Vec::new(), depth: depth + 1 },
            Kind::Leaf { .. } | Kind::Opaque => Place::Body,
        };
    }
}
