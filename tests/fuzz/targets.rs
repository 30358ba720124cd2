//! What is fuzzed: functions over bytes. Each drives one part of the house with whatever it is given and
//! asserts what must hold then. `cargo fuzz` (scripts/fuzz) looks for bytes that break one; `tests/fuzz.rs`
//! replays all that were found worth keeping with every `cargo test`.

mod client;
mod config;
mod console;
mod dns;
mod headers;
mod record;
mod server;
mod wire;

pub use client::client;
pub use config::config;
pub use console::console;
pub use dns::dns;
pub use headers::headers;
pub use record::record;
pub use server::server;
pub use wire::wire;

/// Marks what is no byte from the other side: the byte behind it says what happens then.
const MARK: u8 = 0x1e;

/// What happens to a session, in order.
#[derive(Clone, Copy, Debug)]
enum Happening<'a> {
    /// These bytes come.
    Bytes(&'a [u8]),
    /// What the letter stands for.
    Event(u8),
}

fn happenings(mut script: &[u8]) -> Vec<Happening<'_>> {
    let mut found = Vec::new();
    while let Some(at) = script.iter().position(|byte| *byte == MARK) {
        found.push(Happening::Bytes(&script[..at]));
        found.extend(script.get(at + 1).map(|letter| Happening::Event(*letter)));
        script = script.get(at + 2..).unwrap_or_default();
    }
    found.push(Happening::Bytes(script));
    found
}

/// How bytes are cut before they are handed in.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    /// Into pieces of this many bytes.
    Pieces(usize),
}

impl Cut {
    fn of(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let size = match self {
            Cut::Whole => bytes.len().max(1),
            Cut::Pieces(size) => size,
        };
        bytes.chunks(size)
    }
}

/// Nothing but CRLF ends a line here, and the last line is ended.
fn assert_lines(text: &[u8], caption: &str) {
    let stray = text.iter().enumerate().any(|(at, byte)| match byte {
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || text[at - 1] != b'\r',
        _ => false,
    });
    let ended = text.is_empty() || text.ends_with(b"\r\n");
    assert!(!stray && ended, "{caption}: {}", text.escape_ascii());
}
