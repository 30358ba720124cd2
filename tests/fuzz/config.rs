//! A configuration as text: whatever it says, it is refused with reasons or reads back as itself.

use stagepost::config::candidate::Store;
use stagepost::config::grammar::Spelling;
use stagepost::config::{Config, parse, print, saved, text, words};
use stagepost::console::carried;

pub fn config(data: &[u8]) {
    match parse(data) {
        Ok(config) => {
            let printed = print(&config);
            assert_eq!(parse(printed.as_bytes()).as_ref(), Ok(&config), "{printed}");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
            }
        }
    }
    saved_and_pasted(data);
    statements(&String::from_utf8_lossy(data));
}

/// The same as a saved configuration, of which a part may be of a later version, and as a paste with keys in it.
fn saved_and_pasted(data: &[u8]) {
    if let Ok((config, _)) = saved::read(data) {
        let printed = print(&config);
        assert_eq!(
            saved::read(printed.as_bytes()).map(|(again, _)| again).as_ref(),
            Ok(&config),
            "{printed}"
        );
    }
    match carried::part(&String::from_utf8_lossy(data)) {
        Ok((statements, sections)) => {
            assert!(sections.iter().all(|section| section.line <= statements.lines().count()));
        }
        Err(problems) => assert!(problems.iter().all(|p| !p.to_string().contains(char::is_control))),
    }
}

/// The same lines, one after another, as the console takes them.
fn statements(lines: &str) {
    let mut store = Store::new(Config::default(), "");
    for line in lines.lines().take(50) {
        let Ok(words) = words::split(line) else { continue };
        let told = match words.split_first() {
            Some((&"delete", rest)) => store.delete(rest).map(|_| ()),
            _ => text::statement_of(&words, Spelling::Prefixes).and_then(|statement| store.set(statement)),
        };
        if let Err(told) = told {
            assert!(!told.contains(char::is_control), "{told:?}");
        }
    }
    let _changes = store.changes();
    if let Ok(config) = store.check() {
        assert_eq!(parse(print(&config).as_bytes()).as_ref(), Ok(&config));
    }
}
