//! The running configuration, the candidate that is being edited, and the way from one to the other: commit,
//! commit on trial, and back. Pure: the caller applies a [`Commit`] and writes what it says to write.
//! Danger: a trial is never saved before it is confirmed, so a power cut or a silent operator ends it.
//!
//! ```text
//! running --set, delete, import, rollback N--> candidate --commit----------> running, saved
//!                                                        --commit confirm--> on trial, not saved
//! on trial --confirm or commit--> running, saved
//!          --deadline or restart--> the running configuration before the trial; the trial is the candidate
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::diff::{self, Change, Line};
use crate::config::grammar::shown;
use crate::config::text::{self, Problem, Statement};
use crate::config::{Config, saved as on_flash, words};
use crate::limits::{
    CONFIG_BYTES_MAX, CONFIG_HISTORY_BYTES_MAX, CONFIG_HISTORY_MAX, CONFIG_STATEMENTS_MAX,
    CONFIRM_MINUTES_MAX,
};
use crate::time::{Instant, Now, WallTime};

/// How long a trial lasts unless the operator says otherwise.
pub const CONFIRM_MINUTES_USUAL: u64 = 10;
const _: () = assert!(CONFIRM_MINUTES_USUAL <= CONFIRM_MINUTES_MAX);

/// Every configuration that the box knows of.
#[derive(Debug)]
pub struct Store {
    running: Config,
    /// What is being edited; `None` while that is the running configuration.
    candidate: Option<Vec<Statement>>,
    trial: Option<Trial>,
    /// How often the candidate has been changed, made to run or dropped.
    edits: u64,
    /// Former configurations, the newest first.
    history: VecDeque<Saved>,
}

/// The running configuration is on trial.
#[derive(Debug)]
struct Trial {
    deadline: Instant,
    /// What comes back.
    before: Config,
}

/// A configuration that once was the saved one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// When another took its place.
    pub replaced: WallTime,
    pub text: String,
}

/// What a change of the running configuration asks of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub change: Change,
    pub save: Option<Save>,
}

/// Texts to write to flash, the configuration first, each whole and synced before the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    pub config: String,
    pub history: String,
}

/// Why the candidate cannot be committed: one line each, the statement and what is wrong with it.
pub type Refusal = Vec<String>;

impl Store {
    /// At start: the saved configuration, and the history as [`Save`] had it. What of the history cannot be
    /// read is dropped.
    pub fn new(running: Config, history: &str) -> Self {
        Store { running, candidate: None, trial: None, edits: 0, history: read_history(history) }
    }

    /// Remembers a saved configuration that does not run, so that `rollback 1` brings it back.
    pub fn set_aside(&mut self, text: String, now: WallTime) {
        if !text.is_empty() && text.len() <= CONFIG_BYTES_MAX {
            self.history.push_front(Saved { replaced: now, text });
            self.history.truncate(CONFIG_HISTORY_MAX);
        }
    }

    /// Runs nothing from now on; what is saved is left as it is, and is the newest of the former ones.
    pub fn leave_aside(&mut self, now: WallTime) {
        let running = std::mem::take(&mut self.running);
        let saved = self.trial.take().map_or(running, |trial| trial.before);
        self.candidate = None;
        self.edits += 1;
        self.set_aside(text::print(&saved), now);
    }

    /// Runs nothing and knows of nothing from now on.
    pub fn forget(&mut self) {
        *self = Store { edits: self.edits + 1, ..Store::new(Config::default(), "") };
    }

    /// Whether anything is configured at all.
    pub fn is_configured(&self) -> bool {
        self.running != Config::default()
    }

