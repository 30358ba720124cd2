//! Frames on the control socket between the `stagepost` of a user and the daemon: one byte of kind, four of
//! length (big-endian), the body. Texts in a body are two bytes of length and UTF-8. Danger: whoever may open
//! the socket may send anything, so every length has its bound and is checked before a byte is kept.

use crate::limits::{
    CONTROL_FRAME_BYTES_MAX, CONTROL_PIECE_BYTES_MAX, CONTROL_TEXT_BYTES_MAX, CONTROL_WORDS_MAX,
    RECIPIENTS_MAX,
};

/// The version both ends must speak; the first frame of each is its hello.
pub const VERSION: u16 = 2;

/// From the user's end to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToDaemon {
    Hello {
        version: u16,
    },
    /// One command; `width` is the terminal's, where there is one. `--json` may be among the words.
    Command {
        words: Vec<String>,
        width: Option<u16>,
    },
    /// An interactive console: keys follow, output comes back. With `login` it begins with the password.
    Interactive {
        width: Option<u16>,
        login: bool,
    },
    /// Keystrokes of an interactive console, as the terminal gives them.
    Keys(Vec<u8>),
    /// A line that a [`ToUser::Prompt`] asked for.
    Line(String),
    /// No more lines or keys will come.
    EndOfInput,
    /// A message to hand in; its bytes follow in [`ToDaemon::Data`], then [`ToDaemon::EndOfData`].
    Submit(Submission),
    Data(Vec<u8>),
    EndOfData,
}

/// From the daemon to the user's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToUser {
    Hello {
        version: u16,
    },
    Out(Vec<u8>),
    Err(Vec<u8>),
    /// The daemon waits for one [`ToDaemon::Line`]; without echo it is a secret.
    Prompt {
        text: String,
        echo: bool,
    },
    /// The last frame: the exit code.
    Exit(u8),
}

/// What `sendmail` was asked to hand in. Addresses are as the user wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// `-f`; the empty text is the null path; `None`: the caller's own address.
    pub sender: Option<String>,
    pub full_name: Option<String>,
    pub recipients: Vec<String>,
    /// `-t`: recipients are in the header too.
    pub from_header: bool,
    /// `-v`: the exchange is wanted as output.
    pub verbose: bool,
    /// The caller's login name; what it may do follows from the socket's credentials, never from this.
    pub user: String,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError(pub &'static str);

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for WireError {}

/// A message of one direction.
pub trait Frame: Sized {
    /// The kind, and the body appended to `body`.
    fn write(&self, body: &mut Vec<u8>) -> u8;
    fn read(kind: u8, body: Body) -> Result<Self, WireError>;

    /// Appends the whole frame.
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; HEADER]);
        out[start] = self.write(out);
        let length = out.len() - start - HEADER;
        debug_assert!(length <= CONTROL_FRAME_BYTES_MAX);
        out[start + 1..start + HEADER]
            .copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
}

/// Kind and length.
const HEADER: usize = 5;

/// Appends `bytes` in as many frames as they need.
pub fn encode_pieces<F: Frame>(bytes: &[u8], frame: fn(Vec<u8>) -> F, out: &mut Vec<u8>) {
    for piece in bytes.chunks(CONTROL_PIECE_BYTES_MAX) {
        frame(piece.to_vec()).encode(out);
    }
}

/// Bytes in, frames out. Holds at most one frame and the last piece of input.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    used: usize,
}

impl Decoder {
    /// Takes a piece of what came over the socket; pieces are a few 10 KiB at most.
    pub fn input(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// The next whole frame. After an error the stream means nothing more: close it.
    pub fn next_frame<F: Frame>(&mut self) -> Result<Option<F>, WireError> {
        let rest = &self.bytes[self.used..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let [kind, length @ ..] = *header;
        let length = u32::from_be_bytes(length) as usize;
        if length > CONTROL_FRAME_BYTES_MAX {
            return Err(WireError("a frame is too long"));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = F::read(kind, Body(body))?;
        self.used += HEADER + length;
        Ok(Some(frame))
    }
}

/// The unread rest of a frame's body.
pub struct Body<'b>(&'b [u8]);

impl<'b> Body<'b> {
    fn bytes(&mut self, n: usize) -> Result<&'b [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(WireError("a frame ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(self.bytes(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError("a flag is neither 0 nor 1")),
        }
    }

