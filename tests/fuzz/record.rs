//! A spool as it may be found: segments of whole records, damaged ones and anything else. It opens, twice
//! the same, what it lists can be read, and it takes and keeps another message.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use stagepost::mail::{Address, Envelope, QueueId, ReversePath};
use stagepost::spool::inspect::{Inspection, import};
use stagepost::spool::{Bounds, DomainLog, FileName, Flash, FlashError, Listed, Meta};
use stagepost::time::{Instant, WallTime};

const NONCE: u64 = 0x0123_4567_89ab_cdef;
/// A message that nothing found can be.
const OURS: u64 = 1 << 49;

/// A list of records: kind, id, detail, flaw, two bytes of length, payload. Kind 0xff begins a new segment,
/// 0xfe puts the payload down as it is.
pub fn record(data: &[u8]) {
    let flash = Memory::default();
    for (sequence, bytes) in segments(data).into_iter().enumerate() {
        let name = FileName::Segment { sequence: sequence as u32 + 1, nonce: NONCE + 2 * sequence as u64 };
        flash.files.lock().expect("no panic").insert(name, bytes);
    }
    let before = flash.files.lock().expect("no panic").clone();
    inspect(&flash);
    assert_eq!(before, *flash.files.lock().expect("no panic"), "looking changes nothing");
    let bounds = Bounds::for_quota(8 << 20, 11);
    let (_, first) = DomainLog::recover(&flash, bounds);
    let (mut log, second) = DomainLog::recover(&flash, bounds);
    assert_eq!(first.messages, second.messages, "opened twice");
    let readable: Vec<_> = second.messages.iter().filter(|m| log.load(&flash, m.id).is_ok()).collect();
    let id = QueueId::from_u64(OURS).expect("an id");
    log.put(id, &meta(), b"Subject: a\r\n\r\n", b"b\r\n").expect("there is room for one more");
    for _ in 0..50 {
        let later = Instant::ORIGIN + Duration::from_secs(3600);
        let Some(batch) = log.take_batch(&flash, later) else { break };
        log.batch_finished(batch.run(&flash));
    }
    let (log, third) = DomainLog::recover(&flash, bounds);
    assert!(log.load(&flash, id).is_ok(), "the message that was stored");
    for message in readable {
        assert!(log.load(&flash, message.id).is_ok(), "{} was there before", message.id);
        assert!(third.messages.iter().any(|m| m.id == message.id));
    }
}

fn inspect(flash: &Memory) {
    let inspection = Inspection::new(flash);
    assert!(!inspection.list().contains('\r'));
    let verdict = inspection.verify();
    assert!(!verdict.report.contains('\r'));
    for id in inspection.ids() {
        let (cat, exported) = (inspection.cat(id), inspection.export(id));
        assert_eq!(cat.is_ok(), exported.is_ok());
        if let Ok(exported) = exported {
            let (mut log, _) = DomainLog::recover(&Memory::default(), Bounds::for_quota(8 << 20, 11));
            // It may be refused, with words, when all is settled or the head has no end.
            let _told = import(&mut log, id, &exported.eml, &exported.envelope);
        }
    }
}

fn meta() -> Meta {
    let address = |text| Address::parse(text).expect("an address");
    let sender = ReversePath::Address(address("b1@bcd.com"));
    Meta {
        received: WallTime::from_unix_seconds(1_000_000),
        origin: "test".to_owned(),
        authored: true,
        envelope: Envelope::plain(sender, [address("x1@xyz.com")]),
    }
}

/// Writes what the list says, by the layout that `src/spool/mod.rs` draws.
fn segments(mut list: &[u8]) -> Vec<Vec<u8>> {
    let mut segments = vec![Vec::new()];
    while let Some(([kind, id, detail, flaw, high, low], rest)) = list.split_first_chunk::<6>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        list = rest;
        let nonce = NONCE + 2 * (segments.len() as u64 - 1);
        if *kind == 0xff && segments.len() < 4 {
            segments.push(Vec::new());
        }
        let segment = segments.last_mut().expect("one at least");
        if *kind >= 0xfe {
            segment.extend_from_slice(payload);
        } else {
            segment.extend(whole(*kind, *id, *detail, nonce, payload, *flaw));
        }
    }
    segments
}

fn whole(kind: u8, id: u8, detail: u8, nonce: u64, payload: &[u8], flaw: u8) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(nonce.to_le_bytes());
    bytes.extend(u64::from(id).to_le_bytes());
    bytes.extend(u32::from(detail).to_le_bytes());
    bytes.extend([kind, 1, b'S', b'p']);
    bytes.extend(payload);
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let at = usize::from(flaw >> 2) % bytes.len();
    match flaw & 3 {
        1 => bytes[at] ^= 0x40,
        2 => bytes.truncate(at),
        3 => bytes.resize(bytes.len().next_multiple_of(4096), 0),
        _ => {}
    }
    bytes
}

/// A medium that keeps what it is given.
#[derive(Default)]
struct Memory {
    files: Mutex<BTreeMap<FileName, Vec<u8>>>,
}

impl Memory {
    fn with<T>(&self, name: FileName, act: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, FlashError> {
        self.files.lock().expect("no panic").get_mut(&name).map(act).ok_or(FlashError::Missing)
    }
}

impl Flash for Memory {
    fn list(&self) -> Result<Vec<Listed>, FlashError> {
        let files = self.files.lock().expect("no panic");
        Ok(files.iter().map(|(name, bytes)| Listed { name: *name, bytes: bytes.len() as u64 }).collect())
    }

    fn create(&self, name: FileName, bytes: u32) -> Result<(), FlashError> {
        self.files.lock().expect("no panic").insert(name, vec![0; bytes as usize]);
        Ok(())
    }

    fn read(&self, name: FileName, offset: u32, buf: &mut [u8]) -> Result<usize, FlashError> {
        self.with(name, |file| {
            let rest = file.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            count
        })
    }

    fn write(&self, name: FileName, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.with(name, |file| {
            let end = offset as usize + bytes.len();
            file.resize(file.len().max(end), 0);
            file[offset as usize..end].copy_from_slice(bytes);
        })
    }

    fn sync(&self, name: FileName) -> Result<(), FlashError> {
        self.with(name, |_| ())
    }

    fn sync_dir(&self) -> Result<(), FlashError> {
        Ok(())
    }

    fn rename(&self, from: FileName, to: FileName) -> Result<(), FlashError> {
        let mut files = self.files.lock().expect("no panic");
        let bytes = files.remove(&from).ok_or(FlashError::Missing)?;
        files.insert(to, bytes);
        Ok(())
    }

    fn remove(&self, name: FileName) -> Result<(), FlashError> {
        self.files.lock().expect("no panic").remove(&name);
        Ok(())
    }

    fn keep_damaged(&self, _: &str, _: &[u8]) -> Result<(), FlashError> {
        Ok(())
    }

    fn damaged(&self) -> Result<Vec<String>, FlashError> {
        Ok(Vec::new())
    }
}
