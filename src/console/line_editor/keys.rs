//! Bytes of a terminal to keys: UTF-8, control characters, and the escape sequences of a VT100 and its heirs
//! (ECMA-48 §5.4), which may be split anywhere. Danger: a serial line brings garbage, so every state has its
//! bound and falls back to plain characters.

/// What a user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Tab,
    Left,
    Right,
    WordLeft,
    WordRight,
    Up,
    Down,
    Home,
    End,
    Delete,
    Backspace,
    KillToEnd,
    KillToStart,
    KillWord,
    ClearScreen,
    /// ^C
    Interrupt,
    /// ^D
    EndOrDelete,
    /// ^V: the next character stands for itself.
    Verbatim,
}

/// Parameter bytes of an escape sequence that are looked at.
const PARAMETERS_BYTES_MAX: usize = 8;

/// Where in a sequence of bytes we are.
#[derive(Debug, Default)]
pub struct Keys(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After CR: an LF or a NUL belongs to it.
    Return,
    Escape,
    /// After `ESC O`.
    SingleShift,
    /// After `ESC [`.
    Control {
        parameters: [u8; PARAMETERS_BYTES_MAX],
        count: usize,
    },
    Utf8 {
        bytes: [u8; 4],
        have: usize,
        need: usize,
    },
}

impl Keys {
    /// Takes one byte; gives a key when it completes one.
    pub fn byte(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.0) {
            State::Return if matches!(byte, b'\n' | 0) => None,
            State::Ground | State::Return => self.ground(byte),
            State::Escape => self.escape(byte),
            State::SingleShift => cursor_key(byte, b""),
            State::Control { parameters, count } => self.control(byte, parameters, count),
            State::Utf8 { bytes, have, need } => self.utf8(byte, bytes, have, need),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        let key = match byte {
            b'\r' => {
                self.0 = State::Return;
                Key::Enter
            }
            b'\n' => Key::Enter,
            b'\t' => Key::Tab,
            0x1b => {
                self.0 = State::Escape;
                return None;
            }
            0x08 | 0x7f => Key::Backspace,
            0x20..0x7f => Key::Char(byte.into()),
            0xc2..=0xf4 => {
                let need = if byte >= 0xf0 { 4 } else { 2 + usize::from(byte >= 0xe0) };
                self.0 = State::Utf8 { bytes: [byte, 0, 0, 0], have: 1, need };
                return None;
            }
            _ => return control_character(byte),
        };
        Some(key)
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.0 = State::Control { parameters: [0; PARAMETERS_BYTES_MAX], count: 0 },
            b'O' => self.0 = State::SingleShift,
            b'b' => return Some(Key::WordLeft),
            b'f' => return Some(Key::WordRight),
            0x08 | 0x7f => return Some(Key::KillWord),
            0x1b => self.0 = State::Escape,
            ..0x20 => return self.ground(byte),
            _ => {}
        }
        None
    }

    fn control(&mut self, byte: u8, mut parameters: [u8; PARAMETERS_BYTES_MAX], count: usize) -> Option<Key> {
        match byte {
            0x20..=0x3f => {
                if let Some(slot) = parameters.get_mut(count) {
                    *slot = byte;
                }
                self.0 = State::Control { parameters, count: (count + 1).min(PARAMETERS_BYTES_MAX) };
                None
            }
            0x40..=0x7e => cursor_key(byte, &parameters[..count]),
            _ => self.ground(byte),
        }
    }

    fn utf8(&mut self, byte: u8, mut bytes: [u8; 4], have: usize, need: usize) -> Option<Key> {
        if byte & 0xc0 != 0x80 {
            return self.ground(byte);
        }
        bytes[have] = byte;
        if have + 1 < need {
            self.0 = State::Utf8 { bytes, have: have + 1, need };
            return None;
        }
        let c = std::str::from_utf8(&bytes[..need]).ok()?.chars().next()?;
        (!c.is_control()).then_some(Key::Char(c))
    }
}

fn control_character(byte: u8) -> Option<Key> {
    let letter = char::from(byte.checked_add(b'@')?);
    Some(match letter {
        'A' => Key::Home,
        'B' => Key::Left,
        'C' => Key::Interrupt,
        'D' => Key::EndOrDelete,
        'E' => Key::End,
        'F' => Key::Right,
        'K' => Key::KillToEnd,
        'L' => Key::ClearScreen,
        'N' => Key::Down,
        'P' => Key::Up,
        'U' => Key::KillToStart,
        'V' => Key::Verbatim,
        'W' => Key::KillWord,
        _ => return None,
    })
}

fn cursor_key(last: u8, parameters: &[u8]) -> Option<Key> {
    let with_control = parameters == b"1;5" || parameters == b"5";
    Some(match (last, parameters) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if with_control => Key::WordRight,
        (b'D', _) if with_control => Key::WordLeft,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") => Key::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        bytes.iter().filter_map(|byte| keys.byte(*byte)).collect()
    }

    #[test]
    fn bytes_are_keys() {
        for (caption, bytes, wanted) in [
            ("letters", &b"a?"[..], &[Key::Char('a'), Key::Char('?')][..]),
            ("UTF-8", "é€😀".as_bytes(), &[Key::Char('é'), Key::Char('€'), Key::Char('😀')]),
            ("one line end, three spellings", b"\r\n\r\0\n", &[Key::Enter; 3]),
            ("cursor keys", b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", &[Key::Up, Key::Down, Key::WordRight, Key::Left]),
            ("home and end", b"\x1b[H\x1b[1~\x1bOF\x1b[4~", &[Key::Home, Key::Home, Key::End, Key::End]),
            ("delete", b"\x1b[3~\x7f\x08", &[Key::Delete, Key::Backspace, Key::Backspace]),
            ("an unknown sequence", b"\x1b[200~\x1b[?25hx", &[Key::Char('x')]),
            ("a torn sequence", b"\x1b[12\rx", &[Key::Enter, Key::Char('x')]),
            ("torn UTF-8", b"\xe2\x82a\xff\x80b", &[Key::Char('a'), Key::Char('b')]),
            ("a break", b"\0\0x", &[Key::Char('x')]),
            ("escape twice", b"\x1b\x1b[A", &[Key::Up]),
            ("a C1 control in UTF-8", b"\xc2\x9bx", &[Key::Char('x')]),
        ] {
            assert_eq!(keys(bytes), wanted, "{caption}");
        }
    }

    #[test]
    fn a_sequence_without_end_is_bounded() {
        let mut bytes = b"\x1b[".to_vec();
        bytes.extend([b'1'; 10_000]);
        bytes.extend(b"Ax");
        assert_eq!(keys(&bytes), [Key::Up, Key::Char('x')]);
    }
}
