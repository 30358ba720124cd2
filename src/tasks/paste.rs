//! What is pasted at a console, up to a line with a dot: text, and a firmware update, which may take a quarter
//! of an hour over a serial line. Source: base64(1); any terminal program sends such a file.
//! Danger: after a wrong line the rest is taken in all the same, or it would be read as commands.

use std::io;

use crate::firmware::Pasted;
use crate::limits::{CONSOLE_LINE_CHARS_MAX, UPDATE_PIECE_BYTES, UPDATE_TOLD_BYTES};
use crate::os::update::Update;
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::update::written;

/// Takes lines of text until a line with a dot; without `echo` they are not shown. The inner error is what was
/// wrong with them.
///
/// # Errors
/// Those of talking to the user.
pub async fn text(
    talk: &mut Talk,
    prompt: &str,
    echo: bool,
    bytes_max: usize,
) -> io::Result<Result<String, String>> {
    let mut text = Ok(String::new());
    let mut prompt = prompt;
    for number in 1.. {
        let line = match talk.ask(prompt, echo).await? {
            Heard::Line(line) if line.trim_end() == "." => break,
            Heard::Line(line) => line,
            Heard::End => break,
            Heard::Broken => return Ok(Err("given up".to_owned())),
        };
        prompt = "";
        let Ok(so_far) = &mut text else { continue };
        if line.chars().count() >= CONSOLE_LINE_CHARS_MAX {
            text = Err(format!("line {number} is longer than {CONSOLE_LINE_CHARS_MAX} characters"));
        } else if so_far.len() + line.len() >= bytes_max {
            text = Err(format!("it is longer than {bytes_max} bytes"));
        } else {
            so_far.extend([line.as_str(), "\n"]);
        }
    }
    Ok(text)
}

/// Takes lines of base64 until a line with a dot. The inner error is what was wrong with them.
///
/// # Errors
/// Those of talking to the user.
pub async fn receive(station: &Station, update: Update, talk: &mut Talk) -> io::Result<io::Result<Update>> {
    let mut paste = Paste::default();
    let mut update = Ok(update);
    let mut prompt = "Send the update as lines of base64, then a line with a dot; ^C gives up.\n";
    loop {
        let line = match talk.ask(prompt, false).await? {
            Heard::Line(line) if line == "." => break,
            Heard::Line(line) => line,
            Heard::End => break,
            Heard::Broken => return Ok(Err(io::Error::other("given up; nothing is changed"))),
        };
        prompt = "";
        let Ok(taking) = update else { continue };
        let told = paste.taken_bytes / UPDATE_TOLD_BYTES;
        update = paste.take(station, taking, &line).await;
        match &update {
            Err(e) => talk.complain(&format!("{e}; the rest is skipped up to a line with a dot\n")).await?,
            Ok(_) if paste.taken_bytes / UPDATE_TOLD_BYTES > told => {
                talk.print(&format!("{} KiB\n", paste.taken_bytes / 1024)).await?;
            }
            Ok(_) => {}
        }
    }
    Ok(match update {
        Ok(update) => written(station, update, paste.piece).await,
        failed => failed,
    })
}

/// What has come so far.
#[derive(Default)]
struct Paste {
    lines: Pasted,
    /// Not written yet.
    piece: Vec<u8>,
    taken_bytes: usize,
}

impl Paste {
    async fn take(&mut self, station: &Station, update: Update, line: &str) -> io::Result<Update> {
        let bytes = self.lines.line(line).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.taken_bytes += bytes.len();
        self.piece.extend(bytes);
        match self.piece.len() < UPDATE_PIECE_BYTES {
            true => Ok(update),
            false => written(station, update, std::mem::take(&mut self.piece)).await,
        }
    }
}
