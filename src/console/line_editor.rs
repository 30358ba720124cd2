//! Keystrokes to lines on any VT100 or dumb terminal: bytes in, bytes and events out. Editing, history, TAB
//! and `?`. Sources: ECMA-48 for the keys, the habits of Emacs and Cisco consoles for their meaning.
//! Danger: a secret is neither shown nor remembered, and no input makes a line or the history grow for ever.

mod keys;
mod view;

use std::collections::VecDeque;

use crate::console::help::Completion;
use crate::console::layout;
use crate::limits::{CONSOLE_HISTORY_LINES_MAX, CONSOLE_LINE_CHARS_MAX};
use keys::{Key, Keys};
use view::View;

/// What kind of line is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A command: history, TAB and `?` work.
    Command,
    /// Free text: TAB is a blank and `?` a question mark.
    Text,
    /// Not shown, not remembered.
    Secret,
}

/// What the keys asked for. The caller acts, then begins or redraws a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A whole line, without its end. The cursor stands on a new line.
    Line(String),
    /// TAB: see [`LineEditor::before_cursor`], then call [`LineEditor::complete`].
    Complete,
    /// `?`: the cursor stands on a new line; print the help, then call [`LineEditor::redraw`].
    Explain,
    /// ^C: the line is dropped; the cursor stands on a new line.
    Interrupt,
    /// ^D on an empty line.
    EndOfInput,
}

/// One terminal's line.
#[derive(Debug)]
pub struct LineEditor {
    keys: Keys,
    view: View,
    width: usize,
    mode: Mode,
    line: Vec<char>,
    cursor: usize,
    history: VecDeque<String>,
    /// How far back in the history we are, and the line that was left for it.
    recalled: Option<(usize, Vec<char>)>,
    verbatim: bool,
    rung: bool,
    /// The bell has told that the line is full: of an endless one it tells once, however it comes in.
    full: bool,
    out: Vec<u8>,
}

const BELL: u8 = 0x07;

impl LineEditor {
    /// `width` is the terminal's, in columns.
    pub fn new(width: usize) -> Self {
        LineEditor {
            keys: Keys::default(),
            view: View::new(width),
            width,
            mode: Mode::Command,
            line: Vec::new(),
            cursor: 0,
            history: VecDeque::new(),
            recalled: None,
            verbatim: false,
            rung: false,
            full: false,
            out: Vec::new(),
        }
    }

    /// Begins a new line with this prompt.
    pub fn begin(&mut self, prompt: &str, mode: Mode) {
        self.mode = mode;
        self.clear();
        self.view.begin(&mut self.out, prompt);
    }

    /// Takes bytes until one of them causes an event; gives how many it took. The rest is for later.
    pub fn input(&mut self, bytes: &[u8]) -> (usize, Option<Event>) {
        self.rung = false;
        for (at, byte) in bytes.iter().enumerate() {
            let Some(key) = self.keys.byte(*byte) else { continue };
            if let Some(event) = self.key(key) {
                return (at + 1, Some(event));
            }
        }
        self.show();
        (bytes.len(), None)
    }

    /// What is to be written to the terminal.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The line up to the cursor, for completion and help.
    pub fn before_cursor(&self) -> String {
        self.line[..self.cursor].iter().collect()
    }

    /// Draws the prompt and the line again, after something else was printed.
    pub fn redraw(&mut self) {
        self.view.again(&mut self.out);
        self.show();
    }

    /// Puts in what all of the words have in common; lists them when that is nothing new.
    pub fn complete(&mut self, completion: &Completion) {
        let text = self.before_cursor();
        let typed = text.get(completion.start..).unwrap_or_default();
        let common = common_start(&completion.words);
        let Some(rest) = common.strip_prefix(typed).filter(|_| !completion.words.is_empty()) else {
            return self.bell();
        };
        let whole = completion.words.len() == 1;
        if rest.is_empty() && !whole {
            self.list(&completion.words);
            return;
        }
        let rest = rest.to_owned();
        rest.chars().for_each(|c| self.insert(c));
        if whole && self.line.get(self.cursor) != Some(&' ') {
            self.insert(' ');
        }
        self.show();
    }

    fn list(&mut self, words: &[String]) {
        let mut text = String::new();
        layout::wrap(&mut text, self.width, "", "", &words.join("  "));
        self.out.extend(b"\r\n");
        self.out.extend(text.replace('\n', "\r\n").as_bytes());
        self.redraw();
    }

    fn show(&mut self) {
        if self.mode != Mode::Secret {
            self.view.show(&mut self.out, &self.line, self.cursor);
        }
    }

    fn clear(&mut self) {
        self.line.clear();
        self.cursor = 0;
        self.recalled = None;
        self.verbatim = false;
        self.full = false;
    }

    /// Once for each piece of input: garbage must not become a storm of bells.
    fn bell(&mut self) {
        if !self.rung {
            self.rung = true;
            self.out.push(BELL);
        }
    }

