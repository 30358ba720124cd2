//! The interactive console: one line, one command, until `exit`, ^D, or the user's disappearance. Commands are
//! carried out by the same code as those of `stagepost console WORDS`. A command that fails ends nothing.

use std::io;
use std::rc::Rc;

use crate::console::commands::{self, Asked, Command};
use crate::console::exit;
use crate::limits::CONSOLE_NAMES_OFFERED_MAX;
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::{control, mailboxes, setup};

/// Serves one user until he ends it; the exit code.
pub async fn run(station: &Rc<Station>, talk: &mut Talk) -> io::Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    talk.print(&format!("stagepost {version}; `help` or ? lists the commands, `exit` ends\n")).await?;
    greet(station, talk).await?;
    loop {
        let heard = match talk.ask_command(&prompt(station), |argument| names(station, argument)).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                talk.print("\nnobody touched a key for a while: logged out\n").await?;
                return Ok(exit::OK);
            }
            heard => heard?,
        };
        let line = match heard {
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

/// What its owner should know first, and the way on with a new box.
async fn greet(station: &Rc<Station>, talk: &mut Talk) -> io::Result<()> {
    for line in station.notices.lines().into_iter().chain(station.settings.left_out()) {
        talk.print_wrapped(&line).await?;
    }
    let (edits, edited, configured) = {
        let store = station.settings.store.borrow();
        (store.edits(), store.has_candidate(), store.is_configured())
    };
    talk.seen = edits;
    if edited {
        talk.print("the configuration is being edited; `show changes` shows how far\n").await?;
    }
    if configured || station.notices.failsafe().is_some() {
        return Ok(());
    }
    if talk.has_login() {
        return setup::run(station, talk).await.map(drop);
    }
    talk.print("there is no configuration yet; `setup` asks a few questions and makes one\n").await
}

fn prompt(station: &Station) -> String {
    let name = station.name();
    let store = station.settings.store.borrow();
    let edited = if store.has_candidate() { "*" } else { "" };
    let trial = if store.before_trial().is_some() { " (unconfirmed)" } else { "" };
    format!("{name}{edited}{trial}> ")
}

/// What TAB offers for an argument.
fn names(station: &Station, argument: &str) -> Vec<String> {
    match argument {
        "DOMAIN" | "NAME" => station.config().domains.iter().map(|d| d.name.to_string()).collect(),
        "MAILBOX" => {
            let all = mailboxes::all(&station.config()).into_iter();
            all.take(CONSOLE_NAMES_OFFERED_MAX).map(|address| address.to_string()).collect()
        }
        "ID" => {
            let office = station.office.borrow();
            let ids = office.posts().flat_map(|(_, post)| post.queue.ids());
            ids.take(CONSOLE_NAMES_OFFERED_MAX).map(|id| id.to_string()).collect()
        }
        _ => Vec::new(),
    }
}
