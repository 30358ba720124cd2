//! The crash note: what a panic said and the last of the log before it, the one thing of the log that goes to
//! flash. It is written at most once in the life of the process and shown after the next start.
//! Danger: the hook runs on whatever thread failed, with any lock held; it waits for nothing and unwraps nothing.

use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits::{CRASH_LOG_BYTES_MAX, CRASH_MESSAGE_BYTES_MAX, CRASH_NOTE_BYTES_MAX};
use crate::os::logging::{self, Ring};
use crate::os::{clock, files};

/// The note of an earlier life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashNote {
    /// When, and what the panic said; one line.
    pub what: String,
    /// The last lines of the log before it.
    pub log: Vec<String>,
}

/// Where the note is in the data directory.
pub fn path(data: &Path) -> PathBuf {
    data.join("crash")
}

/// From now on a panic leaves a note in `data`, then ends the process as it always does.
pub fn take_notes(data: &Path, log: Arc<Ring>) {
    let path = path(data);
    let noted = AtomicBool::new(false);
    panic::set_hook(Box::new(move |info| {
        let what = told(info);
        logging::to_stderr(&what);
        if !noted.swap(true, Ordering::SeqCst) {
            let tail = log.tail(CRASH_LOG_BYTES_MAX);
            // Flash that takes nothing is one more thing that cannot be helped now.
            let _ = files::replace(&path, format!("{what}\n{tail}").as_bytes());
        }
    }));
}

fn told(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    let text = format!("{}{}: {message}", clock::wall().rfc3339(), place.unwrap_or_default());
    let text = text.replace(['\r', '\n'], " ");
    text[..text.floor_char_boundary(CRASH_MESSAGE_BYTES_MAX)].to_owned()
}

/// The note in `data`, if there is one that can be read.
pub fn read(data: &Path) -> Option<CrashNote> {
    let text = files::read_bounded(&path(data), CRASH_NOTE_BYTES_MAX as u64).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(str::to_owned);
    Some(CrashNote { what: lines.next()?, log: lines.collect() })
}
