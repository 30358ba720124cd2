//! What the daemon gives up before it hears its first byte: its user, its capabilities, other files, and all
//! system calls that it does not need. What then breaks into it has an SMTP relay's powers and no more.
//! Sources: capabilities(7), landlock(7), seccomp(2), PR_SET_NO_NEW_PRIVS(2const).
//! Danger: all of this binds the calling thread and those it makes later, so it comes before any other thread.

mod calls;
mod files;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};

/// What the daemon needs of the system.
#[derive(Clone, Debug)]
pub struct Needs<'a> {
    /// Its own directory.
    pub data: &'a Path,
    /// Files elsewhere that it reads: certificates, its own and those of authorities.
    pub reads: Vec<PathBuf>,
    /// It configures a network interface.
    pub nic: bool,
    /// It sets the machine's clock.
    pub clock: bool,
}

/// What is in force, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Who it runs as: `stagepost (998)`.
    pub user: String,
    /// As in capabilities(7), in lower case without `cap_`.
    pub capabilities: Vec<&'static str>,
    pub no_new_privileges: bool,
    /// How files are kept apart; `None`: not at all.
    pub files: Option<String>,
    /// How many system calls are left, or which kind is not; `None`: all are.
    pub calls: Option<String>,
    /// What could not be given up, and why.
    pub faults: Vec<String>,
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let capabilities = match &self.capabilities[..] {
            [] => "no capability".to_owned(),
            some => some.join(", "),
        };
        write!(f, "user {} with {capabilities}", self.user)?;
        if self.no_new_privileges {
            f.write_str("; no new privileges")?;
        }
        for part in self.files.iter().chain(&self.calls) {
            write!(f, "; {part}")?;
        }
        for fault in &self.faults {
            write!(f, "; NOT {fault}")?;
        }
        Ok(())
    }
}

/// Gives up what a relay on a general Linux does not need. What cannot be given up is told, not fatal: a relay
/// in a container, or on an old kernel, has less to give.
pub fn confine(needs: &Needs<'_>) -> Confinement {
    let mut told = Confinement::default();
    let landlock = files::is_supported();
    note(&mut told, "user", |told| user::leave_root(needs, landlock, told));
    told.user = user::name_and_id();
    note(&mut told, "privileges", no_new_privileges);
    note(&mut told, "files", |told| {
        told.files = Some(files::keep_to(needs)?);
        Ok(())
    });
    note(&mut told, "system calls", |told| {
        told.calls = Some(calls::allow_only_needed(needs)?);
        Ok(())
    });
    told.capabilities = user::capabilities();
    told
}

/// Gives up what even the machine's first process does not need. It mounts, so its files cannot be kept apart,
/// and it is root, because only root is.
pub fn confine_machine() -> Confinement {
    let mut told = Confinement::default();
    note(&mut told, "privileges", no_new_privileges);
    note(&mut told, "system calls", |told| {
        told.calls = Some(calls::refuse_dangerous()?);
        Ok(())
    });
    told.user = user::name_and_id();
    told.capabilities = user::capabilities();
    told
}

fn note(told: &mut Confinement, what: &str, give_up: impl FnOnce(&mut Confinement) -> Result<(), String>) {
    if let Err(why) = give_up(told) {
        log::warn!("not confined as it should be: {what}: {why}");
        told.faults.push(format!("{what}: {why}"));
    }
}

fn no_new_privileges(told: &mut Confinement) -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string())?;
    told.no_new_privileges = true;
    Ok(())
}
