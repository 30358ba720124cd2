//! `stagepost`: one program for the daemon, the console, `sendmail`, and the tools around them.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;
use log::LevelFilter;
use stagepost::cli::{self, Invocation};
use stagepost::console::exit;
use stagepost::os::{init, logging};
use stagepost::tools::{self, Told};
use stagepost::{caller, daemon};

/// The C library's own maps and unmaps memory with every session; this one keeps what it has at hand.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    if init::is_first() {
        return machine();
    }
    ExitCode::from(match cli::parse(std::env::args_os()) {
        Ok(Invocation::Run { data }) => run(&data),
        Ok(Invocation::Console { data, words }) => caller::console(&data, words),
        Ok(Invocation::Sendmail(asked)) => caller::sendmail(asked),
        Ok(Invocation::Check { file }) => tell(tools::check(&file)),
        Ok(Invocation::Spool { data, task }) => tell(tools::spool(&data, &task)),
        Ok(Invocation::Version) => print(format!("stagepost {}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
        Ok(Invocation::Help(text)) => print(text.as_bytes()),
        Err(usage) => {
            eprintln!("stagepost: {}", usage.what);
            usage.code
        }
    })
}

fn run(data: &Path) -> u8 {
    match daemon::run(data, logging::start(LevelFilter::Info)) {
        Ok(()) => exit::OK,
        Err(lines) => {
            lines.iter().for_each(|line| eprintln!("{line}"));
            exit::FAILURE
        }
    }
}

/// The machine's first process: nothing else runs on it, and only the kernel comes after it.
fn machine() -> ExitCode {
    let machine = init::begin();
    let how = daemon::run_machine(machine, logging::start(LevelFilter::Error));
    logging::to_stderr(&format!("stagepost: {}", init::end(how)));
    ExitCode::FAILURE
}

fn tell(told: Told) -> u8 {
    told.errors.iter().for_each(|line| eprintln!("{line}"));
    match print(&told.out) {
        exit::OK => told.code,
        failed => failed,
    }
}

fn print(bytes: &[u8]) -> u8 {
    match io::stdout().write_all(bytes) {
        Ok(()) => exit::OK,
        Err(_) => exit::IO_ERROR,
    }
}
