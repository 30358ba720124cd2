//! The tools beside the daemon: `check` reads a configuration, `spool` reads what a stopped daemon left.

use std::path::Path;

use crate::config;
use crate::console::exit;
use crate::os::files;

/// What a tool prints, and its exit code.
pub struct Told {
    pub out: Vec<u8>,
    /// Lines for stderr.
    pub errors: Vec<String>,
    pub code: u8,
}

/// `stagepost check FILE`.
pub fn check(file: &Path) -> Told {
    let name = file.display();
    let errors = match files::read(file) {
        Err(error) => vec![format!("{name}: {error}")],
        Ok(text) => match config::parse(&text) {
            Ok(_) => return Told { out: Vec::new(), errors: Vec::new(), code: exit::OK },
            Err(problems) => problems.iter().map(|p| format!("{name}:{}: {}", p.line, p.what)).collect(),
        },
    };
    Told { out: Vec::new(), errors, code: exit::FAILURE }
}

pub fn spool(_: &Path, _: &crate::cli::SpoolTask) -> Told {
    Told { out: vec![], errors: vec![], code: 1 }
}
