//! Messages on their way in: DATA and BDAT, smuggling, sizes, pace.

use super::{after_hello, in_data};

#[test]
fn a_message_goes_through() {
    in_data(
        "
        C: Subject: hi
        C:
        C: ..stuffed
        C: text
        C: .
        A: message \"Subject: hi\\r\\n\\r\\n.stuffed\\r\\ntext\\r\\n\"
        H: answer 250 stored as 1
        S: 250 stored as 1
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender ok
        C: QUIT
        S: 221 2.0.0 bcd.com closing connection
        A: close
        C: NOOP",
    );
}

#[test]
fn an_empty_message_is_a_message() {
    in_data(
        "
        C: .
        A: message \"\"
        H: answer 250 ok
        S: 250 ok",
    );
}

#[test]
fn commands_behind_a_message_wait_for_its_answer() {
    in_data(
        "
        C: text
        C: .
        C: NOOP
        C: QUIT
        A: message \"text\\r\\n\"
        H: answer 451 no room
        S: 451 no room
        S: 250 2.0.0 Ok
        S: 221 2.0.0 bcd.com closing connection
        A: close",
    );
}

#[test]
fn an_answer_that_does_not_come_aborts_the_message() {
    in_data(
        "
        C: .
        A: message \"\"
        @ +599s
        @ +1s
        S: 421 4.3.0 The answer took too long
        A: aborted
        A: close
        H: answer 250 too late",
    );
}

#[test]
fn a_message_of_declared_excess_is_refused_at_mail() {
    after_hello(
        "
        C: MAIL FROM:<a@a.example> SIZE=1001
        S: 552 5.3.4 At most 1000 bytes are taken
        C: MAIL FROM:<a@a.example> SIZE=99999999999999999999
        S: 552 5.3.4 At most 1000 bytes are taken
        C: MAIL FROM:<a@a.example> SIZE=1000
        S: 250 2.1.0 Sender ok",
    );
}

