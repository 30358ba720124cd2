//! From root to a user without rights, with the few capabilities that the work needs. Sources: passwd(5),
//! credentials(7), capabilities(7).
//! Danger: the directory must belong to the new user first, or the relay stands before its own closed spool.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use rustix::process::{Gid, Uid, getuid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Confinement, Needs};

/// Users that the relay may run as, the first that exists.
const USERS: [&str; 2] = ["stagepost", "nobody"];

const NAMES: [(CapabilitySet, &str); 6] = [
    (CapabilitySet::NET_BIND_SERVICE, "net_bind_service"),
    (CapabilitySet::NET_ADMIN, "net_admin"),
    (CapabilitySet::NET_RAW, "net_raw"),
    (CapabilitySet::SYS_TIME, "sys_time"),
    (CapabilitySet::DAC_READ_SEARCH, "dac_read_search"),
    (CapabilitySet::SYS_ADMIN, "sys_admin"),
];

/// A user of /etc/passwd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// Becomes the relay's user, if this is root.
pub(super) fn leave_root(needs: &Needs<'_>, landlock: bool, told: &mut Confinement) -> Result<(), String> {
    let mut kept = CapabilitySet::NET_BIND_SERVICE;
    if needs.nic {
        kept |= CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    }
    if needs.clock {
        kept |= CapabilitySet::SYS_TIME;
    }
    if !getuid().is_root() {
        return drop_capabilities(kept);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = USERS.iter().find_map(|name| find(&passwd, name));
    let user = user.ok_or("there is neither a user stagepost nor nobody, so it stays root")?;
    let closed = needs.reads.iter().map(|path| (path.as_path(), 0o4)).chain([(needs.data, 0o1)]);
    if closed.filter(|(path, bit)| !reaches(path, *bit, user)).count() > 0 {
        kept |= CapabilitySet::DAC_READ_SEARCH;
        if !landlock {
            told.faults.push(
                "files: root's are readable, for the sake of the certificates' or the data's path".to_owned(),
            );
        }
    }
    own(needs.data, user).map_err(|e| format!("{} cannot be given to it: {e}", needs.data.display()))?;
    become_user(user, kept).map_err(|e| format!("it stays root: {e}"))
}

fn become_user(user: User, kept: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().iter().filter(|c| !kept.contains(*c)) {
        // A kernel that does not know it cannot give it either.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    rustix::thread::set_keep_capabilities(false)?;
    drop_capabilities(kept).map_err(io::Error::other)
}

fn drop_capabilities(kept: CapabilitySet) -> Result<(), String> {
    let have = rustix::thread::capabilities(None).map_err(|e| e.to_string())?;
    let kept = have.permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(|e| format!("capabilities: {e}"))
}

/// `stagepost (998)`, or the number alone.
pub(super) fn name_and_id() -> String {
    format!("{} ({})", crate::os::users::name(), getuid().as_raw())
}

/// The capabilities that are left, those that have no name here by their number.
pub(super) fn capabilities() -> Vec<&'static str> {
    let Ok(have) = rustix::thread::capabilities(None) else { return vec!["unknown"] };
    if have.effective == CapabilitySet::all() {
        return vec!["all"];
    }
    let named = NAMES.iter().filter(|(capability, _)| have.effective.contains(*capability));
    let mut names: Vec<&str> = named.map(|(_, name)| *name).collect();
    let known = NAMES.iter().fold(CapabilitySet::empty(), |set, (capability, _)| set | *capability);
    if !(have.effective - known).is_empty() {
        names.push("others");
    }
    names
}

fn find(passwd: &str, name: &str) -> Option<User> {
    let fields = |line: &'_ str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|entry| entry.first().is_some_and(|first| first == name))?;
    let user = User { uid: entry.get(2)?.parse().ok()?, gid: entry.get(3)?.parse().ok()? };
    (user.uid != 0).then_some(user)
}

/// Whether the user gets to `path` and has the permission `bit` there.
fn reaches(path: &Path, bit: u32, user: User) -> bool {
    let Ok(path) = path.canonicalize() else { return true };
    let parents = path.ancestors().skip(1).map(|parent| (parent, 0o1));
    let mut all = [(path.as_path(), bit)].into_iter().chain(parents);
    // The directory itself becomes the user's own.
    all.all(|(place, bit)| {
        place.metadata().is_ok_and(|meta| bit == 0o1 && place == path || allows(&meta, bit, user))
    })
}

fn allows(meta: &Metadata, bit: u32, user: User) -> bool {
    let shift = match (meta.uid() == user.uid, meta.gid() == user.gid) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    meta.mode() >> shift & bit == bit
}

/// Gives a directory and all in it to the user; links are given, not followed. A mailbox that is the user's
/// already is not searched for what is not: only the relay writes there.
fn own(path: &Path, user: User) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    let is_own = (meta.uid(), meta.gid()) == (user.uid, user.gid);
    if !is_own {
        lchown(path, Some(user.uid), Some(user.gid))?;
    }
    let is_mailbox = path.file_name().is_some_and(|name| ["cur", "new", "tmp"].iter().any(|n| name == *n));
    if meta.is_dir() && !(is_own && is_mailbox) {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), user)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_root_is_none() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nbad:x:y:1\nalias:x:0:1::/:\n";
        assert_eq!(find(passwd, "nobody"), Some(User { uid: 65534, gid: 65534 }));
        for name in ["root", "alias", "bad", "nobod", "stagepost"] {
            assert_eq!(find(passwd, name), None, "{name}");
        }
    }

    #[test]
    fn a_path_is_reached_where_every_step_allows_it() {
        let dir = std::env::temp_dir().join(format!("stagepost-reach-{}", std::process::id()));
        let file = dir.join("closed/key.pem");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "key").unwrap();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        let stranger = User { uid: 54_321, gid: 54_321 };
        for (folder, key, wanted) in [(0o755, 0o644, true), (0o755, 0o600, false), (0o700, 0o644, false)] {
            mode(file.parent().unwrap(), folder);
            mode(&file, key);
            assert_eq!(reaches(&file, 0o4, stranger), wanted, "{folder:o} {key:o}");
        }
        mode(file.parent().unwrap(), 0o700);
        assert!(reaches(file.parent().unwrap(), 0o1, stranger), "it becomes its own");
        fs::remove_dir_all(&dir).unwrap();
    }
}
