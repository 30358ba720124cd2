//! What the box has to tell its owner of itself: that it crashed, that it runs without its saved
//! configuration, what of the data it could not open. Shown at login and among the alarms of `show status`.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::os::crash::{self, CrashNote};
use crate::os::files;

/// One for the daemon.
#[derive(Debug, Default)]
pub struct Notices {
    crash_path: PathBuf,
    crash: RefCell<Option<CrashNote>>,
    /// Why the saved configuration does not run.
    failsafe: RefCell<Option<String>>,
    troubles: RefCell<Vec<String>>,
}

impl Notices {
    /// At start, with what an earlier life left in `data`.
    pub fn load(data: &Path) -> Self {
        let crash = RefCell::new(crash::read(data));
        Notices { crash_path: crash::path(data), crash, ..Notices::default() }
    }

    pub fn crash(&self) -> Option<CrashNote> {
        self.crash.borrow().clone()
    }

    /// Forgets the crash. False: there is none.
    pub fn clear_crash(&self) -> bool {
        let known = self.crash.take().is_some();
        if known {
            files::remove(&self.crash_path);
        }
        known
    }

    /// The box runs without its saved configuration; `None` when it has one again.
    pub fn set_failsafe(&self, why: Option<String>) {
        *self.failsafe.borrow_mut() = why;
    }

    pub fn failsafe(&self) -> Option<String> {
        self.failsafe.borrow().clone()
    }

    /// Something of the data could not be opened.
    pub fn trouble(&self, what: String) {
        self.troubles.borrow_mut().push(what);
    }

    /// One sentence each.
    pub fn lines(&self) -> Vec<String> {
        let failsafe = self.failsafe.borrow();
        let failsafe = failsafe.iter().map(|why| {
            format!(
                "failsafe: the saved configuration does not run: {why}; `rollback 1` and `commit` bring it \
                 back, `import` takes another"
            )
        });
        let crash = self.crash.borrow();
        let crash = crash.iter().map(|note| {
            let what = &note.what;
            format!("it crashed: {what}; `show crash` shows the log before it, `clear crash` forgets it")
        });
        failsafe.chain(crash).chain(self.troubles.borrow().iter().cloned()).collect()
    }
}
