//! The sole owner of the configuration: what runs, what is being edited, what is on trial, and what is saved
//! under the data directory. Applying a change takes the same road as the start, from what is there now.
//! Danger: a trial that nobody confirms must end by itself, and a torn write must leave the old file whole.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use event_listener::{Event, EventListener};
use futures_lite::future;
use smol::lock::Mutex;

use crate::config::candidate::{Commit, Refusal, Save, Store};
use crate::config::{self, Config, saved, text};
use crate::net::dhcp;
use crate::os::{clock, files};
use crate::tasks::posts::{self, OpenSpool};
use crate::tasks::signing;
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;
use crate::tasks::{addresses, authorities, mailboxes};

const OF_MANY: &str = "statements of a later version are left out";

/// The configurations of this box.
pub struct Settings {
    pub store: RefCell<Store>,
    /// One change at a time.
    turn: Mutex<()>,
    /// A trial began or ended, or a domain has gone.
    changed: Event,
    /// What could not be written to flash, to be tried again by the next `commit`.
    unsaved: RefCell<Option<Save>>,
}

fn config_path(data: &Path) -> PathBuf {
    data.join("config")
}

fn history_path(data: &Path) -> PathBuf {
    data.join("config.history")
}

impl Settings {
    /// Reads what is saved. A box without a configuration runs with nothing but its console.
    ///
    /// # Errors
    /// Lines for stderr: `FILE:LINE: what is wrong`.
    pub fn load(data: &Path) -> Result<Settings, Vec<String>> {
        let path = config_path(data);
        let running = match files::read(&path) {
            Ok(text) => {
                let text = seal(&path, text);
                // No more of a statement than its own text, passwords hidden: this goes into the log.
                let line = |p: config::Problem| format!("{}:{}: {}", path.display(), p.line, p.what);
                let lines = |problems: Vec<_>| problems.into_iter().map(line).collect::<Vec<_>>();
                let (running, left_out) = saved::read(&text).map_err(lines)?;
                for what in lines(left_out) {
                    log::error!(
                        "{what}: a later version wrote this; it is left out, and kept for that version"
                    );
                }
                running
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                log::warn!("{} does not exist: no mail is taken until it is configured", path.display());
                Config::default()
            }
            Err(error) => return Err(vec![format!("{}: {error}", path.display())]),
        };
        Ok(Settings::of(Store::new(running, &history(data))))
    }

    /// Starts from nothing; what is saved, whatever it is, becomes the newest of the former configurations.
    pub fn without_saved(data: &Path) -> Settings {
        let mut store = Store::new(Config::default(), &history(data));
        if let Ok(text) = files::read(&config_path(data)) {
            store.set_aside(String::from_utf8_lossy(&text).into_owned(), clock::wall());
        }
        Settings::of(store)
    }

    /// What of a later version's statements the operator should know.
    pub fn left_out(&self) -> Option<String> {
        let store = self.store.borrow();
        let unread = text::statements(store.running()).into_iter().filter(|s| s.is_unread());
        let unread: Vec<String> = unread.map(|statement| format!("`{statement}`")).collect();
        let one = unread.len() == 1;
        let held = store.running().domains.iter().filter(|d| store.running().lacks_roads(&d.name));
        let held: Vec<&str> = held.map(|domain| domain.name.as_str()).collect();
        let waits = match held.is_empty() {
            true => String::new(),
            false => format!(
                "; where mail of {} goes is not known for that, so it is held back from each start; `queue \
                 release` lets it go until the next",
                held.join(", ")
            ),
        };
        (!unread.is_empty()).then(|| {
            format!(
                "{}, and kept for that version: {}{waits}; `delete` takes {} out",
                if one { "a statement of a later version is left out" } else { OF_MANY },
                unread.join(", "),
                if one { "it" } else { "them" }
            )
        })
    }

    /// Wakes when another configuration may run.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    fn of(store: Store) -> Settings {
        Settings {
            store: RefCell::new(store),
            turn: Mutex::new(()),
            changed: Event::new(),
            unsaved: RefCell::new(None),
        }
    }
}

/// A password that was typed into the file does not stay there.
fn seal(path: &Path, text: Vec<u8>) -> Vec<u8> {
    let Some(sealed) = text::sealed(&text) else { return text };
    match files::replace(path, &sealed) {
        Ok(()) => log::info!("{}: its passwords are verifiers from now on", path.display()),
        Err(error) => log::error!("{}: its passwords still stand there in clear: {error}", path.display()),
    }
    sealed
}

