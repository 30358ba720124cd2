//! The log: to stderr through `simple_logger`, and the last of it in a ring in memory for `show log`. Nothing
//! is logged to flash. The logger lives for the whole process; its ring is bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simple_logger::SimpleLogger;

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_RING_BYTES_MAX};
use crate::os::clock;
use crate::time::WallTime;

/// The newest lines of the log.
#[derive(Debug, Default)]
pub struct Ring(Mutex<Lines>);

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub time: WallTime,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    pub text: String,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Ring {
    fn push(&self, time: WallTime, level: Level, mut text: String) {
        text.truncate(text.floor_char_boundary(LOG_LINE_BYTES_MAX));
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += text.len();
        ring.lines.push_back(Line { time, level: level_name(level), text });
        while ring.bytes > LOG_RING_BYTES_MAX {
            let gone = ring.lines.pop_front().map_or(0, |line| line.text.len());
            ring.bytes -= gone;
        }
    }

    /// The last `n` lines, oldest first.
    pub fn last(&self, n: usize) -> Vec<Line> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = ring.lines.len().saturating_sub(n);
        ring.lines.iter().skip(skip).cloned().collect()
    }

    /// Bytes of log text in memory.
    pub fn bytes(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

struct Logger {
    stderr: SimpleLogger,
    ring: Arc<Ring>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.ring.push(clock::wall(), record.level(), record.args().to_string());
            self.stderr.log(record);
        }
    }

    fn flush(&self) {
        self.stderr.flush();
    }
}

/// Starts logging, to stderr what is at least as grave as `on_stderr`; once in a process, or the first logger
/// stays.
pub fn start(on_stderr: LevelFilter) -> Arc<Ring> {
    let ring = Arc::new(Ring::default());
    let logger = Logger { stderr: SimpleLogger::new().with_level(on_stderr), ring: ring.clone() };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_keeps_the_newest_lines_within_its_bound() {
        let ring = Ring::default();
        for n in 0..10_000 {
            ring.push(WallTime::default(), Level::Info, format!("line {n} {}", "x".repeat(100)));
        }
        assert!(ring.bytes() <= LOG_RING_BYTES_MAX);
        let last = ring.last(2);
        assert!(last[0].text.starts_with("line 9998 ") && last[1].text.starts_with("line 9999 "));
        ring.push(WallTime::default(), Level::Warn, "é".repeat(LOG_LINE_BYTES_MAX));
        assert!(ring.last(1)[0].text.len() <= LOG_LINE_BYTES_MAX);
    }
}
