//! Replays what fuzzing has found worth keeping: for each target its corpus, which reaches all that was ever
//! reached, and its crashers, each of which once broke a promise. scripts/fuzz looks for more.

#[path = "fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Plays every file of a target; gives how many there were.
#[track_caller]
fn replay(name: &str, target: fn(&[u8])) {
    let mut played = 0;
    for kind in ["corpus", "crashers"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind).join(name);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Printed only when the target fails: which file it was.
            println!("{}", entry.path().display());
            target(&fs::read(entry.path()).unwrap());
            played += 1;
        }
    }
    assert!(played >= 10, "only {played} files are kept for {name}");
}

#[test]
fn the_client_session_stands_all_servers_that_were_ever_found() {
    replay("client", targets::client);
}

#[test]
fn the_configuration_stands_all_texts_that_were_ever_found() {
    replay("config", targets::config);
}

#[test]
fn the_console_stands_all_keystrokes_that_were_ever_found() {
    replay("console", targets::console);
}

#[test]
fn the_resolver_stands_all_answers_that_were_ever_found() {
    replay("dns", targets::dns);
}

#[test]
fn header_fields_and_parts_stand_all_messages_that_were_ever_found() {
    replay("headers", targets::headers);
}

#[test]
fn the_spool_stands_all_records_that_were_ever_found() {
    replay("record", targets::record);
}

#[test]
fn the_server_session_stands_all_clients_that_were_ever_found() {
    replay("server", targets::server);
}

#[test]
fn the_control_socket_stands_all_frames_that_were_ever_found() {
    replay("wire", targets::wire);
}
