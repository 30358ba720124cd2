//! A remote mail host under the test's command: it answers as told, and keeps a record of who said what.
//! For what real peers do not do on demand: refuse, hang, garble, close.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{Host, Message, PATIENCE, stamp, until};

/// What the host answers to a line.
pub enum Reply {
    /// As a friendly mail host would.
    Usual,
    /// This line or these lines, CRLF added.
    Say(&'static str),
    /// These bytes as they are.
    Bytes(&'static [u8]),
    /// Nothing, until the other side gives up.
    Silence,
    /// Closes the connection.
    Close,
}

/// One message that was taken, and under which identity it came.
#[derive(Clone, Debug)]
pub struct Taken {
    /// When, before the client was told; see [`stamp`].
    pub at: u64,
    pub client: IpAddr,
    pub ehlo: String,
    pub sender: String,
    pub recipients: Vec<String>,
    pub message: Message,
}

#[derive(Default)]
struct Record {
    taken: Vec<Taken>,
    /// Every line heard, with the address that said it; `CONNECT` when a client comes.
    heard: Vec<(IpAddr, String)>,
}

/// A listening remote host. It ends with the test process.
pub struct Remote {
    record: Arc<Mutex<Record>>,
}

type Answer = dyn Fn(&str) -> Reply + Send + Sync;

impl Remote {
    /// Listens on `ip`, port 25. `answer` is asked for each line heard: `CONNECT`, a command, or `.` for the
    /// end of a message.
    pub fn start(host: &Host, ip: &str, answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Remote {
        let address = SocketAddr::new(ip.parse().unwrap(), 25);
        let listener = host.within(|| TcpListener::bind(address)).unwrap();
        let record = Arc::new(Mutex::new(Record::default()));
        let (shared, answer): (_, Arc<Answer>) = (Arc::clone(&record), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &shared, &*answer));
            }
        });
        Remote { record }
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.record.lock().unwrap().taken.clone()
    }

    /// Looks at what was taken without a copy of it.
    pub fn survey<T>(&self, look: impl FnOnce(&[Taken]) -> T) -> T {
        look(&self.record.lock().unwrap().taken)
    }

    /// How often a line with this beginning was heard.
    pub fn heard(&self, start: &str) -> usize {
        self.record.lock().unwrap().heard.iter().filter(|(_, line)| line.starts_with(start)).count()
    }

    /// The first line with this beginning that was heard.
    pub fn line(&self, start: &str) -> String {
        let record = self.record.lock().unwrap();
        let found = record.heard.iter().find(|(_, line)| line.starts_with(start));
        found.map(|(_, line)| line.clone()).unwrap_or_default()
    }

    /// The addresses that ever connected.
    pub fn clients(&self) -> Vec<IpAddr> {
        let mut clients: Vec<IpAddr> = self.record.lock().unwrap().heard.iter().map(|(ip, _)| *ip).collect();
        clients.sort();
        clients.dedup();
        clients
    }

    /// Waits until `count` messages were taken.
    #[track_caller]
    pub fn await_taken(&self, count: usize) -> Vec<Taken> {
        until(&format!("{count} messages taken"), PATIENCE, || {
            let taken = self.taken();
            (taken.len() >= count).then_some(taken)
        })
    }

    /// Waits until a line with this beginning was heard `count` times.
    #[track_caller]
    pub fn await_heard(&self, start: &str, count: usize) {
        until(&format!("{start} heard {count} times"), PATIENCE, || {
            (self.heard(start) >= count).then_some(())
        });
    }
}

/// The transaction of one connection.
#[derive(Default)]
struct Session {
    ehlo: String,
    sender: String,
    recipients: Vec<String>,
}

fn serve(stream: &TcpStream, record: &Mutex<Record>, answer: &Answer) {
    let _ = stream.set_nodelay(true);
    let Ok(client) = stream.peer_addr().map(|a| a.ip().to_canonical()) else { return };
    let hear = |line: &str| record.lock().unwrap().heard.push((client, line.to_owned()));
    let mut reader = BufReader::new(stream);
    let mut session = Session::default();
    hear("CONNECT");
    if !reply(stream, answer("CONNECT"), "220 xyz.com ESMTP at your service") {
        return;
    }
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(n) if n > 0 => {}
            _ => return,
        }
        let line = line.trim_end();
        hear(line);
        let usual = session.command(line);
        let decision = answer(line);
        let data_begins = usual.starts_with("354") && matches!(decision, Reply::Usual);
        if let (Reply::Usual, Some(recipient)) = (&decision, path(line, "RCPT TO:")) {
            session.recipients.push(recipient);
        }
        if !reply(stream, decision, usual) || line.eq_ignore_ascii_case("QUIT") {
            return;
        }
        if data_begins {
            let Some(text) = read_text(&mut reader) else { return };
            hear(".");
            let decision = answer(".");
            if matches!(decision, Reply::Usual) {
                record.lock().unwrap().taken.push(session.taken(client, &text));
            }
            if !reply(stream, decision, "250 2.0.0 GAA20115 Message accepted for delivery") {
                return;
            }
        }
    }
}

impl Session {
    /// Notes what a command says; gives the usual reply to it.
    fn command(&mut self, line: &str) -> &'static str {
        let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => {
                self.ehlo = line[4..].trim().to_owned();
                "250-xyz.com\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 33554432"
            }
            "HELO" => {
                self.ehlo = line[4..].trim().to_owned();
                "250 xyz.com"
            }
            "MAIL" => {
                self.sender = path(line, "MAIL FROM:").unwrap_or_default();
                self.recipients.clear();
                "250 2.1.0 Sender ok"
            }
            "RCPT" => "250 2.1.5 Recipient ok",
            "DATA" if self.recipients.is_empty() => "503 5.5.1 Need RCPT",
            "DATA" => "354 Enter mail",
            "QUIT" => "221 2.0.0 xyz.com closing connection",
            "RSET" | "NOOP" => "250 2.0.0 Ok",
            _ => "500 5.5.1 What?",
        }
    }

    fn taken(&self, client: IpAddr, text: &str) -> Taken {
        Taken {
            at: stamp(),
            client,
            ehlo: self.ehlo.clone(),
            sender: self.sender.clone(),
            recipients: self.recipients.clone(),
            message: Message::new(text),
        }
    }
}

/// What stands between the angle brackets after `start`.
fn path(line: &str, start: &str) -> Option<String> {
    let head = line.get(..start.len())?;
    let rest = head.eq_ignore_ascii_case(start).then(|| &line[start.len()..])?;
    Some(rest.trim().strip_prefix('<')?.split('>').next()?.to_owned())
}

/// The text up to the final dot, dots undoubled; `None` when the client left before it.
fn read_text(reader: &mut impl BufRead) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut bytes = Vec::new();
        if reader.read_until(b'\n', &mut bytes).ok()? == 0 {
            return None;
        }
        if bytes == b".\r\n" {
            return Some(text);
        }
        let line = bytes.strip_prefix(b".").unwrap_or(&bytes);
        text.push_str(&String::from_utf8_lossy(line));
    }
}

/// Says it; false when the connection ends with it.
fn reply(mut stream: &TcpStream, reply: Reply, usual: &str) -> bool {
    match reply {
        Reply::Usual => stream.write_all(format!("{usual}\r\n").as_bytes()).is_ok(),
        Reply::Say(text) => stream.write_all(format!("{text}\r\n").as_bytes()).is_ok(),
        Reply::Bytes(bytes) => stream.write_all(bytes).is_ok(),
        Reply::Silence => true,
        Reply::Close => false,
    }
}
