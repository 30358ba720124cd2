//! The command line to one [`Invocation`]; the program does the rest. As `sendmail` it takes what mail
//! programs have passed to sendmail(8) for decades: what means nothing here is accepted and ignored with its
//! argument. Danger: an option mistaken for a recipient would send mail to a stranger.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::console::exit;
use lexopt::{Arg, Parser, ValueExt};

/// Where the daemon keeps everything unless `--data` says otherwise.
pub const DATA_DIR: &str = "/data";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    Run {
        data: PathBuf,
    },
    /// No words: an interactive console. `--json` is one of the words.
    Console {
        data: PathBuf,
        words: Vec<String>,
    },
    Sendmail(Sendmail),
    Check {
        file: PathBuf,
    },
    Spool {
        data: PathBuf,
        task: SpoolTask,
    },
    Version,
    /// The text to print.
    Help(&'static str),
}

/// What `stagepost spool` does with the spool of a stopped daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpoolTask {
    List,
    Verify,
    Cat { id: String },
    Export { dir: PathBuf },
    Import { dir: PathBuf },
}

/// A submission as `sendmail` was asked for it. Addresses are as written; the daemon completes and judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sendmail {
    /// `None` is [`DATA_DIR`].
    pub data: Option<PathBuf>,
    /// `-t`: recipients are in To, Cc and Bcc too.
    pub from_header: bool,
    /// `-i`: a line with a dot alone does not end the text.
    pub ignore_dots: bool,
    /// `-v`: print the exchange.
    pub verbose: bool,
    /// `-f`; the empty text is the null path `<>`.
    pub sender: Option<String>,
    /// `-F`.
    pub full_name: Option<String>,
    pub recipients: Vec<String>,
}

/// Why a command line is none, and the code to exit with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    pub what: String,
    pub code: u8,
}

const USAGE: &str = "\
usage: stagepost COMMAND
  run [--data DIR]                 the daemon in the foreground; log on stderr
  console [--data DIR] [WORDS...]  one command to the daemon, or an interactive console
  sendmail [-t] [-i] [-v] [-f ADDR] [-F NAME] [--data DIR] [RCPT...]
                                   hand in one message from standard input
  check FILE                       what is wrong with a configuration, one FILE:LINE: a line
  spool list|verify|cat ID|export DIR|import DIR [--data DIR]
                                   look into the spool while the daemon is stopped
  version                          print the version
  help                             print this
DIR is /data unless said otherwise; it holds config, spool/, mail/ and control.sock.
`stagepost console help` lists the commands of the console.
";

const SENDMAIL_USAGE: &str = "\
usage: sendmail [-t] [-i] [-v] [-f ADDR] [-F NAME] [--data DIR] [RCPT...]
  -t        recipients are in To, Cc and Bcc; Bcc is dropped
  -i, -oi   a line with a dot alone does not end the text
  -v        print the SMTP exchange
  -f ADDR   the envelope's sender; <> is the null path
  -F NAME   the sender's full name
";

/// Reads the whole command line; `arguments` begins with the program's own name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, UsageError> {
    let mut arguments = arguments.into_iter();
    let program = arguments.next().unwrap_or_default();
    let mut parser = Parser::from_args(arguments);
    if Path::new(&program).file_name().is_some_and(|name| name == "sendmail") {
        return sendmail(parser);
    }
    command(&mut parser).and_then(|name| match name.as_deref() {
        Some("run") => run(parser),
        Some("console") => console(parser),
        Some("sendmail") => sendmail(parser),
        Some("check") => check(parser),
        Some("spool") => spool(parser),
        Some("version") => alone(parser, Invocation::Version),
        Some("help") | None => alone(parser, Invocation::Help(USAGE)),
        Some(other) => Err(misuse(format!("`{other}` is no command; `stagepost help` lists them"))),
    })
}

fn misuse(what: impl ToString) -> UsageError {
    UsageError { what: what.to_string(), code: exit::MISUSE }
}

