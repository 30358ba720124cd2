//! The control socket: commands of `stagepost console` and submissions of `stagepost sendmail`. A user of it
//! that hangs or breaks off disturbs nobody.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;

use crate::console::commands::{self, Asked, Command};
use crate::console::exit;
use crate::console::report::{Report, error_json};
use crate::console::wire::{ToDaemon, ToUser};
use crate::console::{WIDTH_USUAL, help};
use crate::limits::{CONTROL_HELLO_WAIT_S, CONTROL_LINKS_MAX};
use crate::os::clock;
use crate::relay::{QueueAction, Target};
use crate::tasks::link::Link;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::timer::{self, by};
use crate::tasks::{
    answers, editing, keys, login, mailboxes, operating, ping, posts, probe, reset, setup, shell, submission,
    wear,
};

/// Serves the socket as long as the daemon runs.
pub async fn run(station: Rc<Station>, listener: Async<UnixListener>) {
    let users = Rc::new(());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (station, user) = (station.clone(), users.clone());
                station.clone().spawn(async move {
                    station.meters.consoles.set(Rc::strong_count(&user) - 1);
                    let crowded = Rc::strong_count(&user) > CONTROL_LINKS_MAX + 1;
                    // A user who breaks off needs no answer, and nobody else is concerned.
                    let _ = serve(&station, stream, crowded).await;
                    station.meters.consoles.set(Rc::strong_count(&user) - 2);
                });
            }
            Err(error) => {
                log::error!("cannot accept on the control socket: {error}");
                timer::pause_after_error().await;
            }
        }
    }
}

/// Serves one user of the socket, or of the machine's own console, until he goes.
pub(super) async fn serve(station: &Rc<Station>, stream: Async<UnixStream>, crowded: bool) -> io::Result<()> {
    let opened = async {
        let mut link = Link::open(stream).await?;
        let wish = link.receive().await?;
        io::Result::Ok((link, wish))
    };
    let until = clock::mono() + Duration::from_secs(CONTROL_HELLO_WAIT_S);
    let (mut link, wish) = by(until, opened).await.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))?;
    if crowded {
        link.complain(b"too many users of the console at once; try again later\n").await?;
        return link.send(&ToUser::Exit(exit::TEMPORARY)).await;
    }
    let columns = |width: Option<u16>| width.map_or(WIDTH_USUAL, usize::from);
    let (mut talk, code) = match wish {
        Some(ToDaemon::Command { words, width }) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let mut talk = Talk::plain(link, columns(width));
            let json = words.contains(&"--json");
            let code = command(station, &mut talk, commands::parse(&words), json).await?;
            (talk, code)
        }
        Some(ToDaemon::Interactive { width, login }) => {
            let mut talk = Talk::interactive(link, columns(width));
            if login {
                login::enter(station, &mut talk).await?;
                talk.log_out_after(station.config().machine.logout);
            }
            let code = shell::run(station, &mut talk).await?;
            (talk, code)
        }
        Some(ToDaemon::Submit(submitted)) => {
            let mut talk = Talk::plain(link, WIDTH_USUAL);
            let code = submission::from_sendmail(station, &mut talk, submitted).await?;
            (talk, code)
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    talk.link.send(&ToUser::Exit(code)).await
}