    /// A text without control characters: what is made of it ends up in headers and paths.
    fn text(&mut self) -> Result<String, WireError> {
        self.line().and_then(|text| match text.contains(char::is_control) {
            true => Err(WireError("a text holds a control character")),
            false => Ok(text),
        })
    }

    /// One line, which may hold anything but its end.
    fn line(&mut self) -> Result<String, WireError> {
        let length = usize::from(self.u16()?);
        if length > CONTROL_TEXT_BYTES_MAX {
            return Err(WireError("a text is too long"));
        }
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| WireError("a text is no UTF-8"))?;
        if text.contains(['\r', '\n', '\0']) {
            return Err(WireError("a line holds a line end or a NUL"));
        }
        Ok(text.to_owned())
    }

    /// What is asked may take more than one line of the terminal.
    fn prompt(&mut self) -> Result<String, WireError> {
        let length = usize::from(self.u16()?);
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| WireError("a prompt is no UTF-8"))?;
        Ok(text.to_owned())
    }

    fn maybe_text(&mut self) -> Result<Option<String>, WireError> {
        if self.flag()? { self.text().map(Some) } else { Ok(None) }
    }

    fn texts(&mut self, most: usize) -> Result<Vec<String>, WireError> {
        let count = usize::from(self.u16()?);
        if count > most {
            return Err(WireError("a list is too long"));
        }
        (0..count).map(|_| self.text()).collect()
    }

    /// Columns of a terminal; 0 is none.
    fn width(&mut self) -> Result<Option<u16>, WireError> {
        Ok(Some(self.u16()?).filter(|width| *width != 0))
    }

    fn piece(&mut self) -> Result<Vec<u8>, WireError> {
        if self.0.len() > CONTROL_PIECE_BYTES_MAX {
            return Err(WireError("a piece is too long"));
        }
        Ok(std::mem::take(&mut self.0).to_vec())
    }

    fn end<T>(self, value: T) -> Result<T, WireError> {
        if self.0.is_empty() { Ok(value) } else { Err(WireError("a frame is longer than its content")) }
    }
}

/// Appends a text, cut at a character's start where it is longer than a frame may carry.
fn put_text(body: &mut Vec<u8>, text: &str) {
    let cut = text.floor_char_boundary(CONTROL_TEXT_BYTES_MAX);
    let length = u16::try_from(cut).expect("a text's bound fits two bytes");
    body.extend(length.to_be_bytes());
    body.extend(&text.as_bytes()[..cut]);
}

fn put_maybe_text(body: &mut Vec<u8>, text: Option<&str>) {
    body.push(text.is_some().into());
    if let Some(text) = text {
        put_text(body, text);
    }
}

fn put_texts(body: &mut Vec<u8>, texts: &[String]) {
    body.extend(u16::try_from(texts.len()).unwrap_or(u16::MAX).to_be_bytes());
    texts.iter().for_each(|text| put_text(body, text));
}

impl Submission {
    fn write(&self, body: &mut Vec<u8>) {
        put_maybe_text(body, self.sender.as_deref());
        put_maybe_text(body, self.full_name.as_deref());
        put_texts(body, &self.recipients);
        body.push(self.from_header.into());
        body.push(self.verbose.into());
        put_text(body, &self.user);
    }

    fn read(body: &mut Body) -> Result<Self, WireError> {
        Ok(Submission {
            sender: body.maybe_text()?,
            full_name: body.maybe_text()?,
            recipients: body.texts(RECIPIENTS_MAX)?,
            from_header: body.flag()?,
            verbose: body.flag()?,
            user: body.text()?,
        })
    }
}

