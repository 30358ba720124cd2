//! Load: several clients hand over numbered messages, each of whose text follows from its number, and note
//! for which of them they were given a 250. What arrives is held against that.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::remote::Taken;
use super::{Host, PATIENCE, Remote, stamp};

/// What stands for the whole text of a message's body: `body(n)` says it again at any time.
const LINE_BYTES: usize = 64;
/// One in so many messages is too large for one record of the spool.
const LARGE_EVERY: u32 = 16;
const LARGE_BYTES: usize = 150_000;

/// Where a client hands over, and as whom.
#[derive(Clone, Copy)]
pub struct Door {
    pub to: &'static str,
    pub sender: &'static str,
}

/// A message that a client was given a 250 for.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// When its client had heard so; see [`stamp`].
    pub at: u64,
    pub reply: String,
}

struct Shared {
    next: AtomicU32,
    /// From one number to the next.
    step: u32,
    stop: AtomicBool,
    acknowledged: Mutex<BTreeMap<u32, Acknowledged>>,
    /// Replies of refusal.
    refused: Mutex<Vec<String>>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            next: AtomicU32::new(0),
            step: 1,
            stop: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

/// Clients at work, until they are told to stop.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `clients` clients at each door. Each rests for `pause` between two messages.
    pub fn start(from: &Host, doors: &[Door], clients: usize, pause: Duration) -> Load {
        Load::begin(Shared::default(), from, doors, clients, pause)
    }

    /// The same without large messages: each body has 2 KiB.
    pub fn start_short(from: &Host, doors: &[Door], clients: usize, pause: Duration) -> Load {
        let shared = Shared { step: LARGE_EVERY, ..Shared::default() };
        Load::begin(shared, from, doors, clients, pause)
    }

    fn begin(shared: Shared, from: &Host, doors: &[Door], clients: usize, pause: Duration) -> Load {
        let shared = Arc::new(shared);
        let all = doors.iter().flat_map(|door| std::iter::repeat_n(*door, clients));
        let start = |door: Door| {
            let shared = Arc::clone(&shared);
            // A thread begins in the network namespace of the one that starts it.
            from.within(|| std::thread::spawn(move || work(&shared, door, pause)))
        };
        let clients = all.map(start).collect();
        Load { shared, clients }
    }

    /// Everything that has been acknowledged by now, by its number.
    pub fn acknowledged(&self) -> BTreeMap<u32, Acknowledged> {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// Every reply of refusal so far.
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().unwrap().clone()
    }

    /// Lets every client come to its end; gives what was acknowledged.
    pub fn stop(mut self) -> BTreeMap<u32, Acknowledged> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
        self.acknowledged()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// Connects again and again, and hands over message after message, whatever happens to the other side.
fn work(shared: &Shared, door: Door, pause: Duration) {
    while !shared.stop.load(Ordering::Relaxed) {
        if let Err(error) = hand_over_all(shared, door, pause) {
            let said = error.to_string();
            if said.starts_with(['4', '5']) && !said.starts_with("421") {
                shared.refused.lock().unwrap().push(said);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn hand_over_all(shared: &Shared, door: Door, pause: Duration) -> io::Result<()> {
    let target = SocketAddr::new(door.to.parse().expect("an address"), 25);
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut client = Client { reader: BufReader::new(stream) };
    client.heard("220")?;
    client.say("EHLO pc.example\r\n", "250")?;
    while !shared.stop.load(Ordering::Relaxed) {
        let number = shared.next.fetch_add(shared.step, Ordering::Relaxed);
        client.say(&format!("MAIL FROM:<{}>\r\n", door.sender), "250")?;
        client.say("RCPT TO:<x1@xyz.com>\r\n", "250")?;
        client.say("DATA\r\n", "354")?;
        let text = text_of(number, door.sender).replace('\n', "\r\n");
        let reply = client.say(&(text + ".\r\n"), "250")?;
        shared.acknowledged.lock().unwrap().insert(number, Acknowledged { at: stamp(), reply });
        std::thread::sleep(pause);
    }
    Ok(())
}

struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn say(&mut self, text: &str, expected: &str) -> io::Result<String> {
        self.reader.get_mut().write_all(text.as_bytes())?;
        self.heard(expected)
    }

    /// The last line of the next reply, which must begin so.
    fn heard(&mut self, expected: &str) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 || !line.starts_with(expected) || !line.ends_with('\n')
            {
                return Err(io::Error::other(line));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }
}

/// The message of this number as its client sends it, line ends as `\n`.
pub fn text_of(number: u32, sender: &str) -> String {
    format!("From: <{sender}>\nTo: <x1@xyz.com>\nSubject: number {number}\n\n{}", body(number))
}

/// The body of the message of this number: lines of digits that no other has, 2 KiB or much more.
pub fn body(number: u32) -> String {
    let bytes = if number % LARGE_EVERY == LARGE_EVERY - 1 { LARGE_BYTES } else { 2048 };
    let mut digits = fastrand::Rng::with_seed(number.into());
    let mut body = String::with_capacity(bytes);
    while body.len() < bytes {
        let line: String = (0..LINE_BYTES / 16).map(|_| format!("{:016x}", digits.u64(..))).collect();
        body.push_str(&line);
        body.push('\n');
    }
    body
}

/// What arrived of numbered messages: how often each. Panics where one is not whole.
#[track_caller]
pub fn arrived(taken: &[Taken]) -> BTreeMap<u32, usize> {
    let mut count = BTreeMap::new();
    for message in taken.iter().map(|t| &t.message) {
        let subject = message.subject();
        let number: u32 = subject.strip_prefix("number ").and_then(|n| n.parse().ok()).expect("a number");
        assert!(message.body() == body(number), "number {number} is not what was sent:\n{}", message.raw);
        *count.entry(number).or_insert(0) += 1;
    }
    count
}

/// The numbers of the acknowledged messages that have not arrived.
pub fn missing<'a>(wanted: impl IntoIterator<Item = &'a u32>, remote: &Remote) -> Vec<u32> {
    let there = remote.survey(arrived);
    wanted.into_iter().filter(|number| !there.contains_key(number)).copied().collect()
}
