//! Holds `tests/rfc5321.md` to the source: every row is complete, and every test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// The names of all functions behind `#[test]`, and in `proptest!` blocks.
fn test_names(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            test_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for after in text.split("#[test]").skip(1) {
                let name = after.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

/// The cells of each row, but for headings and rules.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| § "));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_table_of_rfc_5321_names_tests_that_exist() {
    let table = fs::read_to_string(Path::new(PROJECT).join("tests/rfc5321.md")).unwrap();
    let mut names = BTreeSet::new();
    test_names(&Path::new(PROJECT).join("src"), &mut names);
    test_names(&Path::new(PROJECT).join("tests"), &mut names);
    let mut faults = Vec::new();
    for row in rows(&table) {
        let [section, asks, does, shown] = row[..] else { panic!("four cells a row: {row:?}") };
        if section.is_empty() || asks.is_empty() || does.is_empty() || shown.is_empty() {
            faults.push(format!("§{section}: a cell is empty"));
        }
        if shown.starts_with("— ") || shown.starts_with("no test yet: ") {
            continue;
        }
        let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            faults.push(format!("§{section}: name a test, or say why there is none"));
        }
        let gone = named.into_iter().filter(|name| !names.contains(*name));
        faults.extend(gone.map(|name| format!("§{section}: there is no test {name}")));
    }
    assert!(faults.is_empty(), "{} of these:\n{}\n", faults.len(), faults.join("\n"));
}
