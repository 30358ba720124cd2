//! What really happened to every letter, written by the hosts and the clients, and the promises it is held
//! against. It knows nothing of queue and spool but what is asserted here.

use std::collections::BTreeMap;

use crate::mail::{Address, Domain, QueueId};
use crate::time::Instant;

/// What the client heard after its final dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Yes,
    /// Refused at this step of this life of the daemon. `torn`: a write failed after it may have reached the
    /// medium in part, and a cut may come before the record that ends it is there.
    No {
        step: usize,
        life: usize,
        torn: bool,
    },
}

/// One recipient of one share.
#[derive(Debug, Default)]
pub struct Fate {
    pub taken: usize,
    /// The office has heard of the last time.
    known: bool,
    /// Since when it has, where the letter was on flash then.
    unwritten_since: Option<Instant>,
    /// And that is on flash: from here on it must not be sent again.
    recorded: bool,
    /// A host refused it for good.
    pub refused: bool,
    /// Its sender was told that it failed, or his host would not hear of it.
    bounced: bool,
}

#[derive(Debug)]
pub struct Letter {
    pub id: QueueId,
    pub body: Vec<u8>,
    pub fates: BTreeMap<(Domain, Address), Fate>,
    pub told: Told,
    /// Its sender has a mailbox here, where a report must arrive.
    pub local_sender: bool,
    /// The operator deleted it.
    pub deleted: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    letters: Vec<Letter>,
    pub duplicates: usize,
    /// How often the daemon has died.
    pub life: usize,
}

/// The token of a letter, in a header section or in what a report returns of it.
pub fn token(text: &[u8]) -> Option<usize> {
    const FIELD: &[u8] = b"Subject: token-";
    let at = memchr::memmem::find(text, FIELD)? + FIELD.len();
    let digits: String = text[at..].iter().take_while(|b| b.is_ascii_digit()).map(|b| *b as char).collect();
    digits.parse().ok()
}

impl Ledger {
    pub fn next_token(&self) -> usize {
        self.letters.len()
    }

    pub fn add(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    pub fn letter(&self, token: usize) -> &Letter {
        &self.letters[token]
    }

    pub fn letter_mut(&mut self, token: usize) -> &mut Letter {
        &mut self.letters[token]
    }

    pub fn by_id(&mut self, id: QueueId) -> Option<&mut Letter> {
        self.letters.iter_mut().find(|letter| letter.id == id)
    }

    /// A host or a mailbox took a message that left as `sender`, in a transaction that began at `began`.
    pub fn taken(&mut self, sender: &Domain, to: &Address, head: &[u8], body: &[u8], began: usize) {
        let Some(token) = token(head) else { return self.report(body) };
        let letter = &mut self.letters[token];
        assert!(body == letter.body, "token {token} arrived torn at {to}");
        if let Told::No { step, life, torn } = letter.told {
            let came_back = torn && life < self.life;
            assert!(began <= step || came_back, "token {token} was refused, and {to} got it");
        }
        let fate = letter.fates.get_mut(&(sender.clone(), to.clone()));
        let fate =
            fate.unwrap_or_else(|| panic!("token {token} came to {to} from {sender}, who does not own it"));
        assert!(!fate.recorded, "token {token} was delivered to {to}, recorded, and sent again");
        self.duplicates += usize::from(fate.taken > 0);
        fate.taken += 1;
        (fate.known, fate.unwritten_since) = (false, None);
    }

    /// The office has heard that `to` has it; with the time, where the letter is in its log.
    pub fn known(&mut self, sender: &Domain, id: QueueId, to: &Address, since: Option<Instant>) {
        if let Some(fate) = self.by_id(id).and_then(|l| l.fates.get_mut(&(sender.clone(), to.clone()))) {
            (fate.known, fate.unwritten_since) = (true, since);
        }
    }

    pub fn refused(&mut self, sender: &Domain, id: QueueId, to: &Address) {
        if let Some(fate) = self.by_id(id).and_then(|l| l.fates.get_mut(&(sender.clone(), to.clone()))) {
            fate.refused = true;
        }
    }

    /// The sender has a report in hand.
    pub fn report(&mut self, body: &[u8]) {
        let Some(token) = token(body) else {
            panic!("a report on nothing: {}", String::from_utf8_lossy(body))
        };
        let text = String::from_utf8_lossy(body);
        for block in text.split("Final-Recipient: rfc822;").skip(1) {
            let address = block.lines().next().unwrap_or_default().trim();
            let failed =
                block.lines().take_while(|line| !line.is_empty()).any(|line| line == "Action: failed");
            for ((_, to), fate) in &mut self.letters[token].fates {
                fate.bounced |= failed && to.to_string() == address;
            }
        }
    }

    /// Deliveries that a log has on record; `recorded` tells whether all that is known of a letter is on flash.
    pub fn records(&mut self, recorded: impl Fn(&Domain, QueueId) -> bool) {
        for letter in &mut self.letters {
            for ((owner, _), fate) in &mut letter.fates {
                fate.recorded |= fate.known && recorded(owner, letter.id);
            }
        }
    }

    /// Deliveries that the office knows of and that may not be on flash yet: whose, of which letter, to whom,
    /// since when.
    pub fn unrecorded(&self) -> impl Iterator<Item = (&Domain, QueueId, &Address, Instant)> {
        let letters = self.letters.iter().filter(|letter| !letter.deleted);
        let open = |fate: &Fate| fate.unwritten_since.filter(|_| !fate.recorded);
        letters.flat_map(move |letter| {
            letter
                .fates
                .iter()
                .filter_map(move |((owner, to), fate)| Some((owner, letter.id, to, open(fate)?)))
        })
    }

    /// The daemon is gone: what it had not written down it does not know.
    pub fn forgotten(&mut self) {
        self.life += 1;
        for fate in self.letters.iter_mut().flat_map(|letter| letter.fates.values_mut()) {
            fate.known &= fate.recorded;
            fate.unwritten_since = None;
        }
    }

    /// Every letter that was acknowledged has arrived, or its sender knows.
    pub fn check_end(&self) {
        for (token, letter) in self.letters.iter().enumerate() {
            if letter.told != Told::Yes || letter.deleted {
                continue;
            }
            for ((owner, to), fate) in &letter.fates {
                let settled = fate.taken > 0 || fate.bounced || !letter.local_sender && fate.refused;
                assert!(settled, "token {token} of {owner} to {to} was acknowledged and is lost: {letter:?}");
            }
        }
    }

    pub fn letters(&self) -> usize {
        self.letters.len()
    }

    pub fn acknowledged(&self) -> usize {
        self.letters.iter().filter(|letter| letter.told == Told::Yes).count()
    }

    pub fn deliveries(&self) -> usize {
        self.letters.iter().flat_map(|letter| letter.fates.values()).map(|fate| fate.taken).sum()
    }
}