    /// A number that is another one whenever the candidate is: two users who edit it can tell by it.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    pub fn running(&self) -> &Config {
        &self.running
    }

    /// Whether there is something to commit.
    pub fn has_candidate(&self) -> bool {
        self.candidate.is_some()
    }

    /// When the trial ends; [`Instant::NEVER`] while there is none.
    pub fn deadline(&self) -> Instant {
        self.trial.as_ref().map_or(Instant::NEVER, |trial| trial.deadline)
    }

    /// What comes back when the trial is not confirmed.
    pub fn before_trial(&self) -> Option<&Config> {
        self.trial.as_ref().map(|trial| &trial.before)
    }

    /// The statements of a later version that the candidate keeps, as they are shown.
    pub fn unread(&self) -> Vec<String> {
        self.edited().iter().filter(|s| s.is_unread()).map(Statement::to_string).collect()
    }

    /// Former configurations, the newest first: number 1 of `rollback`.
    pub fn history(&self) -> impl Iterator<Item = &Saved> {
        self.history.iter()
    }

    /// Puts a statement into the candidate, in the place of one that would contradict it.
    pub fn set(&mut self, statement: Statement) -> Result<(), String> {
        let mut statements = self.edited();
        let key = statement.key();
        match statements.iter().position(|other| other.key() == key) {
            Some(at) => statements[at] = statement,
            None if statements.len() >= CONFIG_STATEMENTS_MAX => {
                return Err(format!(
                    "the configuration is full; it takes {CONFIG_STATEMENTS_MAX} statements"
                ));
            }
            None => statements.push(statement),
        }
        self.put(statements);
        Ok(())
    }

    /// Takes out every statement that begins with these words; gives how many.
    pub fn delete(&mut self, words: &[&str]) -> Result<usize, String> {
        if words.len() < 2 {
            return Err("that is too much; write at least two words of a statement".to_owned());
        }
        let mut statements = self.edited();
        let before = statements.len();
        statements.retain(|statement| !begins_with(statement, words));
        let gone = before - statements.len();
        if gone == 0 {
            let what = shown(&words.join(" "));
            return Err(format!("no statement begins with `{what}`; `show config` lists them"));
        }
        self.put(statements);
        Ok(gone)
    }

    /// Makes a whole configuration the candidate, with statements that take the place of some of its own.
    pub fn import(&mut self, config: &Config, others: Vec<Statement>) {
        let mut statements = text::statements(config);
        for other in others {
            match statements.iter_mut().find(|statement| statement.key() == other.key()) {
                Some(statement) => *statement = other,
                None => statements.push(other),
            }
        }
        self.put(statements);
    }

    /// The candidate as far as it goes, with whatever is wrong with it.
    pub fn draft(&self) -> Config {
        text::draft(self.edited())
    }

    /// Makes former configuration number `n` the candidate; 0 drops the candidate.
    pub fn rollback(&mut self, n: usize) -> Result<(), String> {
        let Some(at) = n.checked_sub(1) else {
            self.candidate = None;
            self.edits += 1;
            return Ok(());
        };
        let saved = self.history.get(at).ok_or_else(|| match self.history.len() {
            0 => "there is no former configuration yet".to_owned(),
            most => format!("there is no number {n}; write one from 1 to {most}, or 0 for the running one"),
        })?;
        let (config, _) = on_flash::read(saved.text.as_bytes())
            .map_err(|found| format!("it is of another version and no longer right: line {}", found[0]))?;
        self.put(text::statements(&config));
        Ok(())
    }

    /// What the candidate would change.
    pub fn changes(&self) -> Vec<Line> {
        diff::lines(&text::statements(&self.running), &self.edited())
    }

    /// The candidate as a configuration, or all that is wrong with it.
    pub fn check(&self) -> Result<Config, Refusal> {
        let statements = self.edited();
        let numbered: Vec<(usize, Statement)> =
            statements.iter().enumerate().map(|(at, s)| (at, s.clone())).collect();
        let config = text::build(&numbered).map_err(|found| {
            let line = |p: &Problem| match statements.get(p.line) {
                Some(statement) => format!("{statement}: {}", p.what),
                None => p.what.clone(),
            };
            found.iter().map(line).collect::<Refusal>()
        })?;
        if text::print(&config).len() > CONFIG_BYTES_MAX {
            return Err(vec![format!("the configuration is longer than {CONFIG_BYTES_MAX} bytes")]);
        }
        Ok(config)
    }

    /// Makes the candidate the running and the saved configuration. Without a candidate it confirms a trial.
    pub fn commit(&mut self, now: Now) -> Result<Commit, Refusal> {
        if self.candidate.is_none() && self.trial.is_some() {
            let save = self.confirm(now.wall).map_err(|why| vec![why])?;
            return Ok(Commit { change: Change::default(), save: Some(save) });
        }
        let config = self.changed()?;
        let change = diff::change(&self.running, &config);
        let replaced = std::mem::replace(&mut self.running, config);
        let saved_before = self.trial.take().map_or(replaced, |trial| trial.before);
        self.candidate = None;
        self.edits += 1;
        Ok(Commit { change, save: Some(self.save(&saved_before, now.wall)) })
    }

    /// Makes the candidate the running configuration for some minutes; without [`Store::confirm`] in time
    /// the one before returns. A trial during a trial returns to where the first began.
    pub fn commit_on_trial(&mut self, now: Now, minutes: u64) -> Result<Commit, Refusal> {
        if !(1..=CONFIRM_MINUTES_MAX).contains(&minutes) {
            return Err(vec![format!(
                "`{minutes}` is no time; write minutes from 1 to {CONFIRM_MINUTES_MAX}"
            )]);
        }
        let config = self.changed()?;
        let change = diff::change(&self.running, &config);
        let replaced = std::mem::replace(&mut self.running, config);
        let before = self.trial.take().map_or(replaced, |trial| trial.before);
        let deadline = now.mono + Duration::from_secs(minutes * 60);
        self.trial = Some(Trial { deadline, before });
        self.candidate = None;
        self.edits += 1;
        Ok(Commit { change, save: None })
    }

    /// Ends the trial well: the running configuration is to be saved.
    pub fn confirm(&mut self, now: WallTime) -> Result<Save, String> {
        let trial = self.trial.take().ok_or("nothing is on trial; `commit confirm` begins one")?;
        Ok(self.save(&trial.before, now))
    }

    /// Ends the trial when its time is over: what ran before runs again, and the trial is the candidate
    /// unless another one is being edited.
    pub fn expire(&mut self, now: Instant) -> Option<Change> {
        let trial = self.trial.take_if(|trial| trial.deadline <= now)?;
        let change = diff::change(&self.running, &trial.before);
        let failed = std::mem::replace(&mut self.running, trial.before);
        match self.candidate.take() {
            Some(edited) => self.put(edited),
            None => self.put(text::statements(&failed)),
        }
        Some(change)
    }

    /// The candidate's statements, or those of the running configuration.
    fn edited(&self) -> Vec<Statement> {
        self.candidate.clone().unwrap_or_else(|| text::statements(&self.running))
    }

    /// Statements equal to the running configuration are no candidate.
    fn put(&mut self, statements: Vec<Statement>) {
        let same = diff::lines(&text::statements(&self.running), &statements).is_empty();
        self.candidate = (!same).then_some(statements);
        self.edits += 1;
    }

    /// The candidate, where there is one and it is right.
    fn changed(&self) -> Result<Config, Refusal> {
        if self.candidate.is_none() {
            return Err(vec!["nothing has changed; `set` and `delete` change something".to_owned()]);
        }
        self.check()
    }

    fn save(&mut self, replaced: &Config, now: WallTime) -> Save {
        if *replaced != self.running {
            self.history.push_front(Saved { replaced: now, text: text::print(replaced) });
            self.history.truncate(CONFIG_HISTORY_MAX);
            let mut sum = 0;
            self.history.retain(|saved| {
                sum += saved.text.len();
                sum <= CONFIG_HISTORY_BYTES_MAX
            });
        }
        Save { config: text::print(&self.running), history: write_history(&self.history) }
    }
}

