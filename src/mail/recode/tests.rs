use mailparse::{ParsedMail, parse_mail};
use proptest::prelude::*;

use super::*;
use crate::limits::{MIME_DEPTH_MAX, MIME_PARTS_MAX};

fn surveyed(message: &[u8], size: usize) -> Finding {
    let mut survey = Survey::default();
    message.chunks(size).for_each(|piece| survey.push(piece));
    survey.finish().finding
}

fn recoded_in_pieces(message: &[u8], plan: Plan, size: usize) -> Vec<u8> {
    let (mut recoder, mut out) = (Recoder::new(plan), Vec::new());
    message.chunks(size).for_each(|piece| recoder.push(piece, &mut out));
    recoder.finish(&mut out);
    out
}

fn recoded(message: &str) -> String {
    let Finding::Recode(plan) = surveyed(message.as_bytes(), 7) else {
        panic!("{message:?} is {:?}", surveyed(message.as_bytes(), 7));
    };
    String::from_utf8(recoded_in_pieces(message.as_bytes(), plan, 7)).unwrap()
}

#[test]
fn a_single_part_is_encoded_as_its_type_asks() {
    for (caption, message, expected) in [
        (
            "text",
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nX: y\r\n\r\nGrüße\r\na=b\r\n",
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\nX: y\r\n\r\nGr=C3=BC=C3=9Fe\r\na=3Db\r\n",
        ),
        (
            "no label",
            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nö",
            "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=B6=\r\n",
        ),
        (
            "not MIME",
            "Subject: x\r\n\r\nö\r\n",
            "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=B6\r\n",
        ),
        (
            "no text",
            "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\nö\r\n",
            "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nw7YNCg==\r\n",
        ),
    ] {
        assert_eq!(recoded(message), expected, "{caption}");
    }
}

#[test]
fn each_part_is_encoded_for_itself() {
    let message = "MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"outer\"\r\n\
        Content-Transfer-Encoding: 8bit\r\n\
        \r\n\
        preamble\r\n\
        --outer\r\n\
        \r\n\
        plain\r\n\
        --outer\r\n\
        Content-Type: multipart/alternative; boundary=inner\r\n\
        \r\n\
        --inner\r\n\
        Content-Type: text/html\r\n\
        Content-Transfer-Encoding: 8bit\r\n\
        \r\n\
        ö\r\n\
        --inner\r\n\
        Content-Transfer-Encoding: base64\r\n\
        Content-Type: image/png\r\n\
        \r\n\
        w7Y=\r\n\
        --inner-- \r\n\
        --outer\r\n\
        Content-Type: message/rfc822\r\n\
        Content-Transfer-Encoding: 8bit\r\n\
        \r\n\
        Subject: inside\r\n\
        Content-Type: application/x\r\n\
        \r\n\
        ö\r\n\
        --outer--\r\n\
        epilogue\r\n";
    let expected = message
        .replacen("Encoding: 8bit", "Encoding: 7bit", 1)
        .replacen("Encoding: 8bit\r\n\r\nö", "Encoding: quoted-printable\r\n\r\n=C3=B6", 1)
        .replacen("Encoding: 8bit", "Encoding: 7bit", 1)
        .replacen(
            "Content-Type: application/x\r\n\r\nö\r\n",
            "Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\nw7Y=\r\n",
            1,
        );
    assert_eq!(recoded(message), expected);
}

#[test]
fn what_cannot_be_encoded_is_named() {
    let multipart = |kind: &str, part: &str| {
        format!("Content-Type: multipart/{kind}; boundary=b\r\n\r\n--b\r\n{part}\r\n\r\nö\r\n--b--\r\n")
    };
    for (message, obstacle) in [
        ("Subject: ö\r\n\r\nx\r\n".to_owned(), Unrecodable::Header),
        (multipart("mixed", "X: ö"), Unrecodable::Header),
        (multipart("signed", "X: y"), Unrecodable::Signed),
        (multipart("mixed", "Content-Transfer-Encoding: base64"), Unrecodable::Opaque),
        (multipart("mixed", "Content-Transfer-Encoding: x-uuencode"), Unrecodable::Opaque),
        (multipart("report", "Content-Type: message/delivery-status"), Unrecodable::Opaque),
        (multipart("mixed", "X: y").replace("--b--\r\n", "--b--\r\nö"), Unrecodable::Opaque),
    ] {
        assert_eq!(surveyed(message.as_bytes(), 5), Finding::Impossible(obstacle), "{message}");
    }
}