#[test]
fn a_message_that_grows_too_large_is_refused_after_its_end() {
    in_data(
        "
        C: {998*x}
        C: y
        A: aborted
        C: {998*x}
        C: .
        S: 552 5.3.4 Refused: larger than 1000 bytes
        C: NOOP
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn a_message_of_just_the_bound_is_taken() {
    let text = "x".repeat(998);
    in_data(&format!(
        "
        C: {text}
        C: .
        A: message \"{text}\\r\\n\"
        H: answer 250 ok
        S: 250 ok"
    ));
}

#[test]
fn only_crlf_dot_crlf_ends_a_message() {
    for (variant, told) in [
        ("\\n.\\n", "a bare LF"),
        ("\\n.\\r\\n", "a bare LF"),
        ("\\r\\n.\\n", "a bare LF"),
        ("\\r.\\r", "a bare CR"),
        ("\\r.\\r\\n", "a bare CR"),
        ("\\r\\n.\\r", "a bare CR"),
        ("\\r\\r\\n.\\r\\n", "a bare CR"),
        ("\\r\\n.\\r\\r\\n", "a bare CR"),
        ("\\n\\n.\\r\\n", "a bare LF"),
        ("\\r\\n\\0.\\r\\n", "a NUL"),
        ("\\r\\n.\\0\\r\\n", "a NUL"),
    ] {
        let whole_end = variant.ends_with("\\r\\r\\n.\\r\\n");
        let (what, tail) = match told {
            "a NUL" => ("the message", ""),
            _ => ("the message", "; lines end in CRLF"),
        };
        let rest = if whole_end { "" } else { "C: MAIL FROM:<smuggled@a.example>\nC: .\n" };
        in_data(&format!(
            "C~ text{variant}\n{rest}A: aborted\nS: 550 5.6.0 Refused: {told} is in {what}{tail}
             C: NOOP\nS: 250 2.0.0 Ok"
        ));
    }
}

#[test]
fn a_client_that_leaves_gets_its_message_dropped() {
    in_data(
        "
        C: text
        H: closed
        A: aborted
        A: close
        H: closed",
    );
    in_data(
        "
        C: .
        A: message \"\"
        H: closed
        A: aborted
        A: close",
    );
}

/// With one recipient accepted.
fn with_recipient(script: &str) {
    after_hello(&format!(
        "
        C: MAIL FROM:<a@a.example>
        C: RCPT TO:<b1@bcd.com>
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        {script}"
    ));
}

#[test]
fn chunks_are_taken_as_they_are() {
    with_recipient(
        "
        C: BDAT 7
        C~ .\\r\\n.\\r\\n.
        S: 250 2.0.0 7 bytes so far
        A: data <a@a.example> to b1@bcd.com
        C: NOOP
        S: 250 2.0.0 Ok
        C: bdat 0
        S: 250 2.0.0 7 bytes so far
        C: BDAT 6 last
        C~ \\r\\nNOOP
        C: NOOP
        A: message \".\\r\\n.\\r\\n.\\r\\nNOOP\"
        H: answer 250 ok
        S: 250 ok
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn an_empty_last_chunk_ends_the_message() {
    with_recipient(
        "
        C: BDAT 6
        C: text
        C: BDAT 0 LAST
        S: 250 2.0.0 6 bytes so far
        A: data <a@a.example> to b1@bcd.com
        A: message \"text\\r\\n\"
        H: answer 250 ok
        S: 250 ok",
    );
}

#[test]
fn a_chunk_that_nobody_wants_goes_by() {
    after_hello(
        "
        C: BDAT 6 LAST
        C: QUIT
        C: MAIL FROM:<a@a.example>
        C: BDAT 8
        C: QUIT\\r\\n
        C: BDAT 0
        S: 503 5.5.1 MAIL and RCPT come before the message
        S: 250 2.1.0 Sender ok
        S: 554 5.5.1 No recipient was accepted
        S: 554 5.5.1 No recipient was accepted
        C: RCPT TO:<b1@bcd.com>
        S: 250 2.1.5 Recipient ok",
    );
}

#[test]
fn chunks_keep_their_order() {
    with_recipient(
        "
        C: BDAT 2
        C:
        S: 250 2.0.0 2 bytes so far
        A: data <a@a.example> to b1@bcd.com
        C: DATA
        S: 503 5.5.1 DATA cannot follow BDAT
        C: MAIL FROM:<>
        S: 503 5.5.1 A transaction is open already
        C: RCPT TO:<b2@bcd.com>
        S: 503 5.5.1 MAIL comes before RCPT
        C: RSET
        S: 250 2.0.0 Reset
        A: aborted
        C: BDAT 0 LAST
        S: 503 5.5.1 MAIL and RCPT come before the message",
    );
}

#[test]
fn a_chunk_without_a_length_ends_the_session() {
    for bad in
        ["BDAT", "BDAT x", "BDAT +1", "BDAT -1", "BDAT 1 FIRST", "BDAT 99999999999999999999", "BDAT 1  LAST"]
    {
        with_recipient(&format!(
            "
            C: {bad}
            C: NOOP
            S: 501 5.5.4 Write BDAT bytes, or BDAT bytes LAST; good bye
            A: close"
        ));
    }
}

#[test]
fn a_faulty_or_large_chunk_is_refused_when_it_has_gone_by() {
    with_recipient(
        "
        C: BDAT 9
        C~ a\\r\\n\\nQUIT\\n
        C: NOOP
        S: 550 5.6.0 Refused: a bare LF is in the message; lines end in CRLF
        S: 250 2.0.0 Ok
        A: data <a@a.example> to b1@bcd.com
        A: aborted",
    );
    with_recipient(
        "
        C: BDAT 5 LAST
        C~ text\\r
        C: NOOP
        S: 550 5.6.0 Refused: a bare CR is in the message; lines end in CRLF
        S: 250 2.0.0 Ok
        A: data <a@a.example> to b1@bcd.com
        A: aborted",
    );
    with_recipient(
        "
        C: BDAT 1001
        C~ {1001*x}
        C: BDAT 3 LAST
        C~ xxx
        S: 552 5.3.4 Refused: larger than 1000 bytes
        S: 503 5.5.1 MAIL and RCPT come before the message
        A: data <a@a.example> to b1@bcd.com
        A: aborted",
    );
}

#[test]
fn chunks_that_were_sent_already_are_answered_each_and_count_as_one_error() {
    let chunks = "C: BDAT 1\nC~ x\nS: 503 5.5.1 MAIL and RCPT come before the message\n".repeat(30);
    after_hello(&format!(
        "
        {chunks}
        C: NOOP
        S: 250 2.0.0 Ok"
    ));
}

#[test]
fn a_fault_is_told_before_a_size() {
    in_data(
        "
        C: {1001*x}
        C: a\\nb
        C: .
        A: aborted
        S: 550 5.6.0 Refused: a bare LF is in the message; lines end in CRLF",
    );
}

#[test]
fn a_message_that_trickles_is_given_up() {
    in_data(
        "
        C~ a
        @ +170s
        C~ b
        @ +129s
        C~ c
        @ +1s
        S: 421 4.4.2 The message comes too slowly
        A: aborted
        A: close",
    );
}

#[test]
fn chunks_that_trickle_are_given_up() {
    let script = |between: &str| {
        format!(
            "
            C: MAIL FROM:<a@a.example>
            C: RCPT TO:<b1@bcd.com>
            S: 250 2.1.0 Sender ok
            S: 250 2.1.5 Recipient ok
            C: BDAT 1
            C~ X
            A: data <a@a.example> to b1@bcd.com
            S: 250 2.0.0 1 bytes so far
            @ +100s
            C: BDAT 1
            C~ X
            S: 250 2.0.0 2 bytes so far
            @ +100s
            C: BDAT 1
            C~ X
            S: 250 2.0.0 3 bytes so far
            {between}
            S: 421 4.4.2 The message comes too slowly
            A: aborted
            A: close"
        )
    };
    after_hello(&script("@ +99s\n@ +1s"));
    // Nor does a command in between win time.
    after_hello(&script("C: NOOP\nS: 250 2.0.0 Ok\n@ +100s"));
    after_hello(&script("@ +90s\nC: BDAT 10\nC~ X\n@ +10s"));
}

#[test]
fn a_message_in_good_pace_takes_its_time() {
    let piece = "C: {5000*x}\nA: aborted\n@ +170s\nC: x\n@ +130s\n";
    let more = "C: {5000*x}\n@ +170s\nC: x\n@ +130s\n".repeat(4);
    in_data(&format!("{piece}{more}C: .\nS: 552 5.3.4 Refused: larger than 1000 bytes"));
}

#[test]
fn no_session_lasts_longer_than_two_hours() {
    let noop = "C: NOOP\nS: 250 2.0.0 Ok\n@ +240s\n";
    after_hello(&format!(
        "{}C: NOOP\nS: 250 2.0.0 Ok\n@ +239s\n@ +1s\nS: 421 4.4.2 The session has lasted too long\nA: close",
        noop.repeat(29)
    ));
}