/// The former configurations as they were saved; what cannot be read is none.
fn history(data: &Path) -> String {
    let path = history_path(data);
    match files::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("{}: {error}", path.display());
            }
            String::new()
        }
    }
}

/// Makes the candidate run: for good, or on trial for so many minutes. The answer is for the operator.
pub async fn commit(station: &Rc<Station>, trial_minutes: Option<u64>) -> Result<String, Refusal> {
    let settings = &station.settings;
    let _turn = settings.turn.lock().await;
    if let Some(answer) = save_again(station, trial_minutes).await {
        return answer;
    }
    let wanted = settings.store.borrow().check()?;
    examine(station, &wanted)?;
    let spools = open_spools(station, &wanted).await?;
    let done = {
        let mut store = settings.store.borrow_mut();
        if store.check()? != wanted {
            return Err(vec!["somebody changed the candidate meanwhile; `show changes`, then again".into()]);
        }
        match trial_minutes {
            None => store.commit(clock::now())?,
            Some(minutes) => store.commit_on_trial(clock::now(), minutes)?,
        }
    };
    let mut answer = match trial_minutes {
        None => "it runs".to_owned(),
        Some(minutes) => format!("it runs on trial; `confirm` within {minutes} min, or the old one returns"),
    };
    for name in &done.change.domains.removed {
        let mail = station.office.borrow().post(name).map_or(0, |post| post.queue.len());
        answer.push_str(&format!("; {name} has gone, its spool with {mail} messages stays on disk"));
    }
    apply(station, spools);
    let troubles = station.certificates.troubles();
    troubles.iter().for_each(|trouble| answer.push_str(&format!("; {trouble}")));
    log::info!("the configuration has changed through the console");
    save(station, done).await.map(|()| answer)
}

/// Looks at a file that `wanted` names and what runs does not: whether it is there and of use, no text can tell.
/// One that broke while it was in use is an alarm, and keeps nobody from other changes.
///
/// # Errors
/// What is wrong with it.
pub fn examine(station: &Station, wanted: &Config) -> Result<(), Refusal> {
    let running = station.settings.store.borrow().running().machine.authority.clone();
    match &wanted.machine.authority {
        Some(file) if running.as_ref() != Some(file) => {
            authorities::examine(file).map_err(|why| vec![format!("box authority {file}: {why}")])
        }
        _ => Ok(()),
    }
}

/// Ends a trial well.
pub async fn confirm(station: &Rc<Station>) -> Result<String, Refusal> {
    let settings = &station.settings;
    let _turn = settings.turn.lock().await;
    let saved = settings.store.borrow_mut().confirm(clock::wall()).map_err(|why| vec![why])?;
    settings.changed.notify(usize::MAX);
    write(station, saved).await.map(|()| "it runs for good".to_owned())
}

/// Runs nothing from now on, since `why`. What is saved stays saved until the next commit.
pub async fn leave_aside(station: &Rc<Station>, why: String) {
    let _turn = station.settings.turn.lock().await;
    log::warn!("the saved configuration is left aside: {why}");
    station.settings.store.borrow_mut().leave_aside(clock::wall());
    station.notices.set_failsafe(Some(why));
    apply(station, Vec::new());
}

/// Runs nothing from now on, and forgets what there was.
pub async fn forget(station: &Rc<Station>) {
    let _turn = station.settings.turn.lock().await;
    station.settings.store.borrow_mut().forget();
    station.settings.unsaved.take();
    station.notices.set_failsafe(None);
    apply(station, Vec::new());
}

/// Ends trials when their time is over and closes what domains left behind, as long as the daemon runs.
pub async fn run(station: Rc<Station>) {
    loop {
        let (changed, committed, ended) =
            (station.settings.changed.listen(), station.committed.listen(), station.to_send.listen());
        let closed = station.office.borrow_mut().close_gone();
        closed.iter().for_each(|name| log::info!("{name} is closed; its spool stays on disk"));
        let deadline = station.settings.store.borrow().deadline();
        if deadline <= clock::mono() {
            expire(&station).await;
            continue;
        }
        let closing = station.office.borrow().is_closing();
        let at_rest = async {
            match closing {
                true => future::or(committed, ended).await,
                false => future::pending().await,
            }
        };
        future::or(future::or(changed, sleep_until(deadline)), at_rest).await;
    }
}

