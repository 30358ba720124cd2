//! Files that statements name, by their whole paths: the daemon's own folder is no one else's. Danger: a path
//! that the canonical text could not hold would not come back from the saved configuration.

use super::{Argument, wrong};
use crate::config::CertificateSource;

/// A file by its whole path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath(pub String);

fn is_whole_path(word: &str) -> bool {
    word.starts_with('/') && !word.contains(['"', '\\', ' ', '\t'])
}

/// What would be right instead of a path that is none, or that no statement can hold.
fn right(word: &str, usual: &str) -> String {
    match word.starts_with('/') {
        true => "a path here has no blanks, quotes or backslashes".to_owned(),
        false => usual.to_owned(),
    }
}

impl Argument for FilePath {
    fn read(word: &str) -> Result<Self, String> {
        match is_whole_path(word) {
            true => Ok(FilePath(word.to_owned())),
            false => wrong(word, "file", &right(word, "write its whole path, as in /data/authority.pem")),
        }
    }

    fn write(&self) -> String {
        self.0.clone()
    }
}

/// `self|FILE`
impl Argument for CertificateSource {
    fn read(word: &str) -> Result<Self, String> {
        match word {
            "self" => Ok(CertificateSource::SelfMade),
            path if is_whole_path(path) => Ok(CertificateSource::File(path.to_owned())),
            _ => {
                let usual = "write self, or a file's whole path, as in /data/bcd.com.pem";
                wrong(word, "certificate", &right(word, usual))
            }
        }
    }

    fn write(&self) -> String {
        match self {
            CertificateSource::SelfMade => "self".to_owned(),
            CertificateSource::File(path) => path.clone(),
        }
    }
}
