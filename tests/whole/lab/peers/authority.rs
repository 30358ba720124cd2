//! A certificate authority of the lab's own, made by openssl as the owner of a house would make one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::Host;

/// An authority, with its key and its certificate in a folder of its own.
pub struct Authority<'h> {
    host: &'h Host,
    folder: PathBuf,
}

const KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl<'h> Authority<'h> {
    /// A new one; `name` is its folder's on `host`.
    pub fn new(host: &'h Host, name: &str) -> Authority<'h> {
        let folder = host.dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let authority = Authority { host, folder };
        let (key, pem) = (authority.path("ca.key"), authority.path("ca.pem"));
        let subject = format!("/O=Lab/CN={name}");
        let new = ["req", "-x509", "-days", "90", "-subj", &subject, "-keyout", &key, "-out", &pem];
        authority.openssl(&[&new[..], &KEY].concat());
        authority
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        std::fs::read_to_string(self.folder.join("ca.pem")).unwrap()
    }

    /// A key and a certificate that it has signed for the host `name`, in one file.
    pub fn certify(&self, name: &str) -> PathBuf {
        let (key, request, pem) = (self.path("host.key"), self.path("host.csr"), self.path("host.crt"));
        let subject = format!("/CN={name}");
        let new = ["req", "-subj", &subject, "-keyout", &key, "-out", &request];
        self.openssl(&[&new[..], &KEY].concat());
        std::fs::write(self.folder.join("names"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        let (names, ca, ca_key) = (self.path("names"), self.path("ca.pem"), self.path("ca.key"));
        let sign = ["x509", "-req", "-days", "90", "-in", &request, "-out", &pem, "-extfile", &names];
        self.openssl(&[&sign[..], &["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"]].concat());
        let both = [key, pem].map(|part| std::fs::read_to_string(part).unwrap()).concat();
        let whole = self.folder.join(format!("{name}.pem"));
        std::fs::write(&whole, both).unwrap();
        whole
    }

    /// The same, as `/lab/NAME.pem` of the peer `peer` on `at`.
    pub fn certify_peer(&self, at: &Host, peer: &str, name: &str) {
        let outside = super::lab_dir(at, peer);
        std::fs::create_dir_all(&outside).unwrap();
        let file = outside.join(format!("{name}.pem"));
        std::fs::copy(self.certify(name), &file).unwrap();
        // Some read it as somebody else than root.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Puts its certificate into `file`, where anybody may read it.
    pub fn install(&self, file: &Path) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, self.pem()).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn openssl(&self, args: &[&str]) {
        let made = self.host.command("openssl", args).output().unwrap();
        assert!(made.status.success(), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
    }
}
