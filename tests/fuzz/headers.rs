//! What is made of a message: its header section, its recipients, what is completed, and what a 7-bit host
//! gets of it.

use stagepost::mail::addresses::{author, recipients};
use stagepost::mail::headers::{Gatherer, Section};
use stagepost::mail::received::{Protocol, Submitter, Trace};
use stagepost::mail::recode::{Finding, Recoder, Survey};
use stagepost::mail::{Address, Domain, Facts, QueueId, ReversePath, compose, pass};
use stagepost::time::WallTime;

use super::assert_lines;

/// The first byte chooses what the house knows; the rest is a message as SMTP lets it in, lines mended.
pub fn headers(data: &[u8]) {
    let Some((flags, message)) = data.split_first() else { return };
    let message = mended(message);
    sections(&message);
    heads(*flags, &message);
    for pieces in [1, 11] {
        recoded(&message, pieces);
    }
}

/// With every stray CR or LF made a whole line end: what no session lets in is of no interest here.
fn mended(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(message.len() + 2);
    for line in message.split(|byte| *byte == b'\n') {
        lines.extend(line.iter().filter(|byte| **byte != b'\r'));
        lines.extend(b"\r\n");
    }
    lines
}

fn sections(message: &[u8]) {
    let section = Section::of(message);
    let mut end = 0;
    for field in section.fields() {
        let place = field.body_range();
        assert!(place.start <= place.end && place.end <= message.len() && end <= message.len());
        end = place.end;
        assert!(!field.name.is_empty());
    }
    let mut gatherer = Gatherer::default();
    if let Some(gathered) =
        message.chunks(7).find_map(|piece| gatherer.push(piece).ok().filter(|whole| *whole))
    {
        assert!(gathered);
        let bytes = gatherer.into_bytes();
        assert!(message.starts_with(&bytes));
        assert_eq!(Section::of(&bytes).as_bytes(), section.as_bytes());
    }
    let domain = Domain::parse("bcd.com").expect("a domain");
    let found = recipients(&section, &domain).unwrap_or_default();
    for address in found.iter().chain(author(&section, &domain).iter()) {
        let text = address.to_string();
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
        assert_eq!(Address::parse(&text).as_ref(), Ok(address));
    }
}

fn heads(flags: u8, message: &[u8]) {
    let domain = Domain::parse("bcd.com").expect("a domain");
    let sender = ReversePath::Address(Address::parse("b1@bcd.com").expect("an address"));
    let claimed = String::from_utf8_lossy(&message[..message.len().min(40)]).into_owned();
    let submitter = match flags & 1 {
        0 => Submitter::Local { user: &claimed },
        _ => Submitter::Smtp {
            claimed: &claimed,
            verified: None,
            ip: [192, 0, 2, 1].into(),
            protocol: Protocol { extended: true, ..Protocol::default() },
        },
    };
    let trace = Trace {
        our_name: &domain,
        id: QueueId::from_u64(1).expect("an id"),
        now: WallTime::from_unix_seconds(975_320_332),
        submitter,
        recipient_for: None,
    };
    let section = Section::of(message);
    let body = &message[section.body_start..];
    if let Ok(passed) = pass(message, &trace) {
        assert_lines(&passed.head, "what passes");
        assert!(passed.head.ends_with(&message[section.fields_start..]), "what passes keeps every byte");
        assert_eq!(Section::of(&passed.head).count("Received"), section.count("Received") + 1);
    }
    let facts = Facts {
        trace,
        domain: &domain,
        reverse_path: &sender,
        unique: 7,
        drop_bcc: flags & 2 != 0,
        full_name: (flags & 4 != 0).then_some(&claimed),
        tolerant: flags & 8 != 0,
    };
    let Ok(composed) = compose(message, &facts) else { return };
    assert_lines(&composed.head, "what is composed");
    let made = Section::of(&composed.head);
    assert_eq!(&composed.head[made.body_start..], body, "the body is not touched");
    for name in ["Message-Id", "Date", "From", "Received"] {
        assert!(made.count(name) >= 1, "{name} is there");
    }
    assert_eq!(made.count("Return-Path"), 0);
    assert!(!composed.message_id.contains(['\r', '\n']), "{:?}", composed.message_id);
}

fn recoded(message: &[u8], piece: usize) {
    let mut survey = Survey::default();
    message.chunks(piece).for_each(|bytes| survey.push(bytes));
    let finding = survey.finish().finding;
    let mut whole = Survey::default();
    whole.push(message);
    assert_eq!(finding, whole.finish().finding, "the same bytes in pieces of {piece}");
    match finding {
        Finding::SevenBit => assert!(message.is_ascii()),
        Finding::Impossible(_) => assert!(!message.is_ascii()),
        Finding::Recode(plan) => {
            let (mut recoder, mut out) = (Recoder::new(plan), Vec::new());
            message.chunks(piece).for_each(|bytes| recoder.push(bytes, &mut out));
            recoder.finish(&mut out);
            assert!(out.is_ascii(), "a 7-bit host would get {}", out.escape_ascii());
            let mut again = Survey::default();
            again.push(&out);
            assert_eq!(again.finish().finding, Finding::SevenBit);
            assert_lines(&out, "what is recoded");
        }
    }
}