impl ToDaemon {
    /// Why the other end would not take this; to be asked before [`Frame::encode`] with a user's words.
    pub fn check(&self) -> Result<(), WireError> {
        match self {
            ToDaemon::Command { words, .. } if words.len() > CONTROL_WORDS_MAX => {
                Err(WireError("the command has too many words"))
            }
            ToDaemon::Command { words, .. } => words.iter().try_for_each(|word| sendable(word)),
            ToDaemon::Submit(s) if s.recipients.len() > RECIPIENTS_MAX => {
                Err(WireError("the message has too many recipients"))
            }
            ToDaemon::Submit(s) => {
                let texts = s.recipients.iter().chain(&s.sender).chain(&s.full_name).chain([&s.user]);
                texts.into_iter().try_for_each(|text| sendable(text))
            }
            ToDaemon::Line(line) if line.len() > CONTROL_TEXT_BYTES_MAX => {
                Err(WireError("a line is too long"))
            }
            _ => Ok(()),
        }
    }
}

fn sendable(text: &str) -> Result<(), WireError> {
    match text {
        _ if text.len() > CONTROL_TEXT_BYTES_MAX => Err(WireError("a word or an address is too long")),
        _ if text.contains(char::is_control) => {
            Err(WireError("a word or an address holds a control character"))
        }
        _ => Ok(()),
    }
}

impl Frame for ToDaemon {
    fn write(&self, body: &mut Vec<u8>) -> u8 {
        match self {
            ToDaemon::Hello { version } => {
                body.extend(version.to_be_bytes());
                b'H'
            }
            ToDaemon::Command { words, width } => {
                body.extend(width.unwrap_or(0).to_be_bytes());
                put_texts(body, words);
                b'C'
            }
            ToDaemon::Interactive { width, login } => {
                body.extend(width.unwrap_or(0).to_be_bytes());
                body.push((*login).into());
                b'I'
            }
            ToDaemon::Keys(bytes) => {
                body.extend(bytes);
                b'K'
            }
            ToDaemon::Line(line) => {
                put_text(body, line);
                b'L'
            }
            ToDaemon::EndOfInput => b'E',
            ToDaemon::Submit(submission) => {
                submission.write(body);
                b'S'
            }
            ToDaemon::Data(bytes) => {
                body.extend(bytes);
                b'D'
            }
            ToDaemon::EndOfData => b'.',
        }
    }

    fn read(kind: u8, mut body: Body) -> Result<Self, WireError> {
        let frame = match kind {
            b'H' => ToDaemon::Hello { version: body.u16()? },
            b'C' => ToDaemon::Command { width: body.width()?, words: body.texts(CONTROL_WORDS_MAX)? },
            b'I' => ToDaemon::Interactive { width: body.width()?, login: body.flag()? },
            b'K' => ToDaemon::Keys(body.piece()?),
            b'L' => ToDaemon::Line(body.line()?),
            b'E' => ToDaemon::EndOfInput,
            b'S' => ToDaemon::Submit(Submission::read(&mut body)?),
            b'D' => ToDaemon::Data(body.piece()?),
            b'.' => ToDaemon::EndOfData,
            _ => return Err(WireError("a frame is of no known kind")),
        };
        body.end(frame)
    }
}

impl Frame for ToUser {
    fn write(&self, body: &mut Vec<u8>) -> u8 {
        match self {
            ToUser::Hello { version } => {
                body.extend(version.to_be_bytes());
                b'h'
            }
            ToUser::Out(bytes) => {
                body.extend(bytes);
                b'o'
            }
            ToUser::Err(bytes) => {
                body.extend(bytes);
                b'e'
            }
            ToUser::Prompt { text, echo } => {
                body.push((*echo).into());
                put_text(body, text);
                b'p'
            }
            ToUser::Exit(code) => {
                body.push(*code);
                b'x'
            }
        }
    }

    fn read(kind: u8, mut body: Body) -> Result<Self, WireError> {
        let frame = match kind {
            b'h' => ToUser::Hello { version: body.u16()? },
            b'o' => ToUser::Out(body.piece()?),
            b'e' => ToUser::Err(body.piece()?),
            b'p' => ToUser::Prompt { echo: body.flag()?, text: body.prompt()? },
            b'x' => ToUser::Exit(body.u8()?),
            _ => return Err(WireError("a frame is of no known kind")),
        };
        body.end(frame)
    }
}

#[cfg(test)]
mod tests;
