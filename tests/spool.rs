//! The format of the spool, read by others: `tests/spool/read.py`, written from the text of `src/spool/mod.rs`
//! alone, finds what `stagepost spool list` finds, in sound spools and in harmed ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use stagepost::mail::{Address, Envelope, Notify, QueueId, Recipient, ReversePath};
use stagepost::os::flash_files::FlashFiles;
use stagepost::prng::Prng;
use stagepost::spool::{Bounds, DomainLog, Meta, RecipientState, State};
use stagepost::time::{Instant, WallTime};

/// A data directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("stagepost-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A domain's log on the real file system.
struct Spool {
    flash: FlashFiles,
    log: DomainLog,
    dice: Prng,
    next: u64,
}

impl Spool {
    fn open(data: &Path, domain: &str, quota_bytes: u64, seed: u64) -> Self {
        let flash = FlashFiles::open(&data.join("spool").join(domain)).unwrap();
        let (log, found) = DomainLog::recover(&flash, Bounds::for_quota(quota_bytes, seed));
        let next = found.messages.last().map_or(0, |message| message.id.as_u64()) + 1;
        Spool { flash, log, dice: Prng::from_seed(seed), next }
    }

    fn address(&mut self, domain: &str) -> Address {
        Address::parse(&format!("u{}@{domain}", self.dice.below(1000))).unwrap()
    }

    fn meta(&mut self) -> Meta {
        let sender = match self.dice.below(4) {
            0 => ReversePath::Null,
            _ => ReversePath::Address(self.address("bcd.com")),
        };
        let count = 1 + self.dice.below(4);
        let recipients: Vec<Address> = (0..count).map(|_| self.address("xyz.com")).collect();
        let mut envelope = Envelope::plain(sender, recipients);
        if self.dice.below(3) == 0 {
            envelope.envid = Some("QQ+2B1".to_owned());
            envelope.smtputf8 = true;
            let to: &mut Recipient = &mut envelope.recipients[0];
            to.notify = Some(Notify { success: true, failure: true, delay: false });
            to.orcpt = Some("rfc822;old@xyz.com".to_owned());
        }
        let received = WallTime::from_unix_millis(1_700_000_000_123 + self.next * 1_001);
        let authored = self.dice.below(2) == 0;
        Meta { received, origin: "from pc.example [192.0.2.9]".to_owned(), authored, envelope }
    }

    /// A message of any kind: in one record, in several, with a header section too long for its commit.
    fn put(&mut self) {
        let id = QueueId::from_u64(self.next).unwrap();
        let meta = self.meta();
        let (head, body) = match self.dice.below(12) {
            0 => (90_000, self.dice.below(1_000)),
            1 => (200, 60_000 + self.dice.below(80_000)),
            2 => (70_000, 150_000),
            _ => (100 + self.dice.below(400), self.dice.below(6_000)),
        };
        let head = format!("Subject: {}\r\n\r\n", "s".repeat(head));
        if self.log.put(id, &meta, head.as_bytes(), &vec![b'x'; body]).is_ok() {
            self.next += 1;
        }
    }

    /// Ends or defers one of the messages that there may be.
    fn go_on(&mut self) {
        let id = QueueId::from_u64(self.dice.below(self.next as usize) as u64).unwrap();
        if self.dice.below(3) > 0 {
            return self.log.done(id);
        }
        let Ok(stored) = self.log.load(&self.flash, id) else { return };
        let mut state = State::new(stored.state.recipients.len(), WallTime::from_unix_seconds(1_800_000_000));
        state.attempts = stored.state.attempts + 1;
        state.on_hold = self.dice.below(3) == 0;
        for recipient in &mut state.recipients {
            *recipient = match self.dice.below(4) {
                0 => RecipientState::Pending,
                1 => RecipientState::Delivered { reply: "250 2.0.0 taken".to_owned() },
                2 => RecipientState::Failed {
                    reply: "550 5.1.1 gr\u{fc}\u{df}e, never heard of him".to_owned(),
                },
                _ => RecipientState::Deferred { reply: "mx said: 451 4.3.0 busy".to_owned() },
            };
        }
        self.log.update(id, &state);
    }

    fn flush(&mut self) {
        while let Some(batch) = self.log.take_batch(&self.flash, Instant::NEVER) {
            assert_eq!(self.log.batch_finished(batch.run(&self.flash)).failed, None);
        }
    }

    fn live(&mut self, steps: usize) {
        for _ in 0..steps {
            match self.dice.below(5) {
                0 | 1 => self.put(),
                2 | 3 => self.go_on(),
                _ => self.flush(),
            }
        }
        self.flush();
    }
}

fn out(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What both say of a data directory; they must agree.
#[track_caller]
fn listed(data: &Path, caption: &str) -> Vec<String> {
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/spool/read.py");
    let others = out(Command::new("python3").args([Path::new(reader), data]));
    let ours = out(Command::new(env!("CARGO_BIN_EXE_stagepost")).args([
        Path::new("spool"),
        Path::new("--data"),
        data,
        Path::new("list"),
    ]));
    let (ours, others): (Vec<&str>, Vec<&str>) = (ours.lines().collect(), others.lines().collect());
    let differ = ours.iter().zip(&others).find(|(a, b)| a != b);
    assert!(ours == others, "{caption}: {} and {} messages, {differ:?}", ours.len(), others.len());
    ours.into_iter().map(str::to_owned).collect()
}

#[test]
fn a_reader_written_from_the_text_finds_the_same_messages() {
    let data = Scratch::new("spool-readers");
    let mut moved = 0;
    for (domain, quota, seed) in [("bcd.com", 0, 1), ("cde.com", 4 << 20, 2), ("def.com", 64 << 20, 3)] {
        for start in 0..3 {
            let mut spool = Spool::open(&data.0, domain, quota, seed * 10 + start);
            spool.live(250);
            moved += spool.log.wear().bytes_moved;
        }
    }
    let found = listed(&data.0, "sound");
    let has = |text: &str| found.iter().any(|line| line.contains(text));
    assert!(found.len() > 60 && moved > 0, "{} messages, {moved} bytes moved", found.len());
    for text in ["on hold", "delivered 250", "failed 550 5.1.1 grüße", "deferred mx said", "pending", "<> to"]
    {
        assert!(has(text), "no message says {text}");
    }
    harm(&data.0);
}

/// Bytes are flipped, runs of them overwritten and ends cut off, again and again.
fn harm(data: &Path) {
    let mut dice = Prng::from_seed(9);
    for round in 0..12 {
        for domain in fs::read_dir(data.join("spool")).unwrap() {
            let files = fs::read_dir(domain.unwrap().path()).unwrap().map(|f| f.unwrap().path());
            let mut files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
            files.sort();
            let path = &files[dice.below(files.len())];
            let mut bytes = fs::read(path).unwrap();
            let (at, count) = (dice.below(bytes.len()), 1 + dice.below(5_000));
            let end = bytes.len().min(at + count);
            match dice.below(6) {
                0 => bytes.truncate(at),
                1 => bytes[at..end].fill(0),
                2 => bytes[at..end].fill(0xAA),
                _ => bytes[at] ^= 1 << dice.below(8),
            }
            fs::write(path, bytes).unwrap();
        }
        listed(data, &format!("harmed {} times", round + 1));
    }
}
