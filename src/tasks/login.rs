//! Who may use the machine's own console: the password, asked for at each login and chosen at the first. The
//! control socket has no login: there, the permissions of its file decide (mode 0600, so its owner and root).
//! Danger: whatever the flash holds, the owner must come in; a password that cannot be read is none.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;

use crate::console::password::{Derivation, Fresh, Password};
use crate::limits::{LOGIN_PAUSE_S_MAX, PASSWORD_ROUNDS_AT_ONCE};
use crate::os::{clock, entropy, files};
use crate::tasks::station::Station;
use crate::tasks::talk::{Heard, Talk};
use crate::tasks::timer::sleep_until;
use crate::time::Instant;

/// One for the daemon: the password and how often it was missed.
#[derive(Debug, Default)]
pub struct Guard {
    path: PathBuf,
    password: RefCell<Option<Password>>,
    misses: Cell<u32>,
    next_try: Cell<Instant>,
    /// Whoever switched the box on at its console stands before it.
    open: Cell<bool>,
}

impl Guard {
    pub fn load(data: &Path) -> Self {
        let path = data.join("console.password");
        let password = match files::read(&path) {
            Ok(text) => {
                let password = Password::parse(&String::from_utf8_lossy(&text));
                if password.is_none() {
                    log::error!("{}: no password can be read there", path.display());
                }
                password
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    log::error!("{}: {error}", path.display());
                }
                None
            }
        };
        Guard { path, password: RefCell::new(password), ..Guard::default() }
    }

    /// From now on nobody is asked.
    pub fn open(&self) {
        self.open.set(true);
    }

    /// No password any more.
    pub fn forget(&self) {
        self.password.take();
        self.misses.set(0);
    }

    /// Each further miss doubles the time to the next try.
    fn missed(&self) {
        let misses = self.misses.get();
        let pause_s = LOGIN_PAUSE_S_MAX.min(1 << misses.min(16));
        self.misses.set(misses.saturating_add(1));
        self.next_try.set(clock::mono() + Duration::from_secs(pause_s));
        log::warn!("a wrong password at the console, {} in a row", self.misses.get());
    }
}

/// Lets somebody in who knows the password, or who is the first to come. An error when he has gone.
pub async fn enter(station: &Rc<Station>, talk: &mut Talk) -> io::Result<()> {
    let guard = &station.guard;
    talk.print(&format!("\nstagepost {} on {}\n", env!("CARGO_PKG_VERSION"), station.name())).await?;
    if guard.open.get() {
        let text = "Started in failsafe at this console, so no password is asked for. `password` sets one.\n";
        return talk.print(text).await;
    }
    if guard.password.borrow().is_none() {
        talk.print("The console of this box has no password yet. Choose one, and keep it well.\n").await?;
        while let Err(why) = choose(station, talk).await? {
            talk.print(&format!("{why}\n")).await?;
        }
        return Ok(());
    }
    loop {
        sleep_until(guard.next_try.get()).await;
        let Heard::Line(typed) = talk.ask("Password: ", false).await? else { continue };
        if typed.is_empty() {
            continue;
        }
        if is_right(station, &typed).await {
            guard.misses.set(0);
            log::info!("somebody logged in at the console");
            return Ok(());
        }
        guard.missed();
        let text = "That is not the password. Is it lost? Switch the box off and on, and hit f in the first\n\
                    seconds: then none is asked for, and `password` sets a new one.\n";
        talk.print(text).await?;
    }
}

/// `password`: a new one, after the old one where the console asks for it.
pub async fn change(station: &Rc<Station>, talk: &mut Talk) -> io::Result<Result<String, String>> {
    let guard = &station.guard;
    if talk.has_login() && !guard.open.get() && guard.password.borrow().is_some() {
        let Heard::Line(typed) = talk.ask("Password until now: ", false).await? else {
            return Ok(Err("nothing was changed".to_owned()));
        };
        if !is_right(station, &typed).await {
            guard.missed();
            sleep_until(guard.next_try.get()).await;
            return Ok(Err("that is not the password; nothing was changed".to_owned()));
        }
    }
    choose(station, talk).await
}

async fn choose(station: &Rc<Station>, talk: &mut Talk) -> io::Result<Result<String, String>> {
    let nothing = || Ok(Err("no password was set".to_owned()));
    let Heard::Line(typed) = talk.ask("New password: ", false).await? else { return nothing() };
    let mut salt = [0; 16];
    entropy::fill(&mut salt);
    let mut fresh = match Fresh::new(&typed, salt) {
        Ok(fresh) => fresh,
        Err(why) => return Ok(Err(why)),
    };
    let Heard::Line(again) = talk.ask("The same again: ", false).await? else { return nothing() };
    if typed != again {
        return Ok(Err("the two were not the same; no password was set".to_owned()));
    }
    let hash = walk(&mut fresh.derivation).await;
    Ok(Ok(keep(station, fresh.kept(hash)).await))
}

/// Puts a password in force; what there is to say of it.
async fn keep(station: &Rc<Station>, password: Password) -> String {
    let (path, text) = (station.guard.path.clone(), password.text());
    *station.guard.password.borrow_mut() = Some(password);
    station.guard.misses.set(0);
    log::info!("the console has a new password");
    match station.blocking(move || files::replace(&path, text.as_bytes())).await {
        Some(Ok(())) => "the console asks for the new password from now on".to_owned(),
        Some(Err(error)) => {
            log::error!("the console's password could not be saved: {error}");
            format!("it holds until the next start, since it could not be saved: {error}")
        }
        None => "the box is stopping; the password was not saved".to_owned(),
    }
}

async fn is_right(station: &Station, typed: &str) -> bool {
    let password = station.guard.password.borrow().clone();
    let Some(password) = password else { return false };
    let hash = walk(&mut password.derivation(typed)).await;
    password.has(&hash)
}

/// Walks a derivation to its end; everybody else has his turn in between.
async fn walk(derivation: &mut Derivation) -> [u8; 32] {
    loop {
        if let Some(hash) = derivation.go_on(PASSWORD_ROUNDS_AT_ONCE) {
            return hash;
        }
        Timer::after(Duration::from_millis(1)).await;
    }
}
