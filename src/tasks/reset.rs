//! `factory-reset`: everything that the owner and the mail have put on the box goes, and it is as new. On the
//! appliance the data partition is made anew and the box restarts; elsewhere what the daemon keeps is removed.
//! Danger: it is not to be undone, so it asks, and a script has to say `yes`.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::limits::STOP_WAIT_S;
use crate::os::init::End;
use crate::os::{clock, files};
use crate::tasks::settings;
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::timer::{by, sleep_until};

/// What the daemon keeps in its data directory, beside the control socket.
const KEPT: &[&str] = &[
    "config",
    "config.history",
    "console.password",
    "crash",
    "certificates",
    "authority.pem",
    "dkim",
    "secret",
    "mail",
    "spool",
];

/// Asks, and does it.
pub async fn run(station: &Rc<Station>, talk: &mut Talk, sure: bool) -> io::Result<Result<String, String>> {
    let queued = station.office.borrow().queue_len();
    let loss = format!(
        "It erases the configuration and all former ones, the password, certificates and keys, {queued} messages \
         that wait and every mailbox."
    );
    if !sure {
        if !talk.is_interactive() {
            return Ok(Err(format!("{loss} If that is meant, write `factory-reset yes`")));
        }
        talk.print_wrapped(&loss).await?;
        match talk.ask("Write yes if that is meant: ", true).await? {
            Heard::Line(line) if line.trim() == "yes" => {}
            _ => return Ok(Err("nothing was erased".to_owned())),
        }
    }
    log::warn!("the box is reset to the state of a new one");
    if let Some(machinist) = &station.machinist {
        machinist.ask_for(End::Reset);
        return Ok(Ok("the box starts anew, as new".to_owned()));
    }
    settings::forget(station).await;
    let until = clock::mono() + Duration::from_secs(STOP_WAIT_S);
    let closed = async {
        while station.office.borrow().posts().next().is_some() {
            sleep_until(clock::mono() + Duration::from_millis(50)).await;
        }
    };
    if by(until, closed).await.is_none() {
        log::warn!("mail is still on its way while its spool is erased");
    }
    station.guard.forget();
    station.notices.clear_crash();
    let data = station.data.clone();
    let erased = station.blocking(move || KEPT.iter().try_for_each(|name| files::erase(&data.join(name))));
    Ok(match erased.await {
        Some(Ok(())) => Ok("it is as new".to_owned()),
        Some(Err(error)) => Err(format!("not everything could be erased: {error}")),
        None => Err("the box is stopping".to_owned()),
    })
}
