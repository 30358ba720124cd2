//! The interactive console: one line, one command, until `exit`, ^D, or the user's disappearance. Commands are
//! carried out by the same code as those of `stagepost console WORDS`. A command that fails ends nothing.

use std::io;
use std::rc::Rc;

use crate::console::commands::{self, Asked, Command};
use crate::console::exit;
use crate::limits::CONSOLE_NAMES_OFFERED_MAX;
use crate::tasks::control;
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};

/// Serves one user until he ends it; the exit code.
pub async fn run(station: &Rc<Station>, talk: &mut Talk) -> io::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    talk.print(&format!("stagepost {version}; `help` or ? lists the commands, `exit` ends\n")).await?;
    loop {
        let line = match talk.ask_command(&prompt(station), |argument| names(station, argument)).await? {
            Heard::Line(line) => line,
            Heard::Broken => continue,
            Heard::End => {
                talk.print("\n").await?;
                return Ok(exit::OK);
            }
        };
        let asked = match commands::parse_line(&line) {
            Ok(None) => continue,
            Ok(Some(Asked { command: Command::Exit, .. })) => return Ok(exit::OK),
            Ok(Some(asked)) => Ok(asked),
            Err(what) => Err(what),
        };
        let json = line.split_ascii_whitespace().any(|word| word == "--json");
        control::command(station, talk, asked, json).await?;
    }
}

fn prompt(station: &Station) -> String {
    let config = station.config();
    let name = config.machine.name.as_ref().map_or("stagepost", |name| name.as_str());
    let store = station.settings.store.borrow();
    let edited = if store.has_candidate() { "*" } else { "" };
    let trial = if store.before_trial().is_some() { " (unconfirmed)" } else { "" };
    format!("{name}{edited}{trial}> ")
}

/// What TAB offers for an argument.
fn names(station: &Station, argument: &str) -> Vec<String> {
    match argument {
        "DOMAIN" | "NAME" => station.config().domains.iter().map(|d| d.name.to_string()).collect(),
        "ID" => {
            let office = station.office.borrow();
            let ids = office.posts().flat_map(|(_, post)| post.queue.ids());
            ids.take(CONSOLE_NAMES_OFFERED_MAX).map(|id| id.to_string()).collect()
        }
        _ => Vec::new(),
    }
}