/// Whether a statement's first words are these; in host names case tells nothing apart.
fn begins_with(statement: &Statement, wanted: &[&str]) -> bool {
    let text = statement.to_string();
    let words = words::split(&text).unwrap_or_default();
    words.len() >= wanted.len() && words.iter().zip(wanted).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// What begins each entry of the history, before the seconds of its time.
const ENTRY: &str = "# replaced at ";

fn write_history(history: &VecDeque<Saved>) -> String {
    let mut out = String::new();
    for saved in history {
        let (seconds, date) = (saved.replaced.unix_seconds(), saved.replaced.rfc3339());
        out.push_str(&format!("{ENTRY}{seconds} {date}\n{}", saved.text));
    }
    out
}

fn read_history(text: &str) -> VecDeque<Saved> {
    let mut history: VecDeque<Saved> = VecDeque::new();
    for line in text.lines() {
        let time = line.strip_prefix(ENTRY).and_then(|rest| rest.split(' ').next()?.parse().ok());
        if let Some(seconds) = time {
            let replaced = WallTime::from_unix_seconds(seconds);
            history.push_back(Saved { replaced, text: String::new() });
        } else if let Some(saved) = history.back_mut() {
            saved.text.extend([line, "\n"]);
        }
    }
    history.truncate(CONFIG_HISTORY_MAX);
    history.retain(|saved| saved.text.len() <= CONFIG_BYTES_MAX);
    history
}

#[cfg(test)]
mod tests;
