//! The log: lines on stderr, and the last of them in a ring in memory for `show log`. Nothing is logged to
//! flash. The logger lives for the whole process; its ring is bounded in bytes.
//! Danger: a terminal that stands still, a full disk or a dead reader behind stderr must neither hold up the
//! event loop nor end it: `outlet` has what stderr does not take at once stay in the ring alone, and counts it.

mod outlet;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::limits::{LOG_LINE_BYTES_MAX, LOG_RING_BYTES_MAX};
use crate::os::clock;
use crate::time::WallTime;
use outlet::{Outlet, Way};

/// The newest lines of the log.
#[derive(Debug, Default)]
pub struct Ring {
    lines: Mutex<Lines>,
    /// A line came in.
    fresh: Event,
}

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
    /// Lines that are no longer here: the number of the oldest that is.
    gone: u64,
    bytes: usize,
}

impl Ring {
    fn push(&self, time: WallTime, level: Level, mut text: String) {
        text.truncate(text.floor_char_boundary(LOG_LINE_BYTES_MAX));
        let mut ring = self.lock();
        ring.bytes += text.len();
        ring.lines.push_back(Line { time, level: level_name(level), text });
        while ring.bytes > LOG_RING_BYTES_MAX {
            let gone = ring.lines.pop_front().map_or(0, |line| line.text.len());
            ring.bytes -= gone;
            ring.gone += 1;
        }
        drop(ring);
        self.fresh.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Line `number`, counted from the start of the process, or the oldest one after it that is still here,
    /// with its own number. `None` until there is one.
    pub fn from(&self, number: u64) -> Option<(u64, Line)> {
        let ring = self.lock();
        let number = number.max(ring.gone);
        let place = usize::try_from(number - ring.gone).ok()?;
        Some((number, ring.lines.get(place)?.clone()))
    }

    /// Wakes at the next line.
    pub fn fresh(&self) -> EventListener {
        self.fresh.listen()
    }

    /// The last `n` lines, oldest first.
    pub fn last(&self, n: usize) -> Vec<Line> {
        let ring = self.lock();
        let skip = ring.lines.len().saturating_sub(n);
        ring.lines.iter().skip(skip).cloned().collect()
    }

    /// The newest lines as text, at most so many bytes. It waits for nobody: where the ring is being
    /// written just now there is none.
    pub fn tail(&self, bytes_max: usize) -> String {
        let Ok(ring) = self.lines.try_lock() else { return String::new() };
        let mut lines: Vec<String> = Vec::new();
        let mut left = bytes_max;
        for line in ring.lines.iter().rev() {
            let text = format!("{} {}: {}\n", line.time.rfc3339(), line.level, line.text);
            let Some(rest) = left.checked_sub(text.len()) else { break };
            left = rest;
            lines.push(text);
        }
        lines.into_iter().rev().collect()
    }

    /// Bytes of log text in memory.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
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

/// Puts a line on stderr, as far as that takes it at once. For last words: they wait for no lock.
pub fn to_stderr(text: &str) {
    // What is behind it may be full or gone: then the ring has the line.
    let _ = Way::Shared.write(rustix::stdio::stderr(), format!("{text}\n").as_bytes());
}

struct Logger {
    on_stderr: LevelFilter,
    ring: Arc<Ring>,
    outlet: Mutex<Outlet>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.ring.push(clock::wall(), record.level(), record.args().to_string());
            if record.level() <= self.on_stderr {
                let line = format!("{:<5} [{}] {}\n", record.level(), record.target(), record.args());
                self.outlet.lock().unwrap_or_else(PoisonError::into_inner).line(line);
            }
        }
    }

    fn flush(&self) {}
}

/// Starts logging, to stderr what is at least as grave as `on_stderr`; once in a process, or the first logger
/// stays.
pub fn start(on_stderr: LevelFilter) -> Arc<Ring> {
    let ring = Arc::new(Ring::default());
    let outlet = Mutex::new(Outlet::new(rustix::stdio::stderr()));
    let logger = Logger { on_stderr, ring: ring.clone(), outlet };
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
        let (oldest, line) = ring.from(0).unwrap();
        assert!(oldest > 0 && line.text.starts_with(&format!("line {oldest} ")));
        assert!(ring.from(9999).unwrap().1.text.starts_with("line 9999 ") && ring.from(10_000).is_none());
        let last = ring.last(2);
        assert!(last[0].text.starts_with("line 9998 ") && last[1].text.starts_with("line 9999 "));
        let tail = ring.tail(4096);
        assert!(tail.len() <= 4096 && tail.ends_with('\n') && tail.contains("info: line 9999 "), "{tail}");
        assert_eq!(ring.tail(10), "");
        ring.push(WallTime::default(), Level::Warn, "é".repeat(LOG_LINE_BYTES_MAX));
        assert!(ring.last(1)[0].text.len() <= LOG_LINE_BYTES_MAX);
    }
}
