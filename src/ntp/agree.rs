//! Which servers tell the truth: the largest set whose statements can all be true at once. Source: Marzullo's
//! algorithm as RFC 5905 §11.2.1 has it.
//! Danger: of two servers that contradict one another neither is believed, and one alone only if it is the
//! only one that was asked.

use crate::limits::NTP_SLACK_MS;
use crate::ntp::{Nanos, Sample};

/// A majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// What is to be added to our clock: the word of the best of them.
    pub offset: Nanos,
    pub distance: Nanos,
    /// Their places among the samples.
    pub members: Vec<usize>,
}

/// The majority among the servers that gave a sample, of `asked` that were asked. The error says why there is
/// none.
pub fn agree(samples: &[Sample], asked: usize) -> Result<Agreement, String> {
    let range = |s: &Sample| {
        let slack = s.distance.saturating_add(NTP_SLACK_MS * 1_000_000);
        s.offset.saturating_sub(slack)..=s.offset.saturating_add(slack)
    };
    let around = |at: Nanos| -> Vec<usize> {
        (0..samples.len()).filter(|place| range(&samples[*place]).contains(&at)).collect()
    };
    let sets = samples.iter().map(|s| around(*range(s).start()));
    let Some(members) = sets.max_by_key(Vec::len) else {
        return Err(if asked == 0 { "no time server is known" } else { "no time server answers" }.to_owned());
    };
    if members.len() < 2 && asked > 1 && samples.len() < 2 {
        return Err(format!("only one of {asked} time servers answers, and two must agree"));
    }
    if members.len() * 2 <= samples.len() {
        return Err(format!("the {} time servers that answer contradict one another", samples.len()));
    }
    let best = members.iter().map(|place| samples[*place]).min_by_key(|s| s.distance);
    let best = best.expect("a set has its own first member");
    Ok(Agreement { offset: best.offset, distance: best.distance, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `offset±distance` in milliseconds.
    fn told(samples: &[(i64, i64)], asked: usize) -> Result<(i64, Vec<usize>), String> {
        let ms = 1_000_000;
        let samples: Vec<Sample> =
            samples.iter().map(|&(o, d)| Sample { offset: o * ms, distance: d * ms, stratum: 2 }).collect();
        agree(&samples, asked).map(|found| (found.offset / ms, found.members))
    }

    #[test]
    fn a_majority_is_believed() {
        for (caption, samples, asked, wanted) in [
            ("all agree, the nearest speaks", &[(10, 50), (12, 5), (9, 80)][..], 3, Ok((12, vec![0, 1, 2]))),
            ("a liar is outvoted", &[(10, 5), (90_000, 1), (12, 8)], 3, Ok((10, vec![0, 2]))),
            ("a liar alone against one", &[(10, 5), (90_000, 1)], 2, Err("contradict one another")),
            ("two pairs of liars", &[(0, 5), (1, 5), (900, 5), (901, 5)], 4, Err("contradict one another")),
            ("all different", &[(0, 5), (500, 5), (900, 5)], 3, Err("contradict one another")),
            ("one alone, asked alone", &[(7, 5)], 1, Ok((7, vec![0]))),
            ("one alone of three", &[(7, 5)], 3, Err("only one of 3")),
            ("two of three", &[(7, 5), (8, 6)], 3, Ok((7, vec![0, 1]))),
            ("silence", &[], 3, Err("no time server answers")),
            ("nobody to ask", &[], 0, Err("no time server is known")),
        ] {
            match (told(samples, asked), wanted) {
                (Err(why), Err(part)) => assert!(why.contains(part), "{caption}: {why}"),
                (got, wanted) => assert_eq!(got, wanted.map_err(str::to_owned), "{caption}"),
            }
        }
    }

    #[test]
    fn statements_at_the_edge_of_numbers_do_no_harm() {
        let extreme = |offset| Sample { offset, distance: Nanos::MAX, stratum: 1 };
        assert!(agree(&[extreme(Nanos::MAX), extreme(Nanos::MIN)], 2).is_err());
        assert_eq!(agree(&[extreme(Nanos::MAX), extreme(1)], 2).unwrap().members, [0, 1]);
    }
}
