//! The control socket: commands of `stagepost console` and submissions of `stagepost sendmail`. A user of it
//! that hangs or breaks off disturbs nobody.

use std::io;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use async_io::Async;

use crate::cli::exit;
use crate::console::commands::{self, Asked, Command};
use crate::console::help;
use crate::console::report::{Report, error_json};
use crate::console::wire::{ToDaemon, ToUser};
use crate::os::clock;
use crate::relay::{QueueAction, Target};
use crate::tasks::link::Link;
use crate::tasks::station::Station;
use crate::tasks::{answers, submission, timer};

/// Columns of an answer when the user has no terminal.
const USUAL_WIDTH: usize = 80;

/// Serves the socket as long as the daemon runs.
pub async fn run(station: Rc<Station>, listener: Async<UnixListener>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let station = station.clone();
                station.clone().spawn(async move {
                    // A user who breaks off needs no answer, and nobody else is concerned.
                    let _ = serve(&station, stream).await;
                });
            }
            Err(error) => {
                log::error!("cannot accept on the control socket: {error}");
                timer::pause_after_error().await;
            }
        }
    }
}

async fn serve(station: &Rc<Station>, stream: Async<std::os::unix::net::UnixStream>) -> io::Result<()> {
    let mut link = Link::open(stream).await?;
    let code = match link.receive().await? {
        Some(ToDaemon::Command { words, width }) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let width = width.map_or(USUAL_WIDTH, usize::from);
            command(station, &mut link, commands::parse(&words), words.contains(&"--json"), width).await?
        }
        Some(ToDaemon::Submit(submitted)) => submission::from_sendmail(station, &mut link, submitted).await?,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    link.send(&ToUser::Exit(code)).await
}

/// Carries out one command; the exit code.
pub async fn command(
    station: &Rc<Station>,
    link: &mut Link,
    asked: Result<Asked, String>,
    json: bool,
    width: usize,
) -> io::Result<u8> {
    let answer = match asked {
        Ok(Asked { command: Command::Send { from, to, subject }, .. }) => {
            return submission::from_console(station, link, from, to, subject).await;
        }
        Ok(Asked { command, .. }) => answer(station, command),
        Err(what) => Err(what),
    };
    match answer {
        Ok(report) if json => link.print(&report.json()).await?,
        Ok(report) => link.print(&report.text(width)).await?,
        Err(what) => {
            let text = if json { error_json(&what) } else { format!("{what}\n") };
            link.complain(&text).await?;
            return Ok(exit::FAILURE);
        }
    }
    Ok(exit::OK)
}

fn answer(station: &Rc<Station>, command: Command) -> Result<Report, String> {
    Ok(match command {
        Command::Help(words) => Report::Help(help::help(&words)?),
        Command::ShowStatus => Report::Status(answers::status(station)),
        Command::ShowDomains => Report::Domains(answers::domains(station)),
        Command::ShowQueue(domain) => {
            if let Some(name) = &domain {
                must_be_hosted(station, name)?;
            }
            Report::Queue(answers::queue(station, domain.as_ref()))
        }
        Command::ShowMessage(id) => Report::Message(
            answers::message(station, id).ok_or_else(|| format!("no message {id} is in the queue"))?,
        ),
        Command::ShowLog(lines) => Report::Log(answers::log(station, lines)),
        Command::ShowMemory => Report::Memory(answers::memory(station)),
        Command::ShowConfig => {
            let text = crate::config::print(&station.config());
            Report::Config(text.lines().map(str::to_owned).collect())
        }
        Command::Queue(action, target) => operate(station, action, target)?,
        Command::Send { .. } => unreachable!("handled by `command`"),
    })
}

fn operate(station: &Rc<Station>, action: QueueAction, target: Target) -> Result<Report, String> {
    if let Target::Domain(name) = &target {
        must_be_hosted(station, name)?;
    }
    let messages = station.office.borrow_mut().operate(clock::now(), action, &target);
    station.wake_senders();
    station.to_commit.notify(usize::MAX);
    match target {
        Target::Message(id) if messages == 0 => Err(format!("no message {id} is in the queue for that")),
        _ => Ok(Report::Touched { messages }),
    }
}

fn must_be_hosted(station: &Station, name: &crate::mail::Domain) -> Result<(), String> {
    match station.config().domain(name) {
        Some(_) => Ok(()),
        None => Err(format!("{name} is not hosted here; `show domains` lists those that are")),
    }
}
