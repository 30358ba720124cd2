//! The power button, as the kernel's input devices report it. Source: the kernel's input event interface,
//! `struct input_event` of linux/input.h (two machine words of time, type, code, value).
//! Danger: any key of a keyboard comes the same way; only the power key counts.

use std::fs::{self, File};
use std::path::Path;

/// Bytes of one event on this machine.
pub const EVENT_BYTES: usize = 2 * size_of::<usize>() + 8;
/// Where type, code and value begin.
const TYPE_AT: usize = 2 * size_of::<usize>();
const TYPE_KEY: u16 = 1;
const CODE_POWER: u16 = 116;
const VALUE_PRESSED: i32 = 1;

/// Every input device that can be opened; a machine without any has no button.
pub fn devices() -> Vec<File> {
    let Ok(entries) = fs::read_dir(Path::new("/dev/input")) else { return Vec::new() };
    let is_event = |name: &str| name.starts_with("event");
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_event))
        .filter_map(|entry| File::open(entry.path()).ok())
        .collect()
}

/// Whether one of the events in `bytes` is the power button going down.
pub fn is_power_pressed(bytes: &[u8]) -> bool {
    bytes.chunks_exact(EVENT_BYTES).any(|event| {
        let short = |at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
        let value = i32::from_ne_bytes(event[TYPE_AT + 4..TYPE_AT + 8].try_into().expect("four bytes"));
        (short(TYPE_AT), short(TYPE_AT + 2), value) == (TYPE_KEY, CODE_POWER, VALUE_PRESSED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, code: u16, value: i32) -> Vec<u8> {
        let mut bytes = vec![0; TYPE_AT];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(code.to_ne_bytes());
        bytes.extend(value.to_ne_bytes());
        bytes
    }

    #[test]
    fn only_the_power_key_going_down_counts() {
        for (caption, bytes, pressed) in [
            ("pressed", event(1, 116, 1), true),
            ("released", event(1, 116, 0), false),
            ("another key", event(1, 30, 1), false),
            ("no key", event(0, 116, 1), false),
            ("among others", [event(1, 30, 1), event(1, 116, 1), event(0, 0, 0)].concat(), true),
            ("cut off", event(1, 116, 1)[..EVENT_BYTES - 1].to_vec(), false),
        ] {
            assert_eq!(is_power_pressed(&bytes), pressed, "{caption}");
        }
    }
}
