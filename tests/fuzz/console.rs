//! Keystrokes of any kind: the line editor, completion, help, and the parser of commands.

use stagepost::console::commands;
use stagepost::console::help::{complete, explain};
use stagepost::console::line_editor::{Event, LineEditor, Mode};
use stagepost::limits::CONSOLE_LINE_CHARS_MAX;

/// The first byte chooses the terminal's width and the kind of the lines; the rest are keys.
pub fn console(data: &[u8]) {
    let Some((flags, mut keys)) = data.split_first() else { return };
    let mode = [Mode::Command, Mode::Text, Mode::Secret][usize::from(flags >> 6) % 3];
    let mut editor = LineEditor::new(usize::from(flags & 63) * 4);
    editor.begin("abc.com> ", mode);
    while !keys.is_empty() {
        let (used, event) = editor.input(keys);
        assert!(used > 0 && used <= keys.len());
        keys = &keys[used..];
        if let Some(event) = event {
            act(&mut editor, event, mode);
        }
        let shown = editor.take_output();
        assert!(shown.len() <= 64 * (used + CONSOLE_LINE_CHARS_MAX), "{} bytes for {used}", shown.len());
    }
}

fn act(editor: &mut LineEditor, event: Event, mode: Mode) {
    match event {
        Event::Line(line) => {
            assert!(line.chars().count() <= CONSOLE_LINE_CHARS_MAX);
            assert!(!line.contains(char::is_control), "{line:?}");
            if let Err(told) = commands::parse_line(&line) {
                assert!(!told.contains(char::is_control), "{told:?}");
            }
            editor.begin("abc.com> ", mode);
        }
        Event::Complete => {
            let names = |argument: &str| match argument {
                "DOMAIN" => vec!["abc.com".to_owned(), "bcd.com".to_owned()],
                _ => Vec::new(),
            };
            let completion = complete(&editor.before_cursor(), names);
            assert!(completion.start <= editor.before_cursor().len());
            editor.complete(&completion);
        }
        Event::Explain => {
            let _lines = explain(&editor.before_cursor());
            editor.redraw();
        }
        Event::Interrupt | Event::EndOfInput => editor.begin("abc.com> ", mode),
    }
}
