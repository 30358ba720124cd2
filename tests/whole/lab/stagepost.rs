//! The real binary: as the daemon on a host of the lab, and as each of its commands.

use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::{Host, Message, PATIENCE, Running, Terminal, until, until_true};

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_stagepost");

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Outcome {
    fn of(output: Output) -> Outcome {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        // No exit code: ended by a signal, as a shell counts it.
        Outcome {
            code: output.status.code().unwrap_or(128),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// Runs the binary outside any lab, with `input` as its standard input.
pub fn run_binary(args: &[&str], input: &str) -> Outcome {
    let mut command = Command::new(BINARY);
    command.args(args);
    run(command, input)
}

fn run(mut command: Command, input: &str) -> Outcome {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments closes its input unread.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Outcome::of(child.wait_with_output().unwrap())
}

/// A daemon with a data folder of its own; killed when dropped.
pub struct Stagepost<'h> {
    host: &'h Host,
    data: PathBuf,
    log: String,
    running: Option<Running>,
    /// It may not set this machine's clock.
    clockless: bool,
}

impl<'h> Stagepost<'h> {
    /// Starts the daemon on `host` with this configuration, and waits until its console answers.
    #[track_caller]
    pub fn start(host: &'h Host, config: &str) -> Stagepost<'h> {
        Stagepost::start_as(host, "stagepost", config)
    }

    /// The same, where a host runs more than one: `name` is its folder's and its log's.
    #[track_caller]
    pub fn start_as(host: &'h Host, name: &str, config: &str) -> Stagepost<'h> {
        let mut box_ = Stagepost::prepare(host, name, config);
        box_.launch();
        box_
    }

    /// The same without the right to set the clock of this machine, which all namespaces share. `known` is the
    /// file with the last known time.
    #[track_caller]
    pub fn start_without_clock(host: &'h Host, config: &str, known: &str) -> Stagepost<'h> {
        let mut box_ = Stagepost { clockless: true, ..Stagepost::prepare(host, "stagepost", config) };
        std::fs::write(box_.data.join("clock"), known).unwrap();
        box_.launch();
        box_
    }

    fn prepare(host: &'h Host, name: &str, config: &str) -> Stagepost<'h> {
        let data = host.dir().join(name);
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("config"), config).unwrap();
        Stagepost { host, data, log: format!("{name}.log"), running: None, clockless: false }
    }

    /// The same with its log going to this file, whatever comes of that.
    #[track_caller]
    pub fn start_with_log(host: &'h Host, config: &str, log: &str) -> Stagepost<'h> {
        let data = host.dir().join("stagepost");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("config"), config).unwrap();
        let mut box_ = Stagepost { host, data, log: log.to_owned(), running: None, clockless: false };
        box_.launch();
        box_
    }

    /// Its data directory.
    pub fn data(&self) -> &std::path::Path {
        &self.data
    }

    /// The daemon that runs on `host` already, with its data in `data`: only its console is used.
    pub fn beside(host: &'h Host, data: &std::path::Path) -> Stagepost<'h> {
        Stagepost {
            host,
            data: data.to_owned(),
            log: "beside.log".to_owned(),
            running: None,
            clockless: false,
        }
    }

    #[track_caller]
    fn launch(&mut self) {
        let mut running = self.host.start(self.command(&["run"]), &self.log);
        until("the daemon's console answers", PATIENCE, || {
            if let Some(code) = running.ended() {
                panic!("the daemon ended with {code:?}:\n{}", running.printed());
            }
            (self.try_console(&["show", "status"]).code == 0).then_some(())
        });
        self.running = Some(running);
    }

    /// Waits until every domain's address is up and listens.
    #[track_caller]
    pub fn await_up(&self) {
        until_true("every domain is up", || self.console(&["show", "status"])["domains_pending"] == 0);
        let domains = self.console(&["show", "domains"]);
        let addresses =
            domains["domains"].as_array().unwrap().iter().flat_map(|d| d["addresses"].as_array().unwrap());
        for address in addresses.map(|a| a["address"].as_str().unwrap().parse::<IpAddr>().unwrap()) {
            let listens = || TcpStream::connect((address, 25)).is_ok();
            until_true(&format!("{address} listens"), || self.host.within(listens));
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut args = vec![words[0], "--data", self.data.to_str().unwrap()];
        args.extend(&words[1..]);
        if self.clockless {
            args.splice(..0, ["--bounding-set", "-sys_time", "--inh-caps", "-sys_time", BINARY]);
            return self.host.command("setpriv", &args);
        }
        self.host.command(BINARY, &args)
    }

    /// The daemon's log so far, over restarts.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.host.dir().join(&self.log)).unwrap_or_default())
            .into_owned()
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.running.as_ref().expect("it runs").pid()
    }

    /// One console command, whatever comes of it.
    pub fn try_console(&self, words: &[&str]) -> Outcome {
        let mut all = vec!["console"];
        all.extend(words);
        run(self.command(&all), "")
    }

    /// One console command as JSON; it must succeed.
    #[track_caller]
    pub fn console(&self, words: &[&str]) -> Value {
        let mut all = words.to_vec();
        all.push("--json");
        let outcome = self.try_console(&all);
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.err);
        serde_json::from_str(&outcome.out).unwrap_or_else(|e| panic!("{words:?}: {e} in {:?}", outcome.out))
    }

    /// One console command as text; it must succeed.
    #[track_caller]
    pub fn console_text(&self, words: &[&str]) -> String {
        let outcome = self.try_console(words);
        assert_eq!(outcome.code, 0, "{words:?}: {}", outcome.err);
        outcome.out
    }

    /// A console command that reads further lines.
    pub fn console_with(&self, words: &[&str], input: &str) -> Outcome {
        let mut all = vec!["console"];
        all.extend(words);
        run(self.command(&all), input)
    }

    /// The interactive console, on a terminal of its own.
    pub fn terminal(&self) -> Terminal {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let command = format!("{BINARY} console --data {}", self.data.display());
        let typed = self.host.command("script", &["-q", "-e", "-f", "-c", &command, "/dev/null"]);
        Terminal::start(typed, self.host.dir().join(format!("terminal-{number}.log")))
    }

    /// `stagepost sendmail` with this message on its standard input.
    pub fn sendmail(&self, args: &[&str], message: &str) -> Outcome {
        let mut all = vec!["sendmail"];
        all.extend(args);
        run(self.command(&all), message)
    }

    /// Another command with this data folder: `spool list`.
    pub fn run(&self, words: &[&str]) -> Outcome {
        let mut args = words.to_vec();
        args.extend(["--data", self.data.to_str().unwrap()]);
        run(self.host.command(BINARY, &args), "")
    }

    /// A file of the data folder, as text.
    pub fn file(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.data.join(name)).unwrap_or_default()).into_owned()
    }

    /// The messages of a hosted mailbox.
    pub fn mailbox(&self, domain: &str, user: &str) -> Vec<Message> {
        let dir = self.data.join("mail").join(domain).join(user).join("new");
        let mut files: Vec<_> =
            std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
        files.sort();
        files.iter().map(|f| Message::new(&String::from_utf8_lossy(&std::fs::read(f).unwrap()))).collect()
    }

    /// Waits for a message with this subject in a hosted mailbox.
    #[track_caller]
    pub fn mailbox_message(&self, domain: &str, user: &str, subject: &str) -> Message {
        let arrived = || self.mailbox(domain, user).into_iter().find(|m| m.fields("Subject") == [subject]);
        until(&format!("{subject:?} arrives for {user}@{domain}"), PATIENCE, arrived)
    }

    /// What the daemon takes of memory now.
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.running.as_ref().expect("the daemon runs").pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }

    /// For how long a thread of the daemon has had a processor so far.
    pub fn thread_ran(&self, name: &str) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let is_named = |path: &PathBuf| {
            std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let path = threads.map(|entry| entry.unwrap().path()).find(is_named);
        let path = path.unwrap_or_else(|| panic!("the daemon has a thread {name}"));
        let told = std::fs::read_to_string(path.join("schedstat")).unwrap();
        Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
    }

    pub fn kill9(&mut self) {
        self.running = None;
    }

    /// SIGTERM, and its exit code.
    #[track_caller]
    pub fn stop(&mut self) -> Option<i32> {
        let mut running = self.running.take().expect("the daemon runs");
        running.terminate();
        until("the daemon stops", PATIENCE, || running.ended())
    }

    pub fn terminate(&self) {
        self.running.as_ref().expect("the daemon runs").terminate();
    }

    /// Starts again after [`Stagepost::stop`] or [`Stagepost::kill9`], with the data that is there.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
    }

    /// Waits until the log says this.
    #[track_caller]
    pub fn await_log(&self, text: &str) {
        until_true(&format!("the log says {text:?}"), || self.stderr().contains(text));
    }
}
