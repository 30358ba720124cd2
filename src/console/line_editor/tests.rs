//! Keys and what the terminal then shows. The screen of the tests is as dumb as terminals get: it knows
//! printable characters, CR, LF and backspace.

use proptest::prelude::*;

use super::*;
use crate::console::help;

/// The lines of a terminal that understands nothing but characters, CR, LF, BS and BEL.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    column: usize,
    bells: usize,
}

impl Screen {
    fn write(&mut self, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).expect("the editor writes whole characters");
        for c in text.chars() {
            if self.lines.is_empty() {
                self.lines.push(Vec::new());
            }
            let line = self.lines.last_mut().expect("pushed above");
            match c {
                '\r' => self.column = 0,
                '\n' => self.lines.push(Vec::new()),
                '\x08' => self.column -= 1,
                '\x07' => self.bells += 1,
                c => {
                    line.resize(line.len().max(self.column + 1), ' ');
                    line[self.column] = c;
                    self.column += 1;
                }
            }
        }
    }

    fn last(&self) -> String {
        self.lines.last().map_or(String::new(), |line| line.iter().collect::<String>().trim_end().to_owned())
    }
}

struct Console {
    editor: LineEditor,
    screen: Screen,
    events: Vec<Event>,
}

impl Console {
    fn new(width: usize) -> Self {
        let mut editor = LineEditor::new(width);
        editor.begin("> ", Mode::Command);
        Console { editor, screen: Screen::default(), events: Vec::new() }
    }

    /// Types `bytes` in pieces; acts on events as the shell does.
    fn types(&mut self, bytes: &[u8], piece: usize) {
        for mut rest in bytes.chunks(piece) {
            while !rest.is_empty() {
                let (used, event) = self.editor.input(rest);
                rest = &rest[used..];
                if let Some(event) = event {
                    self.acts(event);
                }
            }
        }
        self.screen.write(&self.editor.take_output());
    }

    fn acts(&mut self, event: Event) {
        match &event {
            Event::Complete => {
                let completion = help::complete(&self.editor.before_cursor(), |_| Vec::new());
                self.editor.complete(&completion);
            }
            Event::Explain => self.editor.redraw(),
            Event::EndOfInput => {}
            _ => {
                let mode = self.editor.mode;
                self.editor.begin("> ", mode);
            }
        }
        self.events.push(event);
    }

    fn lines(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Line(l) = e { Some(l.as_str()) } else { None })
            .collect()
    }
}

#[test]
fn keys_edit_the_line_and_the_screen_shows_it() {
    for (caption, keys, line) in [
        ("typing", &b"show log"[..], "show log"),
        ("backspace", b"shw\x7fow\x08w", "show"),
        ("insert in the middle", b"sw\x1b[Dho", "show"),
        ("home, end", b"ho\x01s\x05w", "show"),
        ("delete", b"xshow\x1b[H\x1b[3~", "show"),
        ("^D on a line deletes", b"xshow\x01\x04", "show"),
        ("kill to the end", b"show log\x1b[D\x1b[D\x1b[D\x1b[D\x0b", "show"),
        ("kill to the start", b"old show\x1b[D\x1b[D\x1b[D\x1b[D\x15", "show"),
        ("kill a word", b"show log  \x17\x17show", "show"),
        ("by words", b"b c\x1bb\x1bba \x1bfx", "a bx c"),
        ("UTF-8", "sh\u{f6}w\x1b[D\x7fo".as_bytes(), "show"),
        ("history", b"one\rtwo\r\x1b[A\x1b[A", "one"),
        ("history and back", b"one\rtw\x1b[A\x1b[Bo", "two"),
        ("an edited line of history", b"one\r\x10\x7f\x7ff", "of"),
        ("completion", b"sh\tst\t", "show status"),
        ("completion of a shared start", b"show mai\t", "show mailbox"),
        ("question mark in quotes", b"send a \"?", "send a \"?"),
        ("verbatim question mark", b"a\x16?", "a?"),
        ("escape sequences that mean nothing", b"a\x1b[5~b\x1bXc", "abc"),
    ] {
        for piece in [1, 3, 1000] {
            let mut console = Console::new(80);
            console.types(keys, piece);
            let shown = format!("> {line}");
            assert_eq!(console.screen.last(), shown.trim_end(), "{caption}");
            console.types(b"\r", 1);
            assert_eq!(console.lines().last().map(|l| l.trim_end()), Some(line), "{caption}");
        }
    }
}

#[test]
fn events_are_told_one_by_one() {
    let mut console = Console::new(80);
    console.types(b"show ?\x03abc\x03\x04", 1000);
    assert_eq!(console.events, [Event::Explain, Event::Interrupt, Event::Interrupt, Event::EndOfInput]);
    let lines: Vec<String> = console.screen.lines.iter().map(|l| l.iter().collect()).collect();
    assert_eq!(lines, ["> show ?", "> show ^C", "> abc^C", "> "]);
}

