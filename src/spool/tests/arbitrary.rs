//! Arbitrary bytes, given to everything that reads flash: no panic, no endless walk, no record from nothing.

use proptest::prelude::*;

use super::support::*;
use crate::spool::commit::Commit;
use crate::spool::meta::Meta;
use crate::spool::record::{self, Found, Kind, Walk};
use crate::spool::state::State;
use crate::time::WallTime;

/// Walks to the end: what is found lies in order and within the bytes.
fn walk(bytes: &[u8], nonce: u64) -> usize {
    let mut end = 0;
    let mut records = 0;
    for found in Walk::new(bytes, nonce) {
        let range = match found {
            Found::Record { offset, record } => {
                records += 1;
                offset..offset + 32 + record.payload.len()
            }
            Found::Damage { range, .. } => range,
        };
        assert!(
            range.start >= end && range.start < range.end && range.end <= bytes.len(),
            "{range:?} after {end}"
        );
        end = range.end;
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_hold_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..6000), nonce: u64) {
        prop_assert_eq!(walk(&bytes, nonce), 0);
    }

    #[test]
    fn bytes_full_of_nonces_are_walked_to_their_end(
        words in proptest::collection::vec(prop_oneof![Just(7u64), Just(0), any::<u64>()], 0..2000),
    ) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        walk(&bytes, 7);
    }

    #[test]
    fn changed_records_are_told_from_whole_ones(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            record::append(&mut bytes, 99, Kind::Data, id(n as u64), 0, &[payload]);
        }
        let whole = bytes.clone();
        for (at, value) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        let hit = bytes.iter().zip(&whole).filter(|(a, b)| a != b).count();
        prop_assert!(walk(&bytes, 99) + hit >= payloads.len());
    }

    #[test]
    fn payloads_of_any_content_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Commit::decode(&bytes);
        let _ = Meta::decode(WallTime::default(), &bytes);
        let _ = State::decode(&bytes);
    }
}
