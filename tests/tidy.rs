//! The house rules that a compiler does not know, checked on the source text: the floors of `src/lib.rs`,
//! where `async` and system calls may stand, how long things may be, and that nothing is left half done.
//! Each message says what to do. Text is searched, not parsed: rustfmt's layout is taken for granted.

use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;

/// A source file, with what its own tests say cut off.
struct Source {
    /// From the project's top: `src/mail/address.rs`.
    path: String,
    text: String,
}

/// One line that breaks a rule.
type Faults = Vec<String>;

impl Source {
    /// The first folder or file under `src`: `mail`, `limits`; of `src` itself and of tests, nothing.
    fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(rest.split('/').next().unwrap().trim_end_matches(".rs")).filter(|m| *m != "lib")
    }

    /// Its lines as the product runs them, without comments and without its tests: (number, text).
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        let end = if is_tests { 0 } else { self.text.find("#[cfg(test)]\nmod ").unwrap_or(self.text.len()) };
        self.text[..end].lines().enumerate().map(|(n, line)| (n + 1, without_comment(line)))
    }

    fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

fn without_comment(line: &str) -> &str {
    match line.find("//") {
        Some(at) if !line[..at].ends_with(':') && line[..at].matches('"').count().is_multiple_of(2) => {
            &line[..at]
        }
        _ => line,
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `folder` of the project with this extension.
fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let mut folders = vec![project().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path: PathBuf = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                let name = path.strip_prefix(project()).unwrap().to_string_lossy().into_owned();
                found.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
            }
        }
    }
    assert!(!found.is_empty() || extension != "rs", "no source files under {folder}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

#[track_caller]
fn assert_none(faults: Faults) {
    assert!(faults.is_empty(), "{} of these:\n{}\n", faults.len(), faults.join("\n"));
}

/// The floor map of `src/lib.rs`: each module with the rank of its floor, and the floor's name.
fn floors() -> Vec<(String, usize, String)> {
    let text = fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let map = text.split("//! ```text\n").nth(1).and_then(|t| t.split("//! ```").next());
    let mut floors = Vec::new();
    let (mut rank, mut floor) = (0, String::new());
    for line in map.expect("src/lib.rs draws the floors in a ```text block").lines() {
        let columns = line.strip_prefix("//! ").unwrap_or_default();
        let (label, names) = (columns[..5].trim(), columns[5..].split("   ").next().unwrap());
        if !label.is_empty() {
            rank += 1;
            floor = label.to_owned();
        }
        for name in names.split_whitespace() {
            floors.push((name.trim_end_matches('/').to_owned(), rank, floor.clone()));
        }
    }
    floors
}

/// The modules that a line names by `crate::NAME` or `stagepost::NAME`, braces included.
fn modules_named(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or(rest, |list| list.split('}').next().unwrap());
        let many = rest.starts_with('{');
        for item in list.split(',').take(if many { usize::MAX } else { 1 }) {
            let name: String = item
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_' || c.is_ascii_digit())
                .collect();
            names.push(name);
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn a_file_uses_no_floor_above_its_own() {
    let floors = floors();
    let rank = |module: &str| floors.iter().find(|(name, ..)| name == module);
    let mut faults = Faults::new();
    for source in sources("src", "rs") {
        let Some(module) = source.module() else { continue };
        let Some((_, own, own_floor)) = rank(module) else {
            faults.push(
                source.fault(1, &format!("`{module}` is on no floor: add it to the map in src/lib.rs")),
            );
            continue;
        };
        for (number, line) in source.product_lines() {
            for used in modules_named(line) {
                if let Some((_, _, floor)) = rank(&used).filter(|(_, other, _)| other > own) {
                    let what = format!(
                        "`{module}` ({own_floor}) uses `{used}` ({floor}) above it: take a value or a trait \
                         instead, or move the wall and the map in src/lib.rs"
                    );
                    faults.push(source.fault(number, &what));
                }
            }
        }
    }
    assert_none(faults);
}

#[test]
fn async_stands_only_in_tasks_and_daemon() {
    let mut faults = Faults::new();
    for source in sources("src", "rs") {
        // The kernel's netlink library speaks in futures; os/nic polls them for the tasks above.
        if matches!(source.module(), Some("tasks" | "daemon")) || source.path.starts_with("src/os/nic") {
            continue;
        }
        for (number, line) in source.product_lines() {
            if line.contains("async fn ") || line.contains("async {") || line.contains("async move") {
                faults.push(
                    source.fault(number, "`async` here: sessions take bytes and time; wait in src/tasks"),
                );
            }
            if line.contains(".await") {
                faults.push(
                    source.fault(number, "`.await` here: give an action, and let src/tasks wait for it"),
                );
            }
        }
    }
    assert_none(faults);
}

#[test]
fn system_calls_stand_only_in_os() {
    /// What reaches the system, and the modules beside `os` that may name it.
    const SYSTEM: &[(&str, &[&str])] = &[
        ("rustix::", &[]),
        ("socket2::", &[]),
        ("libc::", &[]),
        ("rtnetlink", &["tasks"]),
        ("std::fs", &[]),
        ("File::", &[]),
        ("std::thread", &[]),
        ("std::process", &["main"]),
        ("std::env", &["main", "daemon"]),
        ("std::os::", &["cli", "caller", "tasks", "daemon", "main"]),
        ("TcpListener", &["tasks", "daemon"]),
        ("TcpStream", &["tasks", "daemon"]),
        ("UdpSocket", &["tasks", "daemon"]),
        ("UnixListener", &["tasks", "daemon"]),
        ("UnixStream", &["caller", "tasks", "daemon"]),
        ("async_io", &["tasks", "daemon", "main"]),
        ("smol::", &["tasks", "daemon", "main"]),
    ];
    let mut faults = Faults::new();
    for source in sources("src", "rs") {
        let Some(module) = source.module().filter(|module| *module != "os") else { continue };
        for (number, line) in source.product_lines() {
            // A file that os opened may be held and passed on.
            let line = line.replace("std::fs::File;", "");
            for (name, _) in SYSTEM.iter().filter(|(name, at)| line.contains(name) && !at.contains(&module)) {
                faults.push(
                    source.fault(number, &format!("`{name}` outside src/os: give it a function there")),
                );
            }
        }
    }
    assert_none(faults);
}

#[test]
fn nothing_is_left_half_done() {
    const WORDS: &[&str] =
        &["TODO", "FIXME", "XXX", "todo!", "unimplemented!", "for now", "allow(dead_code)", "dbg!("];
    let mut faults = Faults::new();
    let all = sources("src", "rs").into_iter().chain(sources("tests", "rs")).chain(sources("scripts", "sh"));
    for source in all.filter(|source| source.path != "tests/tidy.rs") {
        for (number, line) in source.text.lines().enumerate() {
            for word in WORDS.iter().filter(|word| line.contains(**word)) {
                faults.push(source.fault(number + 1, &format!("`{word}`: finish it, or leave it out")));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn functions_fit_a_screen_or_two() {
    let mut faults = Faults::new();
    let all = sources("src", "rs").into_iter().chain(sources("tests", "rs"));
    // A unit test's table of cases may be as long as there are cases.
    for source in all.filter(|source| !source.path.ends_with("/tests.rs")) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let body =
                lines[start..].iter().take_while(|l| **l != end && !ends_declaration(l, line)).count() + 1;
            if body > FUNCTION_LINES_MAX {
                let what = format!(
                    "a function of {body} lines, {FUNCTION_LINES_MAX} is the most: give a part its name"
                );
                faults.push(source.fault(start + 1, &what));
            }
        }
    }
    assert_none(faults);
}

fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start().split(' ').skip_while(|word| {
        matches!(*word, "const" | "async" | "unsafe" | "extern" | "\"C\"") || word.starts_with("pub")
    });
    words.next() == Some("fn")
}

/// A trait's function without a body, or a body on the line itself.
fn ends_declaration(line: &str, first: &str) -> bool {
    line.ends_with(';') && line.starts_with(first.split("fn ").next().unwrap()) && !line.contains("let ")
        || std::ptr::eq(line, first) && line.ends_with('}')
}

#[test]
fn files_have_one_subject() {
    let mut faults = Faults::new();
    for source in sources("src", "rs").into_iter().chain(sources("tests", "rs")) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            let what =
                format!("{lines} lines, {FILE_LINES_MAX} is the most: find the second noun, give it a file");
            faults.push(source.fault(lines, &what));
        }
    }
    assert_none(faults);
}

#[test]
fn every_file_says_its_duty_first() {
    let all = sources("src", "rs").into_iter().chain(sources("tests", "rs"));
    let silent = all.filter(|source| !source.text.starts_with("//! ") && !source.path.ends_with("/tests.rs"));
    let what = "does not begin with `//!`: say duty, source and danger in about three lines";
    assert_none(silent.map(|source| source.fault(1, what)).collect());
}

#[test]
fn every_bound_says_what_it_bounds() {
    let text = fs::read_to_string(project().join("src/limits.rs")).unwrap();
    let source = Source { path: "src/limits.rs".into(), text };
    let mut faults = Faults::new();
    let mut before = "";
    for (number, line) in source.text.lines().enumerate() {
        if line.starts_with("pub const ") && !before.starts_with("///") {
            faults.push(
                source.fault(number + 1, "a bound without `///`: say what it bounds and where it is from"),
            );
        }
        before = line;
    }
    assert_none(faults);
}

/// The checks above, tried on lines that they must tell apart.
#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(modules_named("use crate::mail::{Address, time};"), ["mail"]);
    assert_eq!(modules_named("use crate::{os::clock, time};"), ["os", "time"]);
    assert_eq!(modules_named("let a = crate::os::now() + crate::prng::f();"), ["os", "prng"]);
    assert_eq!(without_comment("let a = 1; // async fn"), "let a = 1; ");
    assert_eq!(without_comment("say(\"http://x\");"), "say(\"http://x\");");
    assert!(begins_function("    pub(crate) async fn f() {") && !begins_function("    let fn_ = 1;"));
    let floors = floors();
    let rank = |name: &str| floors.iter().find(|(module, ..)| module == name).map(|(_, rank, _)| *rank);
    assert!(rank("limits") < rank("mail") && rank("smtp") < rank("relay") && rank("os") < rank("tasks"));
    assert_eq!(rank("smtp"), rank("spool"));
}
