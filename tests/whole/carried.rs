//! A box has died: its mail is taken off its card as files, and another box delivers it.

use std::fs;
use std::time::Duration;

use crate::lab::load::{Door, Load, arrived, body};
use crate::lab::{BCD, Dialogue, Message, PATIENCE, Remote, Reply, Stagepost, XYZ, until, until_true};
use crate::world::{BOTH, note, two_domains, world};

#[test]
fn mail_is_carried_from_a_dead_box_to_another() {
    let Some(world) = world(BOTH) else { return };
    let config = two_domains() + "domain bcd.com spool always\n";
    let mut dead = Stagepost::start_as(&world.device, "dead", &config);
    dead.await_up();
    let load = Load::start(&world.pc, &[Door { to: BCD, sender: "b1@bcd.com" }], 2, Duration::ZERO);
    until_true("mail is stored", || load.acknowledged().len() >= 40);
    let all: Vec<u32> = load.stop().into_keys().collect();
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    let two = ["x1@xyz.com", "x2@xyz.com"];
    let reply = dialogue.hand_over("b1@bcd.com", &two, &note("b1@bcd.com", "x1@xyz.com", "To two"));
    assert!(reply.starts_with("250"), "{reply}");
    dead.kill9();

    let files = world.device.dir().join("files");
    let exported = dead.run(&["spool", "export", files.to_str().unwrap()]);
    assert_eq!(exported.code, 0, "{exported:?}");
    let names = fs::read_dir(files.join("bcd.com")).unwrap().flatten().map(|e| e.path());
    let (eml, rest): (Vec<_>, Vec<_>) = names.partition(|path| path.extension().is_some_and(|e| e == "eml"));
    assert_eq!((eml.len(), rest.len()), (all.len() + 1, all.len() + 1), "a text and an envelope each");
    for path in &eml {
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "RFC 5322 lines in {path:?}");
        let (message, envelope) =
            (Message::new(&text), fs::read_to_string(path.with_extension("envelope")).unwrap());
        assert_eq!(message.field("From"), "<b1@bcd.com>");
        assert!(envelope.contains("b1@bcd.com") && envelope.contains("x1@xyz.com"), "{envelope}");
        match message.subject().strip_prefix("number ") {
            Some(number) => assert!(message.body() == body(number.parse().unwrap()), "{path:?} is whole"),
            None => assert!(message.subject() == "To two" && envelope.contains("x2@xyz.com"), "{envelope}"),
        }
    }

    let mut other = Stagepost::start_as(&world.device, "other", &config);
    assert_eq!(other.stop(), Some(0));
    let imported = other.run(&["spool", "import", files.to_str().unwrap()]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert_eq!(other.run(&["spool", "verify"]).code, 0);
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    other.restart();
    other.await_up();
    other.console(&["queue", "retry", "all"]);
    let taken = until("all of it is delivered", 2 * PATIENCE, || {
        let taken = remote.taken();
        (taken.len() > all.len()).then_some(taken)
    });
    let (two, numbered): (Vec<_>, Vec<_>) = taken.into_iter().partition(|t| t.message.subject() == "To two");
    assert_eq!(arrived(&numbered).into_keys().collect::<Vec<u32>>(), all);
    let recipients: Vec<String> = two.into_iter().flat_map(|t| t.recipients).collect();
    assert_eq!(recipients, ["x1@xyz.com", "x2@xyz.com"]);
    assert!(
        numbered.iter().all(|t| t.client.to_string() == BCD && t.ehlo == "bcd.com"),
        "under its own name"
    );
}
