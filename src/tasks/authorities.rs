//! Keeps at hand what it takes to judge other hosts' certificates: the public authorities, and those of the file
//! that `box authority` names, which is read again when it has changed. A file that cannot be read leaves what
//! was read of it before. Danger: an authority that is no longer named must no longer vouch for anybody.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::os::files;
use crate::tls::authority::{self, Authority};
use crate::tls::outgoing::Outgoing;

/// Whom we trust to vouch for others.
#[derive(Default)]
pub struct Authorities {
    outgoing: RefCell<Outgoing>,
    /// Those of the file.
    own: RefCell<Vec<Authority>>,
    /// The file as it was when it was read.
    file: RefCell<Option<FileSeen>>,
    /// What the operator should know of the file.
    trouble: RefCell<Option<String>>,
}

/// A file as it was when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileSeen {
    pub path: PathBuf,
    stamp: Option<files::Stamp>,
}

impl FileSeen {
    pub fn now(path: &Path) -> Self {
        FileSeen { path: path.to_owned(), stamp: files::stamp(path) }
    }

    pub fn exists(&self) -> bool {
        self.stamp.is_some()
    }
}

impl Authorities {
    /// For connections to other hosts, as things stand.
    pub fn outgoing(&self) -> Outgoing {
        self.outgoing.borrow().clone()
    }

    /// Those of the file.
    pub fn own(&self) -> Vec<Authority> {
        self.own.borrow().clone()
    }

    /// Why the file is not as it should be.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Brings what is trusted in line with the configured file.
    pub fn follow(&self, file: Option<&str>) {
        let trouble = self.follow_file(file.map(Path::new)).err();
        if let Some(why) = trouble.as_ref().filter(|why| self.trouble.borrow().as_ref() != Some(why)) {
            log::error!("box authority: {why}");
        }
        self.trouble.replace(trouble);
    }

    fn follow_file(&self, path: Option<&Path>) -> Result<(), String> {
        let seen = path.map(FileSeen::now);
        if *self.file.borrow() == seen {
            return Ok(());
        }
        let former = self.file.borrow().as_ref().map(|file| file.path.clone());
        if former.is_some() && former.as_deref() != path {
            self.trust(Vec::new(), None);
        }
        let Some(path) = path else { return Ok(()) };
        let told = |why: String| format!("{}: {why}", path.display());
        let authorities = authority::from_pem(&read_pem(path).map_err(told)?).map_err(told)?;
        for authority in &authorities {
            log::info!("{} may vouch for other hosts: {}", authority.facts.subject, authority.fingerprint);
        }
        self.trust(authorities, seen);
        Ok(())
    }

    fn trust(&self, authorities: Vec<Authority>, file: Option<FileSeen>) {
        self.outgoing.replace(Outgoing::trusting(&authorities));
        self.own.replace(authorities);
        self.file.replace(file);
    }
}

/// Whether a file that is not in use yet can be one of authorities. One that this process may not open is for
/// its next start to read, and an alarm until then.
///
/// # Errors
/// What is wrong with it.
pub(super) fn examine(file: &str) -> Result<(), String> {
    match files::read_bounded(Path::new(file), CERTIFICATE_FILE_BYTES_MAX) {
        Ok(pem) => authority::from_pem(&pem).map(drop),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// A file with certificates, or in words why it cannot be read.
pub(super) fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    let in_words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!(
                "{error}; a file elsewhere is within reach when it is configured as the daemon starts: start it again"
            )
        }
        _ => error.to_string(),
    };
    files::read_bounded(path, CERTIFICATE_FILE_BYTES_MAX).map_err(in_words)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;

    use super::*;
    use crate::time::WallTime;
    use crate::tls::certificate::tests::TestAuthority;

    fn vouched(authorities: &Authorities, certificate: &CertificateDer<'_>) -> bool {
        let now = WallTime::from_unix_seconds(1_790_000_000);
        authorities.outgoing().verify(std::slice::from_ref(certificate), "xyz.com", now).is_ok()
    }

    #[test]
    fn a_file_is_followed_and_what_is_no_longer_named_counts_no_more() {
        let folder = std::env::temp_dir().join(format!("stagepost-authorities-{}", std::process::id()));
        files::make_private_dir(&folder).unwrap();
        let (one, other) = (TestAuthority::new(), TestAuthority::new());
        let (of_one, of_other) = (one.sign("xyz.com"), other.sign("xyz.com"));
        let file = folder.join("house.pem");
        let name = file.to_str();
        let authorities = Authorities::default();
        let write = |text: &str| files::replace(&file, text.as_bytes()).unwrap();
        for (caption, change, named, trouble, vouches) in [
            ("no file is named", None, None, false, [false, false]),
            ("it is not there", None, name, true, [false, false]),
            ("it comes", Some(one.pem.as_str()), name, false, [true, false]),
            ("it is replaced", Some(&other.pem), name, false, [false, true]),
            ("it breaks: what was read stays", Some("nonsense"), name, true, [false, true]),
            ("it is mended", Some(&format!("{}{}", one.pem, other.pem)), name, false, [true, true]),
            ("another is named, which is not there", None, Some("/nowhere/house.pem"), true, [false, false]),
            ("it is named again", None, name, false, [true, true]),
            ("it is taken out", None, None, false, [false, false]),
        ] {
            change.into_iter().for_each(write);
            authorities.follow(named);
            assert_eq!(authorities.trouble().is_some(), trouble, "{caption}: {:?}", authorities.trouble());
            let found = [&of_one, &of_other].map(|certificate| vouched(&authorities, certificate));
            assert_eq!(found, vouches, "{caption}");
        }
        files::erase(&folder).unwrap();
    }
}
