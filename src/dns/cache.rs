//! Answers that are still good, within a bound of entries and of bytes (RFC 1035 §7.4, RFC 2308 §5).
//! The least recently used answer goes first. Danger: senders choose the names that are asked, so the cache
//! has to stay within its bounds whatever they choose.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::dns::{Answer, Question};
use crate::limits::{DNS_CACHE_BYTES_MAX, DNS_CACHE_ENTRIES_MAX};
use crate::time::Instant;

/// What one entry costs beside the texts of its question and its answer: the slots of both tables at the
/// load that they may have, and what the allocator adds. As measured, the sum is a little too high.
const ENTRY_BYTES: usize =
    80 + size_of::<Answer>() + 2 * (size_of::<(Question, Entry)>() + size_of::<(u64, Question)>());

/// An empty cache holds no memory.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Question, Entry>,
    /// The questions in the order of their last use.
    by_use: BTreeMap<u64, Question>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Rc<Answer>,
    expires: Instant,
    used: u64,
    bytes: usize,
}

impl Cache {
    /// The answer to `question`, while it is good.
    pub fn get(&mut self, now: Instant, question: &Question) -> Option<Rc<Answer>> {
        let entry = self.entries.get_mut(question)?;
        if entry.expires <= now {
            self.remove(question);
            return None;
        }
        self.uses += 1;
        let question = self.by_use.remove(&entry.used).expect("every entry is in both tables");
        entry.used = self.uses;
        self.by_use.insert(entry.used, question);
        Some(entry.answer.clone())
    }

    /// Keeps `answer` for its time to live. One that has none, or that would take more than an eighth of
    /// the cache, is not kept.
    pub fn put(&mut self, now: Instant, question: &Question, answer: Rc<Answer>) {
        self.remove(question);
        let bytes = ENTRY_BYTES + question.heap_bytes() + answer.heap_bytes();
        if answer.ttl.is_zero() || bytes > DNS_CACHE_BYTES_MAX / 8 {
            return;
        }
        while self.entries.len() >= DNS_CACHE_ENTRIES_MAX || self.bytes + bytes > DNS_CACHE_BYTES_MAX {
            let oldest = self.by_use.values().next().expect("a full cache has entries").clone();
            self.remove(&oldest);
        }
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, question.clone());
        let entry = Entry { expires: now + answer.ttl, answer, used: self.uses, bytes };
        self.entries.insert(question.clone(), entry);
    }

    pub fn clear(&mut self) {
        *self = Cache::default();
    }

    /// How many answers are kept; at most [`DNS_CACHE_ENTRIES_MAX`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory of all entries; at most [`DNS_CACHE_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.by_use.remove(&entry.used);
            self.bytes -= entry.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{Found, Kind, Name, Record};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn question(name: &str) -> Question {
        Question::new(Name::parse(name).unwrap(), Kind::A)
    }

    fn answer(ttl_s: u64, found: Found) -> Rc<Answer> {
        Rc::new(Answer { found, ttl: Duration::from_secs(ttl_s) })
    }

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    #[test]
    fn an_answer_lives_as_long_as_it_may() {
        let mut cache = Cache::default();
        let found = Found::Records(vec![Record::A(Ipv4Addr::LOCALHOST)]);
        cache.put(at(0), &question("bcd.com"), answer(60, found));
        assert!(cache.get(at(59), &question("BCD.com")).is_some(), "case does not matter");
        assert!(cache.get(at(59), &Question { kind: Kind::Aaaa, ..question("bcd.com") }).is_none());
        assert!(cache.get(at(60), &question("bcd.com")).is_none());
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn absence_is_kept_and_no_time_to_live_is_not() {
        let mut cache = Cache::default();
        cache.put(at(0), &question("no.bcd.com"), answer(5, Found::NxDomain));
        assert_eq!(cache.get(at(4), &question("no.bcd.com")).unwrap().found, Found::NxDomain);
        cache.put(at(4), &question("no.bcd.com"), answer(0, Found::NoData));
        assert!(cache.get(at(4), &question("no.bcd.com")).is_none(), "the older answer is gone as well");
    }

    #[test]
    fn the_least_used_goes_when_the_cache_is_full() {
        let mut cache = Cache::default();
        for i in 0..DNS_CACHE_ENTRIES_MAX {
            cache.put(at(0), &question(&format!("h{i}.com")), answer(60, Found::NoData));
        }
        assert_eq!(cache.len(), DNS_CACHE_ENTRIES_MAX);
        assert!(cache.get(at(1), &question("h0.com")).is_some());
        cache.put(at(1), &question("new.com"), answer(60, Found::NoData));
        assert_eq!(cache.len(), DNS_CACHE_ENTRIES_MAX);
        assert!(cache.get(at(2), &question("h0.com")).is_some(), "just used");
        assert!(cache.get(at(2), &question("h1.com")).is_none(), "the oldest");
    }

    #[test]
    fn large_answers_stay_within_the_bytes() {
        let mut cache = Cache::default();
        let text = |len: usize| Found::Records(vec![Record::Txt(vec![b'x'; len].into())]);
        for i in 0..1000 {
            cache.put(at(0), &question(&format!("h{i}.com")), answer(60, text(20_000)));
            assert!(cache.bytes() <= DNS_CACHE_BYTES_MAX);
        }
        assert!(cache.len() > 20);
        cache.put(at(0), &question("huge.com"), answer(60, text(DNS_CACHE_BYTES_MAX / 8)));
        assert!(cache.get(at(0), &question("huge.com")).is_none());
    }
}
