//! Text to configuration and back, by the one table of `config::forms`. Every fault of a text is reported,
//! each in one line with its number; what is printed parses back to an equal model. Danger: a text that
//! contradicts itself must never become a [`Config`], so [`build`] is the only way to make one from text.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::config::Config;
use crate::config::argument::{Argument, HIDDEN};
use crate::config::check;
use crate::config::forms::{FORMS, Form, Key, Lines, Scope, Taker, UNREAD, USER_PASSWORD};
use crate::config::grammar::{self, Spelling};
use crate::config::words::{self, is_blank};
use crate::limits::{CONFIG_BYTES_MAX, CONFIG_LINE_BYTES_MAX, DOMAINS_MAX};
use crate::mail::Domain;

/// The place of a form that takes what must not be shown.
const SECRET: &str = "PASSWORD";

/// One fault of a configuration: its line, counted from 1, and what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// One statement that is right by itself. Displays as its canonical text, passwords hidden.
#[derive(Clone)]
pub struct Statement {
    form: &'static Form,
    domain: Option<Domain>,
    /// The arguments after the domain's name, in canonical spelling.
    arguments: Vec<String>,
}

impl Statement {
    /// The domain that the statement speaks of.
    pub fn domain(&self) -> Option<&Domain> {
        self.domain.as_ref()
    }

    /// The row of the table.
    pub fn form(&self) -> &'static Form {
        self.form
    }

    /// What the statement speaks of: two statements with one key contradict unless they are equal.
    pub fn key(&self) -> String {
        let text = self.whole();
        let family = |at: usize| match text.split(' ').nth(at) {
            Some(ip) if ip.contains(':') => " IPv6",
            _ => " IPv4",
        };
        match self.form.key {
            Key::Words(n) => first_words(&text, n).to_owned(),
            Key::Family(n) => first_words(&text, n).to_owned() + family(n),
        }
    }

    fn apply(&self, config: &mut Config) -> Result<(), String> {
        let mut taker = Taker::new(&self.arguments);
        match &self.form.scope {
            Scope::Box { read, .. } => read(&mut config.machine, &mut taker),
            Scope::Domain { read, .. } => {
                let name = self.domain.as_ref().expect("a domain's statement names its domain");
                read(config.domains.named_or_new(name), &mut taker)
            }
        }
    }
}

/// Statements are equal when they say the same.
impl PartialEq for Statement {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.form, other.form)
            && self.domain == other.domain
            && self.arguments == other.arguments
    }
}

impl Eq for Statement {}

impl Statement {
    /// The canonical text with its passwords: for what is saved, and for nobody's eyes.
    pub fn whole(&self) -> String {
        self.words(false).join(" ")
    }

    /// A line as a statement that this version does not know.
    pub(super) fn unread(text: &str) -> Self {
        let words = words::split(text).unwrap_or_default();
        Statement { form: &UNREAD, domain: None, arguments: words.into_iter().map(str::to_owned).collect() }
    }

    /// Whether this version does not know it.
    pub fn is_unread(&self) -> bool {
        std::ptr::eq(self.form, &UNREAD)
    }

    fn words(&self, hide: bool) -> Vec<&str> {
        if self.is_unread() {
            let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
            return if hide { grammar::veiled(&words) } else { words };
        }
        let mut arguments =
            self.domain.iter().map(Domain::as_str).chain(self.arguments.iter().map(String::as_str));
        let mut words = Vec::new();
        for place in grammar::places(self.form.form) {
            if place.is_fixed() {
                words.push(place.text);
                continue;
            }
            let count = if place.rest_of_line { usize::MAX } else { 1 };
            let secret = hide && place.text == SECRET;
            words.extend(arguments.by_ref().take(count).map(|word| if secret { HIDDEN } else { word }));
        }
        words
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(true).join(" "))
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn first_words(text: &str, n: usize) -> &str {
    text.match_indices(' ').nth(n - 1).map_or(text, |(at, _)| &text[..at])
}

/// The forms of the table, for `config::grammar`.
pub fn forms() -> Vec<&'static str> {
    FORMS.iter().map(|row| row.form).collect()
}

/// Parses one line; `None` when it holds no statement. The error says what is wrong and what would be right.
pub fn parse_statement(line: &str) -> Result<Option<Statement>, String> {
    let words = words::split(line)?;
    if words.is_empty() { Ok(None) } else { statement_of(&words, Spelling::Full).map(Some) }
}