#[test]
fn seven_bits_need_nothing() {
    for message in ["", "\r\n", "A: b\r\n\r\nc\r\n", "Content-Transfer-Encoding: 8bit\r\n\r\nx\r\n"] {
        assert_eq!(surveyed(message.as_bytes(), 5), Finding::SevenBit);
    }
}

#[test]
fn depth_and_number_of_parts_are_bounded() {
    let deep: String = (0..=MIME_DEPTH_MAX)
        .map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"))
        .collect();
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(MIME_DEPTH_MAX + 1);
    let many = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned()
        + &"--b\r\n\r\n".repeat(MIME_PARTS_MAX + 1);
    for message in [deep, messages, many] {
        let message = message + "\r\nö\r\n";
        assert_eq!(surveyed(message.as_bytes(), 99), Finding::Impossible(Unrecodable::TooComplex));
    }
}

#[test]
fn a_boundary_is_found_behind_a_line_of_any_length() {
    for len in 1020..1030 {
        let line = "ö".to_owned() + &"x".repeat(len);
        let message = format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{line}\r\n--b\r\n\r\nplain\r\n--b--\r\n"
        );
        let out = recoded(&message);
        assert!(out.ends_with("\r\n--b\r\n\r\nplain\r\n--b--\r\n"), "{len}: {out}");
    }
}

/// Types and decoded bodies of all leaves, read by a parser of others.
fn leaves(mail: &ParsedMail<'_>) -> Vec<(String, Vec<u8>)> {
    if mail.ctype.mimetype == "message/rfc822" {
        return leaves(&parse_mail(&mail.get_body_raw().unwrap()).unwrap());
    }
    if mail.subparts.is_empty() {
        return vec![(mail.ctype.mimetype.clone(), mail.get_body_raw().unwrap())];
    }
    mail.subparts.iter().flat_map(leaves).collect()
}

/// Well-formed MIME with 8-bit leaves.
fn mime(depth: u32) -> impl Strategy<Value = String> {
    let text = "([a-zö= .-]{0,80}\r\n){0,4}";
    let leaf = (prop_oneof!["text/plain", "application/x", "text/html; charset=utf-8"], text).prop_map(
        |(kind, text)| format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}"),
    );
    leaf.prop_recursive(depth, 12, 3, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 1..4), "[a-z]{6,12}").prop_map(|(parts, boundary)| {
                let parts: String = parts.iter().map(|part| format!("--{boundary}\r\n{part}\r\n")).collect();
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n{parts}--{boundary}--\r\n")
            }),
            inner.prop_map(|part| format!("Content-Type: message/rfc822\r\n\r\n{part}")),
        ]
    })
}

proptest! {
    #[test]
    fn every_leaf_decodes_to_what_it_was(message in mime(3), size in 1usize..40) {
        let message = format!("MIME-Version: 1.0\r\n{message}");
        match surveyed(message.as_bytes(), size) {
            Finding::SevenBit => prop_assert!(message.is_ascii()),
            Finding::Impossible(obstacle) => prop_assert!(false, "{:?}", obstacle),
            Finding::Recode(plan) => {
                let out = recoded_in_pieces(message.as_bytes(), plan, size);
                prop_assert!(out.is_ascii());
                let (before, after) = (parse_mail(message.as_bytes()).unwrap(), parse_mail(&out).unwrap());
                prop_assert_eq!(leaves(&before), leaves(&after));
            }
        }
    }

    #[test]
    fn any_bytes_become_seven_bits_or_are_refused(
        message in prop::collection::vec(prop_oneof![
            4 => "(Content-Type: (multipart/mixed; boundary=b|message/rfc822|text/plain)|--b(--)?|)\r\n".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..30),
        ], 0..20).prop_map(|pieces| pieces.concat()),
        size in 1usize..40,
    ) {
        let finding = surveyed(&message, size);
        prop_assert_eq!(&finding, &surveyed(&message, 1000));
        if let Finding::Recode(plan) = finding {
            let out = recoded_in_pieces(&message, plan.clone(), size);
            prop_assert!(out.is_ascii());
            prop_assert_eq!(out, recoded_in_pieces(&message, plan, 1000));
        }
    }
}
