//! Somebody at a terminal: the console on a pseudo-terminal that script(1) opens, key by key.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{PATIENCE, until, until_true};

/// An interactive console, killed when dropped.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    screen: PathBuf,
    /// How much of the screen earlier expectations have used up.
    seen: usize,
}

impl Terminal {
    /// Runs `command` on a terminal; what it shows goes to the file `screen`.
    pub fn start(mut command: Command, screen: PathBuf) -> Terminal {
        let shown = File::create(&screen).unwrap();
        let mut child = command.stdin(Stdio::piped()).stdout(shown).stderr(Stdio::null()).spawn().unwrap();
        let keys = child.stdin.take();
        Terminal { child, keys, screen, seen: 0 }
    }

    /// Hits keys.
    pub fn type_keys(&mut self, keys: &[u8]) {
        let pipe = self.keys.as_mut().expect("the terminal is there");
        pipe.write_all(keys).and_then(|()| pipe.flush()).unwrap();
    }

    /// Types a line.
    pub fn line(&mut self, line: &str) {
        self.type_keys(line.as_bytes());
        self.type_keys(b"\r");
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.screen).unwrap_or_default()).replace('\r', "")
    }

    /// Waits until the screen shows this, after what was expected before.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        let what = format!("the terminal shows {text:?}");
        until_true(&what, || self.screen().get(self.seen..).is_some_and(|rest| rest.contains(text)));
        self.seen += self.screen()[self.seen..].find(text).unwrap() + text.len();
    }

    /// Waits until the screen shows one of these, after what was expected before; which.
    #[track_caller]
    pub fn shows_one_of(&mut self, texts: &[&str]) -> usize {
        let first = |screen: &str| {
            let rest = screen.get(self.seen..)?;
            let found = texts.iter().enumerate().filter_map(|(n, text)| Some((rest.find(text)?, n)));
            found.min().map(|(at, n)| (at + texts[n].len(), n))
        };
        let (used, which) =
            until(&format!("the terminal shows one of {texts:?}"), PATIENCE, || first(&self.screen()));
        self.seen += used;
        which
    }

    /// Everything that it has shown.
    pub fn whole_screen(&self) -> String {
        self.screen()
    }

    /// It takes nothing any more, until [`Terminal::goes_on`].
    pub fn stands_still(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn goes_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Pulls the cable: the line is hung up.
    pub fn unplug(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The console ends by itself.
    #[track_caller]
    pub fn ends(&mut self) {
        until_true("the console ends", || self.child.try_wait().unwrap().is_some());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