fn command(parser: &mut Parser) -> Result<Option<String>, UsageError> {
    match parser.next().map_err(misuse)? {
        Some(Arg::Value(name)) => name.string().map(Some).map_err(misuse),
        Some(Arg::Long("version") | Arg::Short('V')) => Ok(Some("version".to_owned())),
        Some(Arg::Long("help") | Arg::Short('h')) => Ok(Some("help".to_owned())),
        Some(other) => Err(misuse(other.unexpected())),
        None => Err(misuse("what to do is missing; `stagepost help` lists the commands")),
    }
}

fn alone(mut parser: Parser, invocation: Invocation) -> Result<Invocation, UsageError> {
    match parser.next().map_err(misuse)? {
        None => Ok(invocation),
        Some(other) => Err(misuse(other.unexpected())),
    }
}

/// `--data DIR` and plain words, in any order; `keep` are long options that count as words.
fn data_and_words(mut parser: Parser, keep: &[&str]) -> Result<(PathBuf, Vec<OsString>), UsageError> {
    let mut data = PathBuf::from(DATA_DIR);
    let mut words = Vec::new();
    while let Some(argument) = parser.next().map_err(misuse)? {
        match argument {
            Arg::Long("data") => data = parser.value().map_err(misuse)?.into(),
            Arg::Long(name) if keep.contains(&name) => words.push(format!("--{name}").into()),
            Arg::Value(word) => words.push(word),
            other => return Err(misuse(other.unexpected())),
        }
    }
    Ok((data, words))
}

fn run(parser: Parser) -> Result<Invocation, UsageError> {
    match data_and_words(parser, &[])? {
        (data, words) if words.is_empty() => Ok(Invocation::Run { data }),
        (_, words) => Err(misuse(format!("`{}` is too much; write `run [--data DIR]`", words[0].display()))),
    }
}

fn console(parser: Parser) -> Result<Invocation, UsageError> {
    let (data, words) = data_and_words(parser, &["json"])?;
    let words = words.into_iter().map(|word| word.string().map_err(misuse)).collect::<Result<Vec<_>, _>>()?;
    Ok(Invocation::Console { data, words })
}

fn check(parser: Parser) -> Result<Invocation, UsageError> {
    match &data_and_words(parser, &[])?.1[..] {
        [file] => Ok(Invocation::Check { file: file.into() }),
        _ => Err(misuse("name one file; write `check FILE`")),
    }
}

fn spool(parser: Parser) -> Result<Invocation, UsageError> {
    let (data, words) = data_and_words(parser, &[])?;
    let task = match &words[..] {
        [task] if task == "list" => SpoolTask::List,
        [task] if task == "verify" => SpoolTask::Verify,
        [task, id] if task == "cat" => SpoolTask::Cat { id: id.clone().string().map_err(misuse)? },
        [task, dir] if task == "export" => SpoolTask::Export { dir: dir.into() },
        [task, dir] if task == "import" => SpoolTask::Import { dir: dir.into() },
        _ => return Err(misuse("write `spool list`, `verify`, `cat ID`, `export DIR` or `import DIR`")),
    };
    Ok(Invocation::Spool { data, task })
}

fn sendmail_misuse(what: impl ToString) -> UsageError {
    UsageError { what: what.to_string(), code: exit::USAGE }
}

fn sendmail(mut parser: Parser) -> Result<Invocation, UsageError> {
    let mut asked = Sendmail::default();
    while let Some(argument) = parser.next().map_err(sendmail_misuse)? {
        let mode = match argument {
            Arg::Value(recipient) => {
                asked.recipients.push(recipient.string().map_err(sendmail_misuse)?);
                continue;
            }
            Arg::Long("help") => return Ok(Invocation::Help(SENDMAIL_USAGE)),
            Arg::Long("data") => {
                asked.data = Some(parser.value().map_err(sendmail_misuse)?.into());
                continue;
            }
            Arg::Short(letter) => letter,
            other @ Arg::Long(_) => return Err(sendmail_misuse(other.unexpected())),
        };
        sendmail_letter(&mut asked, mode, &mut parser)?;
    }
    if asked.recipients.is_empty() && !asked.from_header {
        return Err(sendmail_misuse("no recipient; name one, or use -t to take them from the header"));
    }
    Ok(Invocation::Sendmail(asked))
}

