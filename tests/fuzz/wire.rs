//! Frames on the control socket, in both directions, from whoever could open it.

use stagepost::console::commands;
use stagepost::console::wire::{Decoder, Frame, ToDaemon, ToUser};

pub fn wire(data: &[u8]) {
    let daemon = frames::<ToDaemon>(data, data.len().max(1));
    assert_eq!(daemon, frames::<ToDaemon>(data, 3), "the same bytes in pieces of 3");
    for frame in &daemon {
        reads_back(frame);
        if let (ToDaemon::Command { words, .. }, Ok(())) = (frame, frame.check()) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Err(told) = commands::parse(&words) {
                assert!(!told.contains(char::is_control), "{told:?}");
            }
        }
    }
    frames::<ToUser>(data, 3).iter().for_each(reads_back);
}

fn frames<F: Frame>(data: &[u8], piece: usize) -> Vec<F> {
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for bytes in data.chunks(piece) {
        decoder.input(bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}

fn reads_back<F: Frame + PartialEq + std::fmt::Debug>(frame: &F) {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    let mut decoder = Decoder::default();
    decoder.input(&bytes);
    let again: Option<F> = decoder.next_frame().expect("what was written is a frame");
    assert_eq!(again.as_ref(), Some(frame));
}
