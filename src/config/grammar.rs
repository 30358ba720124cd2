//! Forms: one line of text, such as `box port smtp|submission PORT|off`, says how a statement or a command
//! looks, and matching, completion and help all read that line. Lower case stands for itself, upper case for
//! an argument, `|` for a choice, `[X]` for what may be left out, a final `...` for the rest of the line.
//! Danger: a word must never match a form by accident, so a literal always goes before an argument.

use crate::config::argument::HIDDEN;

/// Where no form says what a word is, none behind one of these is shown.
const TELLS_SECRET: [&str; 4] = ["password", "secret", "key", "token"];

/// One place of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'f> {
    /// As written, without the brackets of an optional place and the dots of a final one.
    pub text: &'f str,
    pub optional: bool,
    pub rest_of_line: bool,
}

impl<'f> Place<'f> {
    fn new(word: &'f str) -> Self {
        let inner = word.strip_prefix('[').and_then(|w| w.strip_suffix(']'));
        let text = inner.unwrap_or(word);
        let bare = text.strip_suffix("...");
        Place { text: bare.unwrap_or(text), optional: inner.is_some(), rest_of_line: bare.is_some() }
    }

    /// Whether only this very word can stand here.
    pub fn is_fixed(&self) -> bool {
        !self.optional && !self.text.contains('|') && self.takes_literal(self.text)
    }

    /// The words that stand for themselves here.
    pub fn literals(&self) -> impl Iterator<Item = &'f str> {
        self.text.split('|').filter(|alternative| is_literal(alternative))
    }

    /// The arguments that may stand here: `PORT`, `IP[/LEN]`.
    pub fn arguments(&self) -> impl Iterator<Item = &'f str> {
        self.text.split('|').filter(|alternative| !is_literal(alternative))
    }

    fn takes_literal(&self, word: &str) -> bool {
        self.literals().any(|literal| literal == word)
    }

    fn takes_argument(&self) -> bool {
        self.arguments().next().is_some()
    }

    fn takes(&self, word: &str) -> bool {
        self.takes_literal(word) || self.takes_argument()
    }
}

fn is_literal(alternative: &str) -> bool {
    !alternative.contains(|c: char| c.is_ascii_uppercase())
}

/// The places of a form.
pub fn places(form: &str) -> impl Iterator<Item = Place<'_>> {
    form.split(' ').map(Place::new)
}

/// Whether words may be shortened to what tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Full,
    Prefixes,
}

/// Words that no form takes as they may be shown: whoever reads a log or a screen learns no password from them.
pub fn veiled<'w>(words: &[&'w str]) -> Vec<&'w str> {
    let tells = |word: &str| TELLS_SECRET.contains(&word.to_ascii_lowercase().as_str());
    let open = words.iter().position(|word| tells(word)).map_or(words.len(), |at| at + 1);
    words.iter().enumerate().map(|(at, word)| if at < open { word } else { HIDDEN }).collect()
}

/// The form that `words` fill, with shortened words written out.
#[derive(Debug, PartialEq, Eq)]
pub struct Match {
    pub form: usize,
    pub words: Vec<String>,
}

/// Finds the one form that takes `words`. The error is ready for the user.
pub fn find(forms: &[&str], words: &[&str], spelling: Spelling) -> Result<Match, String> {
    let mut open: Vec<usize> = (0..forms.len()).collect();
    let mut full: Vec<String> = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        let word = expand(forms, &open, at, word, spelling)?;
        let next = narrow(forms, &open, at, &word);
        if next.is_empty() {
            return Err(unexpected(forms, &open, &full, at, &word));
        }
        open = next;
        full.push(word);
    }
    let complete = open.iter().find(|form| fits_length(forms[**form], full.len()));
    match complete {
        Some(form) => Ok(Match { form: *form, words: full }),
        None => Err(incomplete(forms, &open, &full)),
    }
}

/// What may stand at the end of `words`: the literals and the arguments, each with its form, in table order.
pub fn next_words<'f>(forms: &[&'f str], words: &[&str], spelling: Spelling) -> Vec<(usize, Place<'f>)> {
    let mut open: Vec<usize> = (0..forms.len()).collect();
    for (at, word) in words.iter().enumerate() {
        let Ok(word) = expand(forms, &open, at, word, spelling) else { return Vec::new() };
        open = narrow(forms, &open, at, &word);
    }
    open.iter().filter_map(|form| Some((*form, place_at(forms[*form], words.len())?))).collect()
}

/// The place of a form that takes its word number `at`, counted from 0.
pub fn place_at(form: &str, at: usize) -> Option<Place<'_>> {
    places(form).nth(at).or_else(|| places(form).last().filter(|last| last.rest_of_line))
}

/// The forms among `open` that take `word` as their word number `at`; literals win over arguments.
fn narrow(forms: &[&str], open: &[usize], at: usize, word: &str) -> Vec<usize> {
    let at_place = |form: &usize| place_at(forms[*form], at);
    let literal: Vec<usize> =
        open.iter().copied().filter(|f| at_place(f).is_some_and(|p| p.takes_literal(word))).collect();
    if !literal.is_empty() {
        return literal;
    }
    open.iter().copied().filter(|f| at_place(f).is_some_and(|p| p.takes(word))).collect()
}

