//! The crash note, with a real panic in this very process; nothing else runs in it.

use stagepost::limits::{CRASH_LOG_BYTES_MAX, CRASH_NOTE_BYTES_MAX};
use stagepost::os::{crash, logging};

#[test]
fn a_panic_leaves_one_note_with_the_log_before_it() {
    let data = std::env::temp_dir().join(format!("stagepost-crash-{}", std::process::id()));
    std::fs::create_dir_all(&data).unwrap();
    let log = logging::start(log::LevelFilter::Off);
    crash::take_notes(&data, log);
    assert_eq!(crash::read(&data), None);
    for n in 0..500 {
        log::info!("line {n} of a long life");
    }
    let failed = std::thread::spawn(|| panic!("the first\nmishap")).join();
    assert!(failed.is_err());
    let note = crash::read(&data).unwrap();
    assert!(note.what.contains("tests/crash.rs") && note.what.ends_with(": the first mishap"), "{note:?}");
    assert!(note.log.last().unwrap().ends_with("info: line 499 of a long life"), "{note:?}");
    let bytes: usize = note.log.iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= CRASH_LOG_BYTES_MAX && bytes > CRASH_LOG_BYTES_MAX / 2, "{bytes}");

    assert!(std::thread::spawn(|| panic!("the second")).join().is_err());
    assert_eq!(crash::read(&data), Some(note), "flash is written once");
    std::fs::write(crash::path(&data), vec![0xff; CRASH_NOTE_BYTES_MAX + 1]).unwrap();
    assert_eq!(crash::read(&data), None, "what is too long is no note");
    std::fs::remove_dir_all(&data).unwrap();
}
