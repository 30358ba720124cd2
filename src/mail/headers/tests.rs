use proptest::prelude::*;

use super::*;

/// The fields' raw bytes, how the section ended, and the body.
fn taken_apart(message: &str) -> (Vec<&str>, End, &str) {
    let section = Section::of(message.as_bytes());
    let fields = section.fields().map(|field| std::str::from_utf8(field.raw).unwrap()).collect();
    (fields, section.end, &message[section.body_start..])
}

#[test]
fn a_section_ends_where_it_must() {
    let one = vec!["A: b\r\n"];
    for (caption, message, expected) in [
        ("empty line", "A: b\r\n\r\nbody", (one.clone(), End::EmptyLine, "body")),
        ("nothing", "", (vec![], End::BytesRanOut, "")),
        ("no header", "body\r\n", (vec![], End::NoField, "body\r\n")),
        ("only an empty line", "\r\n", (vec![], End::EmptyLine, "")),
        ("no body", "A: b\r\n", (one.clone(), End::BytesRanOut, "")),
        ("no final line end", "A: b\r\nC: d", (vec!["A: b\r\n", "C: d"], End::BytesRanOut, "")),
        ("no final line end, no field", "A: b\r\nbody", (one.clone(), End::NoField, "body")),
        (
            "folded",
            "A:\r\n b\r\n\tc\r\nD: e\r\n\r\n",
            (vec!["A:\r\n b\r\n\tc\r\n", "D: e\r\n"], End::EmptyLine, ""),
        ),
        ("fold of blanks only", "A: b\r\n \r\n\r\n", (vec!["A: b\r\n \r\n"], End::EmptyLine, "")),
        ("fold at the top", " A: b\r\n", (vec![], End::NoField, " A: b\r\n")),
        ("space before the colon", "A \t: b\r\n\r\n", (vec!["A \t: b\r\n"], End::EmptyLine, "")),
        ("no name", ": b\r\n", (vec![], End::NoField, ": b\r\n")),
        ("space in the name", "A B: c\r\n", (vec![], End::NoField, "A B: c\r\n")),
        ("8-bit name", "Ä: c\r\n", (vec![], End::NoField, "Ä: c\r\n")),
        ("a line that is no field", "A: b\r\nbody\r\n\r\n", (one.clone(), End::NoField, "body\r\n\r\n")),
        ("bare LF ends no line", "A: b\n\nC: d\r\n\r\n", (vec!["A: b\n\nC: d\r\n"], End::EmptyLine, "")),
        ("bare CR ends no line", "A: b\r\rC\r\n\r\n", (vec!["A: b\r\rC\r\n"], End::EmptyLine, "")),
        (
            "lines of a mailbox file",
            "From b1@bcd.com Mon Nov 27 10:19:23 2000\r\n>From b1 Mon Nov 27 10:19 2000\r\nA: b\r\n\r\n",
            (one.clone(), End::EmptyLine, ""),
        ),
        ("text that begins with From", "From now on\r\n", (vec![], End::NoField, "From now on\r\n")),
        (
            "a mailbox line further down",
            "A: b\r\nFrom b1 Mon Nov 27 10:19 2000\r\n",
            (one, End::NoField, "From b1 Mon Nov 27 10:19 2000\r\n"),
        ),
    ] {
        assert_eq!(taken_apart(message), expected, "{caption}");
    }
}

#[test]
fn fields_are_found_by_name_in_any_case() {
    let long = "x".repeat(5000);
    let message =
        format!("received: 1\r\nTo : b2,\r\n b3\r\nRECEIVED:2\r\nX-Long: {long}\r\nEmpty: \r\n\t\r\n\r\n");
    let section = Section::of(message.as_bytes());
    assert_eq!(section.count("Received"), 2);
    let to = section.find("to").unwrap();
    assert_eq!((to.name, to.body()), (&b"To"[..], &b" b2,\r\n b3"[..]));
    assert_eq!(to.raw[to.body_range()], *to.body());
    assert_eq!(section.find("X-Long").unwrap().body().len(), 5001);
    assert!(section.find("Empty").unwrap().is_empty() && !to.is_empty());
    assert!(section.find("T").is_none());
}

#[test]
fn a_section_without_an_end_is_bounded() {
    let mut gatherer = Gatherer::default();
    let line = format!("X: {}\r\n", "x".repeat(995));
    let pieces = (0..).take_while(|_| gatherer.push(line.as_bytes()) == Ok(false)).count();
    assert_eq!(pieces, HEADER_SECTION_BYTES_MAX / line.len());
    let one_long_line = vec![b'x'; HEADER_SECTION_BYTES_MAX + 1];
    assert_eq!(Gatherer::default().push(&one_long_line), Err(SectionTooLong));
    let ends_too_late = [line.repeat(pieces + 1).as_bytes(), b"\r\n"].concat();
    assert_eq!(Gatherer::default().push(&ends_too_late), Err(SectionTooLong));
    let long_body = [b"A: b\r\n\r\n", &one_long_line[..]].concat();
    assert_eq!(Gatherer::default().push(&long_body), Ok(true));
}

/// Bytes among which line ends, colons and blanks are common.
fn header_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-cA-C:\\- \t]{0,6}".prop_map(String::into_bytes),
        3 => Just(b"\r\n".to_vec()),
        1 => Just(b"From b1 Mon Nov 27 10:19:23 2000\r\n".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn fields_and_body_are_all_of_the_message(message in header_like()) {
        let section = Section::of(&message);
        let fields: Vec<u8> = section.fields().flat_map(|field| field.raw.to_vec()).collect();
        prop_assert_eq!(&fields, section.as_bytes());
        let empty_line: &[u8] = if section.end == End::EmptyLine { b"\r\n" } else { b"" };
        let whole = [&message[..section.fields_start], &fields, empty_line, &message[section.body_start..]].concat();
        prop_assert_eq!(whole, message);
    }

    #[test]
    fn pieces_give_the_section_of_the_whole(message in header_like(), size in 1usize..9) {
        let whole = Section::of(&message);
        let mut gatherer = Gatherer::default();
        let complete = message.chunks(size).any(|piece| gatherer.push(piece).unwrap());
        let gathered = gatherer.into_bytes();
        prop_assert!(message.starts_with(&gathered));
        if complete {
            prop_assert!(gathered.len() >= whole.body_start);
        } else {
            prop_assert_eq!(gathered.len(), message.len());
        }
    }

    #[test]
    fn fields_are_those_that_another_parser_sees(message in "([A-Z][a-z-]{0,5}: [ -~]{0,12}(\r\n [!-~]{1,9})?\r\n){0,6}\r\n") {
        let section = Section::of(message.as_bytes());
        let (theirs, body_start) = mailparse::parse_headers(message.as_bytes()).unwrap();
        prop_assert_eq!(section.body_start, body_start);
        let ours: Vec<_> = section.fields().map(|field| (field.name, field.body().trim_ascii())).collect();
        let theirs: Vec<_> = theirs.iter().map(|h| (h.get_key_raw(), h.get_value_raw().trim_ascii())).collect();
        prop_assert_eq!(ours, theirs);
    }
}
