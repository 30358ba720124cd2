//! `setup`: the first dialogue with a new box, from its questions to the test message. It may be left at any
//! question, and goes on where it was left, also at another console. The questions are `console::first_boot`.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::config;
use crate::console::exit;
use crate::console::first_boot::{Dialogue, Next, Setup, WELCOME};
use crate::limits::SETUP_ADDRESS_WAIT_S;
use crate::mail::Domain;
use crate::os::{clock, nic};
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::timer::sleep_until;
use crate::tasks::{settings, submission};

/// Asks until the box is set up or the user leaves; the exit code.
pub async fn run(station: &Rc<Station>, talk: &mut Talk) -> io::Result<u8> {
    if station.settings.store.borrow().is_configured() {
        let text = "this box is set up already; `set` changes it, `factory-reset` makes it new\n";
        talk.complain(text).await?;
        return Ok(exit::FAILURE);
    }
    station.setup.borrow_mut().get_or_insert_with(|| Dialogue::new(nic::names()));
    talk.print(WELCOME).await?;
    loop {
        let Some((question, prompt)) = asked(station) else { return Ok(exit::FAILURE) };
        talk.print_wrapped_lines(&question).await?;
        let Heard::Line(line) = talk.ask(&prompt, true).await? else {
            talk.print("\nIt is left; `setup` goes on from here.\n").await?;
            return Ok(exit::FAILURE);
        };
        let next = station.setup.borrow_mut().as_mut().map(|dialogue| dialogue.answer(&line));
        match next {
            Some(Next::Ask) => {}
            Some(Next::Again(why)) => talk.print_wrapped(&format!("{why}.")).await?,
            Some(Next::Done(setup)) => return finish(station, talk, *setup).await,
            // Another console has ended the dialogue.
            None => return Ok(exit::FAILURE),
        }
    }
}

fn asked(station: &Station) -> Option<(String, String)> {
    station.setup.borrow().as_ref().map(|dialogue| (dialogue.question_text(), dialogue.prompt()))
}

/// Makes it the configuration and sends the test message.
async fn finish(station: &Rc<Station>, talk: &mut Talk, setup: Setup) -> io::Result<u8> {
    // Only what was read from text has been checked as a whole.
    let done = match config::parse(config::print(&setup.config).as_bytes()) {
        Ok(wanted) => {
            station.settings.store.borrow_mut().import(&wanted, Vec::new());
            settings::commit(station, None).await
        }
        Err(found) => Err(found.iter().map(ToString::to_string).collect()),
    };
    match done {
        Ok(_) => talk.print("It runs, and is saved.\n").await?,
        Err(lines) => {
            talk.complain(&format!("{}\n", lines.join("\n"))).await?;
            return Ok(exit::FAILURE);
        }
    }
    station.setup.take();
    talk.seen = station.settings.store.borrow().edits();
    let Some((from, to)) = setup.test else { return Ok(exit::OK) };
    if let Some(waiting) = talk.unless_broken(address_up(station, &from.domain)).await?
        && let Some(why) = waiting
    {
        talk.print_wrapped(&format!("{}: {why}; the message waits for that.", from.domain)).await?;
    }
    talk.print(&format!("A test message from {from} to {to}:\n")).await?;
    submission::send_test(station, talk, from, to).await
}

/// Waits for a domain's addresses, for some seconds; what they still wait for then.
async fn address_up(station: &Rc<Station>, name: &Domain) -> Option<String> {
    let until = clock::mono() + Duration::from_secs(SETUP_ADDRESS_WAIT_S);
    loop {
        let pending = {
            let (config, office) = (station.config(), station.office.borrow());
            let domain = config.domain(name)?;
            domain.addresses.iter().find_map(|a| office.pending_reason(a.ip).map(str::to_owned))
        };
        if pending.is_none() || clock::mono() >= until {
            return pending;
        }
        sleep_until(clock::mono() + Duration::from_millis(100)).await;
    }
}