/// One option of sendmail(8). Attached and separate arguments are both taken, as getopt does.
fn sendmail_letter(asked: &mut Sendmail, letter: char, parser: &mut Parser) -> Result<(), UsageError> {
    let mut text = || parser.value().and_then(|v| v.string()).map_err(sendmail_misuse);
    match letter {
        't' => asked.from_header = true,
        'i' => asked.ignore_dots = true,
        'v' => asked.verbose = true,
        'f' | 'r' => asked.sender = Some(path(&text()?)),
        'F' => asked.full_name = Some(text()?),
        'o' => asked.ignore_dots |= text()? == "i",
        'b' => match text()?.as_str() {
            "m" => {}
            mode => {
                return Err(sendmail_misuse(format!(
                    "-b{mode} is not done here; -bm is, which sends one message"
                )));
            }
        },
        'A' | 'B' | 'C' | 'h' | 'L' | 'N' | 'O' | 'p' | 'R' | 'V' | 'X' => drop(text()?),
        'c' | 'e' | 'G' | 'm' | 'n' | 's' | 'U' | 'x' => drop(parser.optional_value()),
        other => {
            return Err(sendmail_misuse(format!("-{other} is no option of sendmail; see sendmail --help")));
        }
    }
    Ok(())
}

/// A path without its angle brackets; the null path is empty.
fn path(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &[&str]) -> Result<Invocation, UsageError> {
        parse(line.iter().map(OsString::from))
    }

    fn asked(line: &[&str]) -> Sendmail {
        match parsed(line) {
            Ok(Invocation::Sendmail(asked)) => asked,
            other => panic!("{line:?}: {other:?}"),
        }
    }

    #[test]
    fn every_command_is_understood() {
        let data = || PathBuf::from("/data");
        for (line, wanted) in [
            (&["run"][..], Invocation::Run { data: data() }),
            (&["run", "--data", "d"], Invocation::Run { data: "d".into() }),
            (&["run", "--data=d"], Invocation::Run { data: "d".into() }),
            (&["console"], Invocation::Console { data: data(), words: vec![] }),
            (
                &["console", "show", "queue", "--json"],
                Invocation::Console {
                    data: data(),
                    words: ["show", "queue", "--json"].map(String::from).into(),
                },
            ),
            (
                &["console", "show", "--data", "d", "status"],
                Invocation::Console { data: "d".into(), words: ["show", "status"].map(String::from).into() },
            ),
            (&["check", "box.conf"], Invocation::Check { file: "box.conf".into() }),
            (&["spool", "list"], Invocation::Spool { data: data(), task: SpoolTask::List }),
            (
                &["spool", "--data", "d", "verify"],
                Invocation::Spool { data: "d".into(), task: SpoolTask::Verify },
            ),
            (
                &["spool", "cat", "7f"],
                Invocation::Spool { data: data(), task: SpoolTask::Cat { id: "7f".into() } },
            ),
            (
                &["spool", "export", "out"],
                Invocation::Spool { data: data(), task: SpoolTask::Export { dir: "out".into() } },
            ),
            (
                &["spool", "import", "out"],
                Invocation::Spool { data: data(), task: SpoolTask::Import { dir: "out".into() } },
            ),
            (&["version"], Invocation::Version),
            (&["--version"], Invocation::Version),
            (&["help"], Invocation::Help(USAGE)),
            (&["--help"], Invocation::Help(USAGE)),
        ] {
            let mut full = vec!["/usr/bin/stagepost"];
            full.extend(line);
            assert_eq!(parsed(&full).unwrap(), wanted, "{line:?}");
        }
    }

    #[test]
    fn a_command_line_that_is_none_is_told_why() {
        for (line, what) in [
            (&[][..], "what to do is missing; `stagepost help` lists the commands"),
            (&["sing"], "`sing` is no command; `stagepost help` lists them"),
            (&["run", "fast"], "`fast` is too much; write `run [--data DIR]`"),
            (&["run", "--data"], "missing argument for option '--data'"),
            (&["check"], "name one file; write `check FILE`"),
            (&["check", "a", "b"], "name one file; write `check FILE`"),
            (&["spool", "cat"], "write `spool list`, `verify`, `cat ID`, `export DIR` or `import DIR`"),
            (&["version", "2"], "unexpected argument \"2\""),
            (&["--quick"], "invalid option '--quick'"),
        ] {
            let mut full = vec!["stagepost"];
            full.extend(line);
            let wanted = UsageError { what: what.to_owned(), code: exit::MISUSE };
            assert_eq!(parsed(&full).unwrap_err(), wanted, "{line:?}");
        }
    }

    #[test]
    fn sendmail_is_spoken_under_both_names() {
        let wanted = Sendmail {
            from_header: true,
            ignore_dots: true,
            verbose: true,
            sender: Some("b1@bcd.com".to_owned()),
            full_name: Some("Bob Smith".to_owned()),
            recipients: vec!["x1@xyz.com".to_owned(), "b2".to_owned()],
            data: None,
        };
        let options = ["-t", "-i", "-v", "-f", "b1@bcd.com", "-F", "Bob Smith", "x1@xyz.com", "b2"];
        assert_eq!(asked(&[&["/usr/sbin/sendmail"][..], &options].concat()), wanted);
        assert_eq!(asked(&[&["stagepost", "sendmail"][..], &options].concat()), wanted);
        let packed = ["-tiv", "-fb1@bcd.com", "-FBob Smith", "--", "x1@xyz.com", "b2"];
        assert_eq!(asked(&[&["sendmail"][..], &packed].concat()), wanted);
    }

    #[test]
    fn old_options_of_sendmail_are_taken_and_mean_nothing() {
        let options = [
            "-oi",
            "-oem",
            "-om",
            "-odb",
            "-odi",
            "-bm",
            "-B",
            "8BITMIME",
            "-B8BITMIME",
            "-N",
            "never",
            "-V",
            "id1",
            "-R",
            "hdrs",
            "-L",
            "tag",
            "-O",
            "DeliveryMode=b",
            "-em",
            "-n",
            "-m",
            "-U",
            "-G",
            "-Ac",
        ];
        let found = asked(&[&["sendmail"][..], &options, &["x1@xyz.com"]].concat());
        let wanted =
            Sendmail { ignore_dots: true, recipients: vec!["x1@xyz.com".to_owned()], ..Sendmail::default() };
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_null_path_has_two_spellings() {
        for (given, sender) in [("", ""), ("<>", ""), ("<b1@bcd.com>", "b1@bcd.com"), ("b1", "b1")] {
            assert_eq!(asked(&["sendmail", "-f", given, "x"]).sender.as_deref(), Some(sender), "{given:?}");
        }
    }

    #[test]
    fn sendmail_refuses_with_its_own_code() {
        for (line, what) in [
            (&["-i"][..], "no recipient; name one, or use -t to take them from the header"),
            (&["-bs"], "-bs is not done here; -bm is, which sends one message"),
            (&["-y", "x"], "-y is no option of sendmail; see sendmail --help"),
            (&["-f"], "missing argument for option '-f'"),
            (&["--fast", "x"], "invalid option '--fast'"),
        ] {
            let wanted = UsageError { what: what.to_owned(), code: exit::USAGE };
            assert_eq!(parsed(&[&["sendmail"][..], line].concat()).unwrap_err(), wanted, "{line:?}");
        }
    }
}