/// Carries out one command; the exit code.
pub async fn command(
    station: &Rc<Station>,
    talk: &mut Talk,
    asked: Result<Asked, String>,
    json: bool,
) -> io::Result<u8> {
    let answer = match asked {
        Ok(Asked { command: Command::Send { from, to, subject }, .. }) => {
            return submission::from_console(station, talk, from, to, subject).await;
        }
        Ok(Asked { command: Command::Connect { host, sender }, .. }) => {
            return probe::connect(station, talk, host, sender).await;
        }
        Ok(Asked { command: Command::Ping { host, sender }, .. }) => {
            return ping::ping(station, talk, &host, sender.as_ref()).await;
        }
        Ok(Asked { command: Command::Watch, .. }) => return probe::watch(station, talk).await,
        Ok(Asked { command: Command::Resolve(question), .. }) => {
            probe::resolve(station, talk, &question).await?.map(Report::Records)
        }
        Ok(Asked { command: Command::Exit, .. }) => return Ok(exit::OK),
        Ok(Asked { command: Command::Setup, .. }) => return setup::run(station, talk).await,
        Ok(Asked { command: Command::Password, .. }) => login::change(station, talk).await?.map(Report::Done),
        Ok(Asked { command: Command::FactoryReset { sure }, .. }) => {
            reset::run(station, talk, sure).await?.map(Report::Done)
        }
        Ok(Asked { command: Command::Edit(edit), .. }) => {
            editing::edit(station, talk, edit).await?.map_err(|lines| lines.join("\n"))
        }
        Ok(Asked { command: Command::Machine(order), .. }) => {
            operating::carry_out(station, talk, order).await?
        }
        Ok(Asked { command: Command::ExportSecrets, .. }) => {
            let text = crate::config::print(station.settings.store.borrow().running());
            let statements = text.lines().map(str::to_owned).collect();
            Ok(Report::Export { statements, carried: keys::carried(station).await })
        }
        Ok(Asked { command: Command::Mailbox(order), .. }) => mailboxes::carry_out(station, order).await,
        Ok(Asked { command: Command::Queue(action, target), .. }) => operate(station, action, target).await,
        Ok(Asked { command, .. }) => answer(station, command),
        Err(what) => Err(what),
    };
    match answer {
        Ok(report) if json => talk.print(&report.json()).await?,
        Ok(report) => talk.print(&report.text(talk.width)).await?,
        Err(what) => {
            match json {
                true => talk.complain(&error_json(&what)).await?,
                // Scripts get a line for each thing that is wrong, a terminal as many as it takes.
                false if talk.is_interactive() => talk.print_wrapped_lines(&what).await?,
                false => talk.complain(&format!("{what}\n")).await?,
            }
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
        Command::ShowDkim(domain) => Report::Dkim(station.signing.report(&domain)?),
        Command::ShowCertificates => Report::Certificates(station.certificates.report(&station.config())),
        Command::ShowMemory => Report::Memory(answers::memory(station)),
        Command::ShowFlash => Report::Flash(wear::flash(station)),
        Command::ShowConfig => {
            let text = crate::config::print_shown(station.settings.store.borrow().running());
            Report::Config(text.lines().map(str::to_owned).collect())
        }
        Command::ShowCrash => {
            let note = station.notices.crash().ok_or("it has not crashed, as far as it knows")?;
            Report::Crash { what: note.what, log: note.log }
        }
        Command::ClearCrash => match station.notices.clear_crash() {
            true => Report::Done("the crash is forgotten".to_owned()),
            false => return Err("there is no crash to forget".to_owned()),
        },
        Command::Queue(..)
        | Command::Send { .. }
        | Command::Edit(_)
        | Command::ExportSecrets
        | Command::Connect { .. }
        | Command::Ping { .. }
        | Command::Watch
        | Command::Setup
        | Command::Password
        | Command::FactoryReset { .. }
        | Command::Resolve(_)
        | Command::Mailbox(_)
        | Command::Machine(_)
        | Command::Exit => unreachable!("handled by `command`"),
    })
}

async fn operate(station: &Rc<Station>, action: QueueAction, target: Target) -> Result<Report, String> {
    if let Target::Domain(name) = &target {
        must_be_hosted(station, name)?;
    }
    let messages = station.office.borrow_mut().operate(clock::now(), action, &target);
    station.wake_senders();
    station.to_commit.notify(usize::MAX);
    if matches!(action, QueueAction::Hold | QueueAction::Release) {
        let names = match &target {
            Target::Message(_) => Vec::new(),
            Target::Domain(name) => vec![name.clone()],
            Target::All => station.config().domains.iter().map(|domain| domain.name.clone()).collect(),
        };
        let unkept = |why| format!("it is done, but a restart will not know of it: {why}");
        posts::keep_hold_marks(station, names).await.map_err(unkept)?;
    }
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