#[test]
fn doubtful_words_are_listed_on_tab() {
    let mut console = Console::new(80);
    console.types(b"show mai\t\t", 1000);
    let lines: Vec<String> = console.screen.lines.iter().map(|l| l.iter().collect()).collect();
    assert_eq!(lines, ["> show mailbox", "mailboxes  mailbox", "> show mailbox"]);
    console.types(b"x\t", 1000);
    assert_eq!(console.screen.bells, 1);
}

#[test]
fn a_secret_is_neither_shown_nor_remembered() {
    let mut console = Console::new(80);
    console.editor.begin("password: ", Mode::Secret);
    console.types(b"geh\x7fheim?\t\r", 2);
    assert_eq!(console.lines(), ["geheim? "]);
    console.editor.begin("> ", Mode::Command);
    console.types(b"\x1b[A", 1);
    let all: String = console.screen.lines.iter().flatten().collect();
    assert!(!all.contains('g') && !all.contains('*'), "{all}");
    console.types(b"set domain b.com user b1 password geheim\r", 1);
    let before = console.screen.lines.len();
    console.editor.begin("> ", Mode::Command);
    console.types(b"\x1b[A", 1);
    let after: String = console.screen.lines[before - 1..].iter().flatten().collect();
    assert!(!after.contains("geheim"), "{after}");
}

#[test]
fn a_long_line_is_seen_through_a_window() {
    let mut console = Console::new(20);
    console.types(b"abcdefghijklmnopqrstuvwxyz", 1);
    assert!(console.screen.last().ends_with("xyz"), "{}", console.screen.last());
    console.types(b"\x01", 1);
    assert_eq!(console.screen.last(), "> abcdefghijklmnopq");
    console.types(b"\r", 1);
    assert_eq!(console.lines(), ["abcdefghijklmnopqrstuvwxyz"]);
}

#[test]
fn ten_thousand_characters_are_one_bounded_line_and_few_bells() {
    let mut console = Console::new(80);
    console.types(&[b'x'; 10_000], 4096);
    console.types(b"\r", 1);
    assert_eq!(console.lines()[0].len(), CONSOLE_LINE_CHARS_MAX);
    assert!((1..=3).contains(&console.screen.bells), "{}", console.screen.bells);
}

#[test]
fn the_history_is_bounded() {
    let mut console = Console::new(80);
    for n in 0..CONSOLE_HISTORY_LINES_MAX + 10 {
        console.types(format!("line {n}\r").as_bytes(), 1000);
    }
    console.types(b"\x1b[A".repeat(CONSOLE_HISTORY_LINES_MAX + 5).as_slice(), 1000);
    assert_eq!(console.screen.last(), "> line 10");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever the keys, the screen shows the line, and pieces make no difference.
    #[test]
    fn the_screen_shows_the_line(
        keys in proptest::collection::vec(
            prop_oneof![
                5 => "[a-z ?\"é]{1,8}".prop_map(String::into_bytes),
                1 => proptest::collection::vec(any::<u8>().prop_filter("no screen control", |b| *b != 0x0c), 1..6),
                3 => proptest::sample::select(vec![
                    &b"\x1b[A"[..], b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1b[H", b"\x1b[F", b"\x1b[3~", b"\x7f",
                    b"\x0b", b"\x15", b"\x17", b"\x1bb", b"\x1bf", b"\t", b"\r",
                ]).prop_map(<[u8]>::to_vec),
            ],
            0..60,
        ),
        piece in 1..40usize,
        width in 12..100usize,
    ) {
        let keys = keys.concat();
        let mut console = Console::new(width);
        console.types(&keys, piece);
        let mut whole = Console::new(width);
        whole.types(&keys, 100_000);
        prop_assert_eq!(&console.editor.line, &whole.editor.line);
        prop_assert_eq!(console.lines(), whole.lines());
        let line: String = console.editor.line.iter().collect();
        let seen = console.screen.last();
        if line.chars().count() + 3 < width {
            let wanted = format!("> {line}");
            prop_assert_eq!(seen, wanted.trim_end());
            prop_assert_eq!(console.screen.column, 2 + console.editor.cursor);
        } else {
            prop_assert!(seen.chars().count() <= width);
        }
    }
}

#[test]
fn an_endless_line_rings_once_however_it_comes_in() {
    let mut editor = LineEditor::new(80);
    editor.begin("", Mode::Secret);
    let bells = |editor: &mut LineEditor, keys: &[u8]| {
        keys.chunks(16).for_each(|piece| drop(editor.input(piece)));
        editor.take_output().iter().filter(|byte| **byte == BELL).count()
    };
    assert_eq!(bells(&mut editor, &[b'x'; 10_000]), 1);
    assert_eq!(bells(&mut editor, b"\x7fxx"), 1, "there was room again, and then there was none");
    assert_eq!(editor.input(b"\r").1, Some(Event::Line("x".repeat(CONSOLE_LINE_CHARS_MAX))));
}
