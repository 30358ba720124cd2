//! A line of the log as syslog has it. Sources: RFC 5424 §6 (format), RFC 5426 (one datagram a message),
//! RFC 6587 §3.4.1 (octet counting on TCP).
//! Danger: what remote hosts say stands in the log; a control character of theirs must not end a message.

use crate::time::WallTime;

/// The mail system (§6.2.1).
const FACILITY: u8 = 2;
const APP_NAME: &str = "stagepost";

/// A message; `level` is as the log has it, `host` the box's own name.
pub fn message(time: WallTime, level: &str, host: Option<&str>, text: &str) -> String {
    let priority = FACILITY * 8 + severity(level);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("<{priority}>1 {} {} {APP_NAME} - - - {text}", time.rfc3339(), host.unwrap_or("-"))
}

/// A message as TCP carries it: its length in front.
pub fn counted(message: &str) -> String {
    format!("{} {message}", message.len())
}

fn severity(level: &str) -> u8 {
    match level {
        "error" => 3,
        "warn" => 4,
        "info" => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_one_message() {
        let time = WallTime::from_unix_seconds(975_320_363);
        let got = message(time, "warn", Some("abc.com"), "x said: 550\r\n<0>1 no é");
        assert_eq!(got, "<20>1 2000-11-27T10:19:23Z abc.com stagepost - - - x said: 550  <0>1 no é");
        assert_eq!(counted(&got), format!("74 {got}"));
        assert!(message(time, "error", None, "").starts_with("<19>1 2000-11-27T10:19:23Z - stagepost"));
    }
}
