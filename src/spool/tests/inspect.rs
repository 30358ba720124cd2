//! The tools on a stopped daemon's spool: they read everything and change nothing.

use super::model::state;
use super::support::*;
use crate::mail::{Address, Notify, Recipient, Ret};
use crate::spool::flash::Flash;
use crate::spool::inspect::{Inspection, import};

fn rig() -> Rig {
    let mut rig = Rig::new(1);
    rig.put_all(1..=3, 100_000);
    rig.flush();
    rig.log.update(id(2), &state(2, 1));
    rig.log.done(id(3));
    rig.flush();
    rig
}

#[test]
fn the_list_names_sender_recipients_and_their_states() {
    let rig = rig();
    let list = Inspection::new(&rig.flash).list();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("0000000001 1970-01-12T13:46:41Z "), "{}", lines[0]);
    assert!(
        lines[0].ends_with("<b1@bcd.com> to <x1@xyz.com> pending to <y1@xyz.com> pending"),
        "{}",
        lines[0]
    );
    assert!(lines[1].contains("1 attempts, next 1970-01-24T03:33:21Z"), "{}", lines[1]);
    assert!(
        lines[1].contains("<x2@xyz.com> delivered 250 ok 2 to <y2@xyz.com> deferred 450"),
        "{}",
        lines[1]
    );
}

#[test]
fn a_message_comes_out_as_it_went_in() {
    let rig = rig();
    let mut whole = head(1);
    whole.extend(body(1, 100_000));
    assert!(Inspection::new(&rig.flash).cat(id(1)) == Ok(whole));
}

#[test]
fn a_sound_spool_is_told_to_be_well_and_a_harmed_one_where_it_is_not() {
    let rig = rig();
    let verdict = Inspection::new(&rig.flash).verify();
    assert!(verdict.well, "{}", verdict.report);
    assert_eq!(verdict.report, "2 messages, all is well\n");
    let name = rig.flash.list().unwrap()[0].name;
    rig.flash.harm(name, |bytes| bytes[70_000] ^= 1);
    let before = rig.flash.changes();
    let verdict = Inspection::new(&rig.flash).verify();
    assert!(!verdict.well);
    assert!(verdict.report.contains(&format!("{name} at ")), "{}", verdict.report);
    assert!(verdict.report.contains("checksum"), "{}", verdict.report);
    assert!(
        verdict.report.contains("message 0000000001: a part of a message is missing"),
        "{}",
        verdict.report
    );
    assert_eq!(rig.flash.changes(), before, "nothing was changed");
}

#[test]
fn a_message_goes_from_one_box_to_another() {
    let mut here = Rig::new(1);
    let mut facts = meta(1);
    facts.envelope.ret = Some(Ret::Headers);
    facts.envelope.envid = Some("QQ314159".into());
    facts.envelope.recipients[1].notify = Some(Notify { success: true, failure: false, delay: true });
    facts.envelope.recipients[1].orcpt = Some("rfc822;a+20b@old.example".into());
    let third = Address::parse("\"a b\"@[192.0.2.1]").unwrap();
    facts.envelope.recipients.push(Recipient { notify: Some(Notify::NEVER), ..Recipient::plain(third) });
    here.log.put(id(1), &facts, &head(1), &body(1, 90_000)).unwrap();
    let mut progress = state(1, 1);
    progress.recipients.push(crate::spool::RecipientState::Pending);
    here.log.update(id(1), &progress);
    here.flush();
    let exported = Inspection::new(&here.flash).export(id(1)).unwrap();

    let mut there = Rig::new(2);
    import(&mut there.log, id(70), &exported.eml, &exported.envelope).unwrap();
    there.flush();
    let there = there.reopen();
    let stored = there.log.load(&there.flash, id(70)).unwrap();
    facts.envelope.recipients.remove(0);
    assert_eq!(stored.meta, facts, "the delivered recipient is left out");
    assert_eq!(stored.head, head(1));
    assert!(read_body(&there.log, &there.flash, 70) == body(1, 90_000));
}

#[test]
fn what_is_no_exported_message_is_told_why() {
    let mut rig = Rig::new(1);
    for (envelope, eml, why) in [
        ("", "a\r\n\r\n", "there is no `from` line"),
        ("from <b1@bcd.com>\n", "a\r\n\r\n", "every recipient is settled"),
        ("from b1@bcd.com\n", "a\r\n\r\n", "line 1: `from b1@bcd.com` is not understood"),
        ("from <>\nto <x@y.z>\nnotify perhaps\n", "a\r\n\r\n", "line 3: `notify perhaps` is not understood"),
        ("from <>\nto <x@y.z>\n", "a\r\n", "the message has no end of its header section"),
    ] {
        assert_eq!(import(&mut rig.log, id(1), eml.as_bytes(), envelope), Err(why.to_owned()), "{envelope}");
    }
}
