//! A folder of a test's own, which goes with it.

use std::fs;
use std::path::PathBuf;

pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new one; no two tests have the same `name`.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stagepost-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the scratch directory is ours");
    }
}
