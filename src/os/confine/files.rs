//! Keeps a thread to its own files, by Landlock. Source: landlock(7). Before ABI 2 it forbids every rename from
//! one directory to another, which a Maildir lives on; there it is left alone.
//! Danger: whatever is not named here when it starts stays closed until the next start.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::Needs;

/// The newest rules that are asked for; an older kernel does what it can.
const NEWEST: ABI = ABI::V6;

/// Read by the daemon, beside what it was given.
const READ: [&str; 2] = ["/proc", "/sys"];
/// Where a network interface's settings are written.
const NETWORK_SETTINGS: &str = "/proc/sys/net";

/// Whether the kernel can do it.
pub(super) fn is_supported() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Refer)
        .and_then(Ruleset::create)
        .is_ok()
}

/// From here on this thread, and those it makes, open nothing but what `needs` names.
pub(super) fn keep_to(needs: &Needs<'_>) -> Result<String, String> {
    if !is_supported() {
        return Err("this kernel has no Landlock of version 2 or later".to_owned());
    }
    let status = restrict(needs).map_err(|e| e.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel does not enforce it".to_owned()),
        _ => Ok(format!("Landlock to {}", needs.data.display())),
    }
}

fn restrict(needs: &Needs<'_>) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    rules = allow(rules, needs.data, own_files())?;
    for path in READ.map(PathBuf::from).into_iter().chain(needs.reads.iter().flat_map(|path| folders(path))) {
        rules = allow(rules, &path, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    if needs.nic {
        rules = allow(rules, Path::new(NETWORK_SETTINGS), AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    rules.restrict_self()
}

/// Everything that can be done to files and folders, but to run them, or to make devices.
fn own_files() -> BitFlags<AccessFs> {
    let never = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    AccessFs::from_all(NEWEST) & !never
}

/// A path that is not there gives nothing to open.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(fd) => rules.add_rule(PathBeneath::new(fd, access)),
        Err(_) => Ok(rules),
    }
}

/// A file that is replaced is another one, so its folder is opened, and the folder that a link leads to.
fn folders(path: &Path) -> Vec<PathBuf> {
    let meant = path.canonicalize().ok();
    let paths = [Some(path), meant.as_deref()];
    paths.into_iter().flatten().filter_map(|path| path.parent().map(Path::to_owned)).collect()
}
