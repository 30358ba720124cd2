//! Holds the tables that name tests to the source: `tests/rfc5321.md`, and what the README says of attacks. Every
//! row is complete, and every test that it names exists.

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

/// The names of all tests of the project.
fn all_tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    test_names(&Path::new(PROJECT).join("src"), &mut names);
    test_names(&Path::new(PROJECT).join("tests"), &mut names);
    names
}

/// What is wrong with the tests that a row names.
fn faults_in(shown: &str, row: &str, names: &BTreeSet<String>) -> Vec<String> {
    let named: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
    if named.is_empty() {
        return vec![format!("{row}: name a test, or say why there is none")];
    }
    let gone = named.into_iter().filter(|name| !names.contains(*name));
    gone.map(|name| format!("{row}: there is no test {name}")).collect()
}

#[test]
fn the_table_of_attacks_names_tests_that_exist() {
    let readme = fs::read_to_string(Path::new(PROJECT).join("README.md")).unwrap();
    let table = readme.split("| attack |").nth(1).expect("README has a table of attacks");
    let table: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with("| ")).collect();
    assert!(table.len() >= 15, "only {} rows", table.len());
    let names = all_tests();
    let mut faults = Vec::new();
    for row in rows(&table.join("\n")) {
        let [attack, does, shown] = row[..] else { panic!("three cells a row: {row:?}") };
        if attack.is_empty() || does.is_empty() {
            faults.push(format!("{row:?}: a cell is empty"));
        }
        faults.extend(faults_in(shown, attack, &names));
    }
    assert!(faults.is_empty(), "{} of these:\n{}\n", faults.len(), faults.join("\n"));
}

#[test]
fn the_table_of_rfc_5321_names_tests_that_exist() {
    let table = fs::read_to_string(Path::new(PROJECT).join("tests/rfc5321.md")).unwrap();
    let names = all_tests();
    let mut faults = Vec::new();
    for row in rows(&table) {
        let [section, asks, does, shown] = row[..] else { panic!("four cells a row: {row:?}") };
        if section.is_empty() || asks.is_empty() || does.is_empty() || shown.is_empty() {
            faults.push(format!("§{section}: a cell is empty"));
        }
        if shown.starts_with("— ") || shown.starts_with("no test yet: ") {
            continue;
        }
        faults.extend(faults_in(shown, &format!("§{section}"), &names));
    }
    assert!(faults.is_empty(), "{} of these:\n{}\n", faults.len(), faults.join("\n"));
}
