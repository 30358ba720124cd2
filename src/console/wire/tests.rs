//! Frames as bytes, their bounds, and arbitrary bytes in arbitrary pieces.

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn to_daemon() -> impl Strategy<Value = ToDaemon> {
    let width = || proptest::option::of(1..500u16);
    let texts = || proptest::collection::vec(text(), 0..6);
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let submission =
        (proptest::option::of(text()), proptest::option::of(text()), texts(), any::<[bool; 2]>(), text())
            .prop_map(|(sender, full_name, recipients, [from_header, verbose], user)| {
                ToDaemon::Submit(Submission { sender, full_name, recipients, from_header, verbose, user })
            });
    prop_oneof![
        any::<u16>().prop_map(|version| ToDaemon::Hello { version }),
        (texts(), width()).prop_map(|(words, width)| ToDaemon::Command { words, width }),
        (width(), any::<bool>()).prop_map(|(width, login)| ToDaemon::Interactive { width, login }),
        bytes().prop_map(ToDaemon::Keys),
        text().prop_map(ToDaemon::Line),
        Just(ToDaemon::EndOfInput),
        submission,
        bytes().prop_map(ToDaemon::Data),
        Just(ToDaemon::EndOfData),
    ]
}

fn to_user() -> impl Strategy<Value = ToUser> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        any::<u16>().prop_map(|version| ToUser::Hello { version }),
        bytes().prop_map(ToUser::Out),
        bytes().prop_map(ToUser::Err),
        (text(), any::<bool>()).prop_map(|(text, echo)| ToUser::Prompt { text, echo }),
        any::<u8>().prop_map(ToUser::Exit),
    ]
}

/// All frames of a stream that comes in pieces of `piece` bytes.
fn decoded<F: Frame>(stream: &[u8], piece: usize) -> Result<Vec<F>, WireError> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for piece in stream.chunks(piece) {
        decoder.input(piece);
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

#[test]
fn a_frame_is_kind_length_and_body() {
    let mut out = Vec::new();
    ToDaemon::Command { words: vec!["show".to_owned(), "log".to_owned()], width: Some(80) }.encode(&mut out);
    assert_eq!(out, b"C\0\0\0\x0f\0\x50\0\x02\0\x04show\0\x03log");
    out.clear();
    ToUser::Exit(75).encode(&mut out);
    assert_eq!(out, b"x\0\0\0\x01\x4b");
}

#[test]
fn frames_that_are_none_are_errors() {
    for (caption, bytes, why) in [
        ("length", &b"C\xff\xff\xff\xff"[..], "a frame is too long"),
        ("kind", b"Z\0\0\0\0", "a frame is of no known kind"),
        ("too short", b"H\0\0\0\x01\x01", "a frame ends too early"),
        ("too long", b"E\0\0\0\x01\x01", "a frame is longer than its content"),
        ("words", b"C\0\0\0\x04\0\x50\xff\xff", "a list is too long"),
        ("text length", b"L\0\0\0\x02\xff\xff", "a text is too long"),
        ("a line end in a line", b"L\0\0\0\x03\0\x01\n", "a line holds a line end or a NUL"),
        ("a header in a word", b"C\0\0\0\x07\0\0\0\x01\0\x01\x1b", "a text holds a control character"),
        ("UTF-8", b"L\0\0\0\x03\0\x01\xff", "a text is no UTF-8"),
        ("flag", b"S\0\0\0\x01\x02", "a flag is neither 0 nor 1"),
    ] {
        assert_eq!(decoded::<ToDaemon>(bytes, 3), Err(WireError(why)), "{caption}");
    }
}

#[test]
fn what_would_not_fit_is_known_before_it_is_sent() {
    let command = |words| ToDaemon::Command { words, width: None };
    let submit = |sender: Option<String>, recipients| {
        ToDaemon::Submit(Submission { sender, recipients, ..Submission::default() })
    };
    let long = "x".repeat(1025);
    for (frame, why) in [
        (command(vec![String::new(); 65]), "the command has too many words"),
        (command(vec![long.clone()]), "a word or an address is too long"),
        (command(vec!["Hi\nBcc: x@y.z".to_owned()]), "a word or an address holds a control character"),
        (submit(None, vec![String::new(); 1001]), "the message has too many recipients"),
        (submit(None, vec![long.clone()]), "a word or an address is too long"),
        (submit(Some(long.clone()), vec![]), "a word or an address is too long"),
        (ToDaemon::Line(long.clone()), "a line is too long"),
    ] {
        assert_eq!(frame.check(), Err(WireError(why)));
    }
    assert_eq!(submit(Some("b1@bcd.com".to_owned()), vec!["x1".to_owned()]).check(), Ok(()));
}

#[test]
fn output_of_any_length_goes_in_pieces() {
    let output = vec![b'x'; 150_000];
    let mut stream = Vec::new();
    encode_pieces(&output, ToUser::Out, &mut stream);
    let frames: Vec<ToUser> = decoded(&stream, 10_000).unwrap();
    let lengths: Vec<usize> =
        frames.iter().map(|f| if let ToUser::Out(p) = f { p.len() } else { 0 }).collect();
    assert_eq!(lengths, [65_536, 65_536, 18_928]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn frames_come_out_as_they_went_in(
        frames in proptest::collection::vec(to_daemon(), 0..6), replies in proptest::collection::vec(to_user(), 0..6),
        piece in 1..300usize,
    ) {
        let (mut to_daemon, mut to_user) = (Vec::new(), Vec::new());
        frames.iter().for_each(|frame| frame.encode(&mut to_daemon));
        replies.iter().for_each(|frame| frame.encode(&mut to_user));
        prop_assert_eq!(decoded::<ToDaemon>(&to_daemon, piece), Ok(frames));
        prop_assert_eq!(decoded::<ToUser>(&to_user, piece), Ok(replies));
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1..50usize) {
        let _ = decoded::<ToDaemon>(&bytes, piece);
        let _ = decoded::<ToUser>(&bytes, piece);
    }

    #[test]
    fn a_damaged_frame_does_no_harm(frame in to_daemon(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decoded::<ToDaemon>(&bytes, 64);
    }
}
