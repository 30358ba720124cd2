//! Dialogues as text, for tests: `C:` what the client says, `S:` what the server says, `@ +300s` time,
//! `A:`, `E:` and `H:` what the driver sees and does. Every dialogue is played whole, byte by byte, and in
//! random pieces; all must go the same way.

use std::time::Duration;

use crate::prng::Prng;

/// One line of a dialogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) number: usize,
    pub(super) kind: &'a str,
    pub(super) text: &'a str,
}

/// The lines of `script`; empty lines and those beginning with `#` are passed over.
pub(super) fn steps(script: &str) -> Vec<Step<'_>> {
    let numbered = script.lines().map(str::trim).enumerate();
    let told = numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    told.map(|(number, line)| {
        let (kind, text) = line.split_at(line.find([':', '~', '@']).expect("a kind of step") + 1);
        Step { number: number + 1, kind, text: text.strip_prefix(' ').unwrap_or(text) }
    })
    .collect()
}

/// The bytes that `text` stands for: `\r`, `\n`, `\0`, `\xff`, and `{N*c}` for N times c.
pub(super) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escape = rest.chars().next().expect("an escape");
                rest = &rest[1..];
                out.push(match escape {
                    'r' => b'\r',
                    'n' => b'\n',
                    '0' => 0,
                    'x' => {
                        let (hex, after) = rest.split_at(2);
                        rest = after;
                        u8::from_str_radix(hex, 16).expect("two digits")
                    }
                    other => panic!("escape {other}"),
                });
            }
            '{' if rest.contains("*") && rest.contains('}') => {
                let (inside, after) = rest.split_once('}').expect("checked");
                let (times, what) = inside.split_once('*').expect("N*c");
                out.extend(what.repeat(times.parse().expect("a number")).bytes());
                rest = after;
            }
            c => out.extend(c.to_string().bytes()),
        }
    }
    out
}

/// `bytes` written so that it fits in a line.
pub(super) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// `+300s`.
pub(super) fn duration(text: &str) -> Duration {
    let seconds = text.trim().strip_prefix('+').and_then(|t| t.strip_suffix('s')).expect("+Ns");
    Duration::from_secs(seconds.parse().expect("a number"))
}

/// Who plays a dialogue against a session.
pub(super) trait Player {
    /// The kinds of step in which the peer speaks.
    const PEER: [&'static str; 2];

    /// Whether a step looks at what the session did, so that there may be something to look at.
    fn looks(step: &Step<'_>) -> bool;

    fn step(&mut self, step: &Step<'_>);

    /// Hands the session what the peer has said.
    fn pump(&mut self);

    /// Nothing that the session did was left out; `when` follows the way of playing.
    fn nothing_left(&mut self, when: &str);

    /// Plays all steps. What the peer says in lines that follow one another arrives together.
    fn play_steps(&mut self, steps: &[Step<'_>]) {
        let mut spoke = false;
        for step in steps {
            let speaks = Self::PEER.contains(&step.kind);
            if spoke && !speaks {
                self.pump();
            }
            if !(Self::looks(step) || spoke && speaks) {
                self.nothing_left(&format!("before line {}", step.number));
            }
            self.step(step);
            spoke = speaks;
        }
        self.pump();
        self.nothing_left("at the end");
    }
}

/// What the peer says in a step.
pub(super) fn said(step: &Step<'_>) -> Vec<u8> {
    let mut said = bytes(step.text);
    if step.kind.ends_with(':') {
        said.extend(b"\r\n");
    }
    said
}

/// The next line of `output`, without its end.
pub(super) fn take_line(output: &mut Vec<u8>) -> String {
    let end = output.windows(2).position(|w| w == b"\r\n");
    let Some(end) = end else { return "(nothing)".to_owned() };
    let line: Vec<u8> = output.drain(..end + 2).collect();
    shown(&line[..end])
}

/// How bytes are cut before they are handed in.
#[derive(Clone, Debug)]
pub(super) enum Pieces {
    Whole,
    Bytes,
    Random(Prng),
}

impl Pieces {
    /// All ways in which a dialogue is played.
    pub(super) fn ways() -> impl Iterator<Item = (String, Pieces)> {
        let random = (0..20).map(|seed| (format!("seed {seed}"), Pieces::Random(Prng::from_seed(seed))));
        [("whole".to_owned(), Pieces::Whole), ("byte by byte".to_owned(), Pieces::Bytes)]
            .into_iter()
            .chain(random)
    }

    /// How many of `len` bytes come next; at least one.
    pub(super) fn next(&mut self, len: usize) -> usize {
        match self {
            Pieces::Whole => len,
            Pieces::Bytes => 1,
            Pieces::Random(prng) => 1 + prng.below(len.min(40)),
        }
    }
}