    fn key(&mut self, key: Key) -> Option<Event> {
        if let Key::Char(c) = key {
            return self.character(c);
        }
        self.verbatim = key == Key::Verbatim;
        match key {
            Key::Enter => return Some(self.enter()),
            Key::Tab if self.mode == Mode::Command => {
                self.show();
                return Some(Event::Complete);
            }
            Key::Tab => self.insert(' '),
            Key::Interrupt => return Some(self.interrupt()),
            Key::EndOrDelete if self.line.is_empty() => return Some(Event::EndOfInput),
            Key::EndOrDelete | Key::Delete => self.remove(self.cursor..self.cursor + 1),
            Key::Backspace if self.cursor == 0 => self.bell(),
            Key::Backspace => self.remove(self.cursor - 1..self.cursor),
            Key::KillToEnd => self.remove(self.cursor..self.line.len()),
            Key::KillToStart => self.remove(0..self.cursor),
            Key::KillWord => self.remove(self.word_left()..self.cursor),
            Key::Left => self.cursor = self.cursor.saturating_sub(1),
            Key::Right => self.cursor = (self.cursor + 1).min(self.line.len()),
            Key::WordLeft => self.cursor = self.word_left(),
            Key::WordRight => self.cursor = self.word_right(),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = self.line.len(),
            Key::Up => self.recall(1),
            Key::Down => self.recall(-1),
            Key::ClearScreen => {
                self.out.extend(b"\x1b[H\x1b[2J");
                self.redraw();
            }
            Key::Verbatim | Key::Char(_) => {}
        }
        None
    }

    fn character(&mut self, c: char) -> Option<Event> {
        let quoted = self.line[..self.cursor].iter().filter(|c| **c == '"').count() % 2 == 1;
        let asks = c == '?' && self.mode == Mode::Command && !quoted && !self.verbatim;
        self.verbatim = false;
        if asks {
            self.show();
            self.out.extend(b"?\r\n");
            return Some(Event::Explain);
        }
        self.insert(c);
        None
    }

    fn insert(&mut self, c: char) {
        if self.line.len() >= CONSOLE_LINE_CHARS_MAX {
            if !std::mem::replace(&mut self.full, true) {
                self.bell();
            }
            return;
        }
        self.line.insert(self.cursor, c);
        self.cursor += 1;
    }

    fn remove(&mut self, range: std::ops::Range<usize>) {
        let end = range.end.min(self.line.len());
        if range.start >= end {
            return self.bell();
        }
        self.line.drain(range.start..end);
        self.full = false;
        self.cursor = range.start;
    }

    fn word_left(&self) -> usize {
        let before = &self.line[..self.cursor];
        let end = before.iter().rposition(|c| *c != ' ').map_or(0, |at| at + 1);
        before[..end].iter().rposition(|c| *c == ' ').map_or(0, |at| at + 1)
    }

    fn word_right(&self) -> usize {
        let after = &self.line[self.cursor..];
        let blanks = after.iter().take_while(|c| **c == ' ').count();
        self.cursor + blanks + after[blanks..].iter().take_while(|c| **c != ' ').count()
    }

    fn enter(&mut self) -> Event {
        self.cursor = self.line.len();
        self.show();
        self.out.extend(b"\r\n");
        let line: String = self.line.iter().collect();
        let tells = line.split_ascii_whitespace().any(|word| word == "password");
        let is_new = !line.trim().is_empty() && self.history.front() != Some(&line);
        if self.mode == Mode::Command && is_new && !tells {
            self.history.push_front(line.clone());
            self.history.truncate(CONSOLE_HISTORY_LINES_MAX);
        }
        self.clear();
        Event::Line(line)
    }

    fn interrupt(&mut self) -> Event {
        self.cursor = self.line.len();
        self.show();
        self.out.extend(b"^C\r\n");
        self.clear();
        Event::Interrupt
    }

    /// Goes `by` lines back in the history, or forward where it is negative.
    fn recall(&mut self, by: isize) {
        if self.mode != Mode::Command {
            return self.bell();
        }
        let now = self.recalled.as_ref().map_or(0, |(back, _)| *back);
        let Some(wanted) = now.checked_add_signed(by).filter(|back| *back <= self.history.len()) else {
            return self.bell();
        };
        if self.recalled.is_none() {
            self.recalled = Some((0, self.line.clone()));
        }
        let (back, left) = self.recalled.as_mut().expect("set above");
        *back = wanted;
        self.line = match wanted.checked_sub(1) {
            Some(at) => self.history[at].chars().collect(),
            None => left.clone(),
        };
        self.cursor = self.line.len();
    }
}

fn common_start(words: &[String]) -> &str {
    let Some((first, others)) = words.split_first() else { return "" };
    let same = |other: &String| first.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let shared = others.iter().map(same).min().unwrap_or(usize::MAX);
    first.char_indices().nth(shared).map_or(first, |(at, _)| &first[..at])
}

#[cfg(test)]
mod tests;