/// Nobody has confirmed: what ran before runs again.
async fn expire(station: &Rc<Station>) {
    let settings = &station.settings;
    let _turn = settings.turn.lock().await;
    let Some(before) = settings.store.borrow().before_trial().cloned() else { return };
    let spools = open_spools(station, &before).await.unwrap_or_else(|why| {
        why.iter().for_each(|line| log::error!("{line}"));
        Vec::new()
    });
    if settings.store.borrow_mut().expire(clock::mono()).is_some() {
        log::warn!("nobody confirmed the configuration: the one before runs again");
        apply(station, spools);
    }
}

/// The spools of domains that `wanted` has and the office has not. A domain that runs without its spool, as
/// on damaged flash, may go on so; a new one may not begin so.
async fn open_spools(station: &Rc<Station>, wanted: &Config) -> Result<Vec<OpenSpool>, Refusal> {
    let mut spools = Vec::new();
    for domain in &wanted.domains {
        if station.office.borrow().post(&domain.name).is_some() {
            continue;
        }
        let (data, name) = (station.data.clone(), domain.name.clone());
        let quota = posts::quota_bytes(&data, wanted, domain);
        let opened = station.blocking(move || OpenSpool::read(&data, &name, quota)).await;
        match opened.unwrap_or_else(|| Err("the box is stopping".to_owned())) {
            Ok(spool) => spools.push(spool),
            Err(error) if station.config().domain(&domain.name).is_some() => {
                log::error!("{error}; its mail is refused for the time being");
            }
            Err(error) => return Err(vec![error]),
        }
    }
    Ok(spools)
}

/// A lease came, changed or ended: what runs is the same configuration with another address.
pub fn run_with_lease(station: &Rc<Station>) {
    apply(station, Vec::new());
}

/// Brings the office, names, NIC and doors in line with the store's running configuration, and with what a
/// lease adds to it.
fn apply(station: &Rc<Station>, spools: Vec<OpenSpool>) {
    let lease = station.leasing.lease();
    let config = Rc::new(dhcp::complete(station.settings.store.borrow().running(), lease.as_ref()));
    {
        let mut office = station.office.borrow_mut();
        let before = office.config().clone();
        office.configure(config.clone());
        office.try_logins(clock::now());
        spools.into_iter().for_each(|spool| spool.enter(&mut office));
        office.hold_without_roads(&before);
        for domain in &config.domains {
            office.set_quota(&domain.name, posts::quota_bytes(&station.data, &config, domain));
        }
    }
    mailboxes::share_out(station);
    station.resolver.configure(&config);
    station.certificates.follow(&config, clock::now().wall);
    signing::follow(station);
    station.nic.apply(&config);
    addresses::follow(station);
    station.to_commit.notify(usize::MAX);
    station.settings.changed.notify(usize::MAX);
}

async fn save(station: &Rc<Station>, done: Commit) -> Result<(), Refusal> {
    match done.save {
        Some(texts) => write(station, texts).await,
        None => Ok(()),
    }
}

/// A `commit` with nothing to change writes what could not be written before.
async fn save_again(station: &Rc<Station>, trial: Option<u64>) -> Option<Result<String, Refusal>> {
    let settings = &station.settings;
    if trial.is_some() || settings.store.borrow().has_candidate() {
        return None;
    }
    let texts = settings.unsaved.take()?;
    Some(write(station, texts).await.map(|()| "it is saved now".to_owned()))
}

/// Writes the saved configuration and the former ones, each whole and synced before the next.
async fn write(station: &Rc<Station>, texts: Save) -> Result<(), Refusal> {
    let (config, history) = (config_path(&station.data), history_path(&station.data));
    let copy = texts.clone();
    let written = station.blocking(move || {
        files::replace(&config, copy.config.as_bytes())
            .and_then(|()| files::replace(&history, copy.history.as_bytes()))
    });
    let failure = match written.await {
        Some(Ok(())) => {
            station.settings.unsaved.take();
            station.notices.set_failsafe(None);
            return Ok(());
        }
        Some(Err(error)) => error.to_string(),
        None => "the box is stopping".to_owned(),
    };
    *station.settings.unsaved.borrow_mut() = Some(texts);
    log::error!("the configuration runs but is not saved: {failure}");
    Err(vec![format!("it runs, but could not be saved: {failure}; `commit` tries again")])
}
