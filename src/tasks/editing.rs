//! The commands that edit the configuration, for the console's table: `set`, `delete`, `import` and what shows
//! or ends an edit. All users of the console edit one candidate.

use std::io;
use std::rc::Rc;

use crate::config::candidate::{Refusal, Saved};
use crate::config::grammar::Spelling;
use crate::config::text::Statement;
use crate::config::{Problem, text};
use crate::console::carried;
use crate::console::commands::Edit;
use crate::console::report::{FormerConfig, Report};
use crate::limits::IMPORT_BYTES_MAX;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::{keys, paste, settings};

/// Carries out one of these commands; the error is what to tell, a line each.
pub async fn edit(station: &Rc<Station>, talk: &mut Talk, edit: Edit) -> io::Result<Result<Report, Refusal>> {
    let store = &station.settings.store;
    let (before, was_edited) = (store.borrow().edits(), store.borrow().has_candidate());
    let foreign = talk.is_interactive() && was_edited && before != talk.seen;
    if foreign && matches!(edit, Edit::Commit(_)) {
        let why = "another console has edited the configuration since you looked; `show changes`, then again";
        return Ok(Err(vec![why.to_owned()]));
    }
    let looks = matches!(edit, Edit::ShowChanges | Edit::Rollback(_));
    let done = carry_out(station, talk, edit).await?;
    let now = store.borrow().edits();
    if looks || !foreign {
        talk.seen = now;
    } else if now != before {
        let text = "note: another console edits the configuration too; `show changes` shows all of it";
        talk.print_wrapped(text).await?;
    }
    Ok(done)
}

async fn carry_out(
    station: &Rc<Station>,
    talk: &mut Talk,
    edit: Edit,
) -> io::Result<Result<Report, Refusal>> {
    let store = &station.settings.store;
    Ok(match edit {
        Edit::Set(list) => {
            let set = statement(station, list).await.and_then(|statement| store.borrow_mut().set(statement));
            set.map(|()| Report::Done(next_step(station))).map_err(|why| vec![why])
        }
        Edit::Delete(list) => {
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let gone = store.borrow_mut().delete(&list);
            let told = |n| format!("{n} taken out, {}", next_step(station));
            gone.map(|n| Report::Done(told(n))).map_err(|why| vec![why])
        }
        Edit::ShowChanges => {
            Ok(Report::Changes(store.borrow().changes().iter().map(ToString::to_string).collect()))
        }
        Edit::ShowHistory => {
            let entry = |(at, saved): (usize, &Saved)| FormerConfig {
                number: at + 1,
                replaced: saved.replaced,
                statements: saved.text.lines().count(),
            };
            Ok(Report::History(store.borrow().history().enumerate().map(entry).collect()))
        }
        Edit::Check => {
            let checked = store.borrow().check();
            let sound = checked.and_then(|wanted| settings::examine(station, &wanted));
            let unread = store.borrow().unread();
            let but = match unread.is_empty() {
                true => String::new(),
                false => format!("; of a later version, so left out and kept: {}", unread.join(", ")),
            };
            sound.map(|()| Report::Done(format!("nothing is wrong with it{but}")))
        }
        Edit::Commit(trial) => settings::commit(station, trial).await.map(Report::Done),
        Edit::Confirm => settings::confirm(station).await.map(Report::Done),
        Edit::Rollback(n) => {
            let done = store.borrow_mut().rollback(n);
            done.map(|()| Report::Done(next_step(station))).map_err(|why| vec![why])
        }
        Edit::Import => import(station, talk).await?,
        Edit::ImportCertificate(name) => keys::import_certificate(station, talk, name).await?,
        Edit::ImportAuthority => keys::import_authority(station, talk).await?,
    })
}

/// The statement that is typed. The many rounds of a password in it would hold up the loop.
async fn statement(station: &Station, list: Vec<String>) -> Result<Statement, String> {
    let words: Vec<&str> = list.iter().map(String::as_str).collect();
    if !text::takes_long(&words, Spelling::Prefixes) {
        return text::statement_of(&words, Spelling::Prefixes);
    }
    let job = move || {
        let words: Vec<&str> = list.iter().map(String::as_str).collect();
        text::statement_of(&words, Spelling::Prefixes)
    };
    let read = station.compute_first(job).await;
    read.unwrap_or_else(|| Err("the box has too much to do; try it again in a while".to_owned()))
}

/// What an edit has led to.
fn next_step(station: &Station) -> String {
    match station.settings.store.borrow().has_candidate() {
        true => "noted; `show changes` shows what `commit` will change".to_owned(),
        false => "it is as it runs already; there is nothing to commit".to_owned(),
    }
}

/// Takes a whole configuration, and the keys and certificates that it carries.
async fn import(station: &Rc<Station>, talk: &mut Talk) -> io::Result<Result<Report, Refusal>> {
    // An export may have passwords and private keys in it.
    let asked = "Nothing that you paste is shown.\nStatements, then a line with a dot:\n";
    let text = match paste::text(talk, asked, false, IMPORT_BYTES_MAX).await? {
        Ok(text) => text,
        Err(why) => return Ok(Err(vec![format!("{why}; nothing was imported")])),
    };
    let lines = |found: Vec<Problem>| -> Refusal { found.iter().map(|p| format!("line {p}")).collect() };
    let (text, sections) = match carried::part(&text) {
        Ok(parted) => parted,
        Err(found) => return Ok(Err(lines(found))),
    };
    // The many rounds of passwords that are typed in it would hold up the loop.
    let sealed = station.compute_first(move || match text::sealed(text.as_bytes()) {
        Some(sealed) => String::from_utf8_lossy(&sealed).into_owned(),
        None => text,
    });
    let Some(text) = sealed.await else {
        return Ok(Err(vec!["the box has too much to do; nothing was imported".to_owned()]));
    };
    let wanted = match text::parse(text.as_bytes()) {
        Ok(wanted) => wanted,
        Err(found) => return Ok(Err(lines(found))),
    };
    let kept = sections.len();
    let naming = match keys::take(station, sections, &wanted).await {
        Ok(naming) => naming,
        Err(why) => return Ok(Err(why)),
    };
    station.settings.store.borrow_mut().import(&wanted, naming);
    let and = match kept {
        0 => String::new(),
        n => format!("{n} keys and certificates are kept; "),
    };
    Ok(Ok(Report::Done(and + &next_step(station))))
}