/// A shortened literal written out, when exactly one begins so and no argument could be meant.
fn expand(
    forms: &[&str],
    open: &[usize],
    at: usize,
    word: &str,
    spelling: Spelling,
) -> Result<String, String> {
    let here: Vec<Place> = open.iter().filter_map(|form| place_at(forms[*form], at)).collect();
    if spelling == Spelling::Full || here.iter().any(|p| p.takes(word)) {
        return Ok(word.to_owned());
    }
    let mut literals: Vec<&str> = here.iter().flat_map(Place::literals).collect();
    literals.retain(|literal| literal.starts_with(word));
    literals.dedup();
    match literals[..] {
        [one] => Ok(one.to_owned()),
        [] => Ok(word.to_owned()),
        _ => Err(format!("`{}` may be {}; write more of it", shown(word), one_of(&literals))),
    }
}

fn fits_length(form: &str, words: usize) -> bool {
    let least = places(form).filter(|p| !p.optional).count();
    let most = places(form).count();
    least <= words && (words <= most || places(form).last().is_some_and(|p| p.rest_of_line))
}

fn unexpected(forms: &[&str], open: &[usize], before: &[String], at: usize, word: &str) -> String {
    let here: Vec<Place> = open.iter().filter_map(|form| place_at(forms[*form], at)).collect();
    let mut literals: Vec<&str> = Vec::new();
    for literal in here.iter().flat_map(Place::literals) {
        if !literals.contains(&literal) {
            literals.push(literal);
        }
    }
    let near = nearest(word, &literals);
    let said: Vec<&str> = before.iter().map(String::as_str).chain([word]).collect();
    let said = veiled(&said);
    let (word, before) = (said[at], &said[..at]);
    let after =
        if before.is_empty() { String::new() } else { format!(" after `{}`", shown(&before.join(" "))) };
    match (literals.is_empty(), near) {
        (true, _) => format!("`{}` is too much; the form is `{}`", shown(word), forms[open[0]]),
        (false, Some(near)) => format!("`{}` is unknown{after}; did you mean `{near}`?", shown(word)),
        (false, None) => format!("`{}` is unknown{after}; write {}", shown(word), one_of(&literals)),
    }
}

fn incomplete(forms: &[&str], open: &[usize], words: &[String]) -> String {
    let said: Vec<&str> = words.iter().map(String::as_str).collect();
    let so_far = shown(&veiled(&said).join(" "));
    if let [form] = open {
        return format!("`{so_far}` is not complete; the form is `{}`", forms[*form]);
    }
    let mut wanted: Vec<&str> =
        open.iter().filter_map(|f| place_at(forms[*f], words.len())).map(|p| p.text).collect();
    wanted.dedup();
    format!("`{so_far}` is not complete; it goes on with {}", one_of(&wanted))
}

/// `a, b or c`.
pub fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// At most 60 characters of what the user wrote, so that a message stays one line of the console.
pub fn shown(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { '?' } else { c });
    let head: String = chars.by_ref().take(60).collect();
    if chars.next().is_some() { format!("{head}...") } else { head }
}

/// The candidate that differs from `word` by the fewest letters, when it differs by few enough.
pub fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let word: Vec<char> = word.chars().take(40).collect();
    let allowed = (word.len() / 3).clamp(1, 3);
    let scored = candidates.iter().map(|candidate| (edit_distance(&word, candidate), *candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, c)| c)
}

/// Letters to insert, delete, change, or swap with their neighbour.
fn edit_distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    let swap = if swapped { rows[i - 2][j - 2] + 1 } else { usize::MAX };
                    change.min(swap).min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1)
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: &[&str] =
        &["show status", "show queue [DOMAIN]", "send FROM TO [SUBJECT...]", "queue retry|delete ID|all"];

    fn found(words: &str, spelling: Spelling) -> Result<String, String> {
        let words: Vec<&str> = words.split_whitespace().collect();
        find(FORMS, &words, spelling).map(|m| format!("{}: {}", m.form, m.words.join(" ")))
    }

    #[test]
    fn words_find_their_form() {
        for (words, wanted) in [
            ("show status", "0: show status"),
            ("show queue", "1: show queue"),
            ("show queue bcd.com", "1: show queue bcd.com"),
            ("sh q", "1: show queue"),
            ("q d all", "3: queue delete all"),
            ("send a b c d e", "2: send a b c d e"),
        ] {
            assert_eq!(found(words, Spelling::Prefixes).unwrap(), wanted, "{words}");
        }
    }

    #[test]
    fn words_without_a_form_are_told_what_would_be_right() {
        for (words, spelling, wanted) in [
            ("shwo", Spelling::Full, "`shwo` is unknown; did you mean `show`?"),
            ("sh q", Spelling::Full, "`sh` is unknown; write show, send or queue"),
            ("s", Spelling::Prefixes, "`s` may be show or send; write more of it"),
            ("show", Spelling::Full, "`show` is not complete; it goes on with status or queue"),
            ("send a", Spelling::Full, "`send a` is not complete; the form is `send FROM TO [SUBJECT...]`"),
            ("show queue a b", Spelling::Full, "`b` is too much; the form is `show queue [DOMAIN]`"),
            ("queue burn 1", Spelling::Full, "`burn` is unknown after `queue`; write retry or delete"),
        ] {
            assert_eq!(found(words, spelling).unwrap_err(), wanted, "{words}");
        }
    }

    #[test]
    fn what_comes_next_is_known() {
        let next = |words: &[&str]| -> Vec<&str> {
            next_words(FORMS, words, Spelling::Prefixes).into_iter().map(|(_, place)| place.text).collect()
        };
        assert_eq!(next(&["show"]), ["status", "queue"]);
        assert_eq!(next(&["q", "r"]), ["ID|all"]);
        assert_eq!(next(&["send", "a", "b", "c"]), ["SUBJECT"]);
        assert_eq!(next(&["nothing"]), [""; 0]);
    }
}
