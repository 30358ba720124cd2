//! What RFC 5321 asks of a running server and what no session alone can show; the table is `tests/rfc5321.md`.

use crate::lab::{BCD, Dialogue, Host, Lab, Stagepost};

const CONFIG: &str = "box name abc.com\nbox address 203.0.113.1\ndomain bcd.com address 203.0.113.70\n\
    domain bcd.com client 203.0.113.9\ndomain bcd.com mailbox b1\ndomain bcd.com mailbox b2\n";

struct Bench {
    device: Host,
    pc: Host,
    _lab: Lab,
}

fn bench() -> Option<Bench> {
    let lab = Lab::new()?;
    let device = lab.host("device", &["203.0.113.1/24", "203.0.113.70/24"]);
    let pc = lab.host("pc", &["203.0.113.9/24"]);
    Some(Bench { device, pc, _lab: lab })
}

#[test]
fn commands_that_send_no_mail_work_before_ehlo() {
    let Some(bench) = bench() else { return };
    let _box = Stagepost::start(&bench.device, CONFIG);
    let mut dialogue = Dialogue::connect(&bench.pc, BCD);
    dialogue.expect("220 bcd.com ");
    for (line, reply) in [("NOOP", "250"), ("HELP", "214"), ("VRFY b1", "252"), ("RSET", "250")] {
        dialogue.ask(line, reply);
    }
    dialogue.ask("MAIL FROM:<b1@bcd.com>", "503");
    dialogue.quit();
}

#[test]
fn only_a_single_recipient_is_named_in_received() {
    let Some(bench) = bench() else { return };
    let stagepost = Stagepost::start(&bench.device, CONFIG);
    let mut dialogue = Dialogue::greeted(&bench.pc, BCD, "pc.bcd.com");
    dialogue.hand_over("b1@bcd.com", &["b1@bcd.com"], "Subject: one\n\ntext\n");
    dialogue.hand_over("b1@bcd.com", &["b1@bcd.com", "b2@bcd.com"], "Subject: two\n\ntext\n");
    let one = stagepost.mailbox_message("bcd.com", "b1", "one").received();
    let two = stagepost.mailbox_message("bcd.com", "b1", "two").received();
    assert!(one.contains(" for <b1@bcd.com>;"), "{one}");
    assert!(!two.contains(" for <"), "{two}");
}

#[test]
fn the_door_stays_open_while_others_are_silent() {
    let Some(bench) = bench() else { return };
    let _box = Stagepost::start(&bench.device, CONFIG);
    let mut silent: Vec<Dialogue> = (0..30).map(|_| Dialogue::connect(&bench.pc, BCD)).collect();
    let mut dialogue = Dialogue::greeted(&bench.pc, BCD, "pc.bcd.com");
    let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com"], "Subject: through\n\ntext\n");
    assert!(reply.starts_with("250"), "{reply}");
    silent.iter_mut().for_each(|one| {
        one.expect("220");
    });
}