/// The statement that `words` make, which are as [`words::split`] gives them.
pub fn statement_of(words: &[&str], spelling: Spelling) -> Result<Statement, String> {
    let found = grammar::find(&forms(), words, spelling)?;
    let form = &FORMS[found.form];
    let is_open = |at: usize| grammar::place_at(form.form, at).is_some_and(|place| !place.is_fixed());
    let open = found.words.into_iter().enumerate().filter(|(at, _)| is_open(*at));
    let mut arguments: Vec<String> = open.map(|(_, word)| word).collect();
    let mut statement = Statement { form, domain: None, arguments: Vec::new() };
    let mut scratch = Config::default();
    if let Scope::Domain { .. } = form.scope {
        statement.domain = Some(Domain::read(&arguments.remove(0))?);
    }
    let mut taker = Taker::new(&arguments);
    match &form.scope {
        Scope::Box { read, .. } => read(&mut scratch.machine, &mut taker)?,
        Scope::Domain { read, .. } => {
            let name = statement.domain.as_ref().expect("set above");
            read(scratch.domains.named_or_new(name), &mut taker)?;
        }
    }
    statement.arguments = taker.into_canonical();
    Ok(as_kept(statement, &scratch))
}

/// Whether [`statement_of`] takes long: a password among the words becomes a verifier, by many rounds.
pub fn takes_long(words: &[&str], spelling: Spelling) -> bool {
    grammar::find(&forms(), words, spelling).is_ok_and(|found| FORMS[found.form].form == USER_PASSWORD)
}

/// What a statement becomes whose own form is never kept: a password is kept as its verifier.
fn as_kept(statement: Statement, scratch: &Config) -> Statement {
    let is_kept = match &statement.form.scope {
        Scope::Box { list, .. } => !list(&scratch.machine).is_empty(),
        Scope::Domain { list, .. } => scratch.domains.iter().any(|domain| !list(domain).is_empty()),
    };
    match (is_kept, statements(scratch).pop()) {
        (false, Some(kept)) => kept,
        _ => statement,
    }
}

/// `text` with every typed password in the form in which it is kept, and nothing else changed; `None` where
/// it holds none. What cannot be read is left to [`parse`].
pub fn sealed(text: &[u8]) -> Option<Vec<u8>> {
    let mut found = false;
    let seal = |line: &[u8]| {
        let typed = line.split(|b| is_blank((*b).into())).any(|word| word == b"password");
        match typed.then(|| line_statement(line)) {
            Some(Ok(Some(statement))) if statement.form.form.contains(" verifier ") => {
                found = true;
                statement.whole().into_bytes()
            }
            _ => line.to_vec(),
        }
    };
    let lines: Vec<Vec<u8>> = text.split(|b| *b == b'\n').map(seal).collect();
    found.then(|| lines.join(&b'\n'))
}

/// Parses a whole configuration; every problem is in the list, in the order of the lines.
pub fn parse(text: &[u8]) -> Result<Config, Vec<Problem>> {
    if text.len() > CONFIG_BYTES_MAX {
        let what = format!("the configuration is longer than {CONFIG_BYTES_MAX} bytes; make it shorter");
        return Err(vec![Problem { line: 1, what }]);
    }
    let mut statements = Vec::new();
    let mut problems = Vec::new();
    let mut doubtful = HashSet::new();
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        match line_statement(line) {
            Ok(Some(statement)) => statements.push((at + 1, statement)),
            Ok(None) => {}
            Err(what) => {
                doubtful.extend(domain_of(line));
                problems.push(Problem { line: at + 1, what });
            }
        }
    }
    let (config, found) = assemble(&statements, doubtful);
    problems.extend(found);
    problems.sort();
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// The line of a text without problems that says this statement; 1 for one that it does not say.
pub fn line_of(text: &[u8], statement: &str) -> usize {
    let says = |line| matches!(line_statement(line), Ok(Some(said)) if said.to_string() == statement);
    text.split(|b| *b == b'\n').position(says).map_or(1, |at| at + 1)
}

/// The domain that a wrong line speaks of: what it lacks may be what the line meant to say.
fn domain_of(line: &[u8]) -> Option<Domain> {
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|first| *first == "domain")?;
    Domain::host_name(words.next()?).ok()
}

pub(super) fn line_statement(line: &[u8]) -> Result<Option<Statement>, String> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > CONFIG_LINE_BYTES_MAX {
        return Err(format!(
            "the line is longer than {CONFIG_LINE_BYTES_MAX} bytes; a statement fits on one"
        ));
    }
    let text = std::str::from_utf8(line).map_err(|why| {
        let byte = line[why.valid_up_to()];
        format!("byte {} of the line, 0x{byte:02x}, is no UTF-8; write plain text", why.valid_up_to() + 1)
    })?;
    parse_statement(text)
}

/// Where statements stand, by their canonical text.
#[derive(Default)]
pub struct Places {
    lines: HashMap<String, usize>,
    /// Domains of which a statement could not be read.
    doubtful: HashSet<Domain>,
}

impl Places {
    /// The line of a statement; 1 for one that is nowhere.
    pub fn line(&self, statement: &str) -> usize {
        self.lines.get(statement).copied().unwrap_or(1)
    }

    /// Whether the statement was written, and is not a default.
    pub fn knows(&self, statement: &str) -> bool {
        self.lines.contains_key(statement)
    }

    /// Whether a statement about the domain could not be read.
    pub fn is_doubtful(&self, name: &Domain) -> bool {
        self.doubtful.contains(name)
    }

    /// The line of the first statement about a domain.
    pub fn first_of_domain(&self, name: &Domain) -> usize {
        let head = format!("domain {name} ");
        self.lines
            .iter()
            .filter(|(text, _)| text.starts_with(&head))
            .map(|(_, line)| *line)
            .min()
            .unwrap_or(1)
    }
}

/// The configuration that numbered statements make together, or everything that is wrong with it.
pub fn build(statements: &[(usize, Statement)]) -> Result<Config, Vec<Problem>> {
    let (config, problems) = assemble(statements, HashSet::new());
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// What statements make together, with all that is wrong with it: of no use but to look something up.
pub fn draft(statements: Vec<Statement>) -> Config {
    let numbered: Vec<(usize, Statement)> = statements.into_iter().enumerate().collect();
    assemble(&numbered, HashSet::new()).0
}

pub(super) fn assemble(
    statements: &[(usize, Statement)],
    doubtful: HashSet<Domain>,
) -> (Config, Vec<Problem>) {
    let mut config = Config::default();
    let mut problems = Vec::new();
    let mut places = Places { doubtful, ..Places::default() };
    let mut keys: HashMap<String, (usize, &Statement)> = HashMap::new();
    for (line, statement) in statements {
        let text = statement.to_string();
        match keys.get(&statement.key()) {
            Some((_, same)) if *same == statement => continue,
            Some((first, other)) => {
                let other = other.to_string();
                let what = format!("this contradicts line {first}, `{}`; keep one", grammar::shown(&other));
                problems.push(Problem { line: *line, what });
                continue;
            }
            None => {}
        }
        if let Err(what) = room_for(&config, statement).and_then(|()| statement.apply(&mut config)) {
            problems.push(Problem { line: *line, what });
            continue;
        }
        if statement.is_unread() {
            places.doubtful.extend(domain_of(text.as_bytes()));
        }
        keys.insert(statement.key(), (*line, statement));
        places.lines.insert(text, *line);
    }
    problems.extend(check::problems(&config, &places));
    problems.sort();
    (config, problems)
}

fn room_for(config: &Config, statement: &Statement) -> Result<(), String> {
    match statement.domain() {
        Some(name) if config.domains.len() >= DOMAINS_MAX && config.domain(name).is_none() => {
            Err(format!("one domain too many; a box hosts at most {DOMAINS_MAX}"))
        }
        _ => Ok(()),
    }
}

/// The statements that say what `config` says, in canonical order, defaults left out.
pub fn statements(config: &Config) -> Vec<Statement> {
    let mut all = Vec::new();
    for form in FORMS {
        if let Scope::Box { list, .. } = &form.scope {
            push_all(&mut all, form, None, list(&config.machine));
        }
    }
    for domain in &config.domains {
        for form in FORMS {
            if let Scope::Domain { list, .. } = &form.scope {
                push_all(&mut all, form, Some(&domain.name), list(domain));
            }
        }
    }
    if let Scope::Box { list, .. } = &UNREAD.scope {
        push_all(&mut all, &UNREAD, None, list(&config.machine));
    }
    all
}

fn push_all(all: &mut Vec<Statement>, form: &'static Form, domain: Option<&Domain>, lines: Lines) {
    let statement = |arguments| Statement { form, domain: domain.cloned(), arguments };
    all.extend(lines.into_iter().map(statement));
}

/// The whole configuration as text, with its passwords: one statement a line, canonical.
pub fn print(config: &Config) -> String {
    lines(statements(config).iter().map(Statement::whole))
}

/// The same with the passwords hidden, for whoever looks at it.
pub fn print_shown(config: &Config) -> String {
    lines(statements(config).iter().map(Statement::to_string))
}

fn lines(statements: impl Iterator<Item = String>) -> String {
    statements.map(|line| line + "\n").collect()
}
