//! The steps that the clock has made, for what was written down before them. They are kept on flash with the
//! last known time, one small file.
//!
//! ```text
//! 000001790000000              the last known time, seconds since 1970, always fifteen digits
//! 1700000000 1700000060 1790000000    from, until: the wrong clock's readings; then what `until` really was
//! ```

use crate::limits::CLOCK_STEPS_MAX;
use crate::time::WallTime;

/// While the clock showed `from` to `until`, it was really up to `was`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub from: WallTime,
    pub until: WallTime,
    pub was: WallTime,
}

/// All that are known, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<Step>);

impl Steps {
    pub fn add(&mut self, step: Step) {
        self.0.push(step);
        let beyond = self.0.len().saturating_sub(CLOCK_STEPS_MAX);
        self.0.drain(..beyond);
    }

    /// When something happened that was written down as `time`.
    pub fn corrected(&self, time: WallTime) -> WallTime {
        self.0.iter().fold(time, |time, step| step.corrected(time))
    }
}

impl Step {
    pub fn corrected(&self, time: WallTime) -> WallTime {
        if !(self.from..=self.until).contains(&time) {
            return time;
        }
        let before = self.until.since(time).as_millis() as u64;
        WallTime::from_unix_millis(self.was.unix_millis().saturating_sub(before))
    }
}

/// The file's first line, which alone is written over in its place.
pub fn known_line(known: WallTime) -> String {
    format!("{:015}\n", known.unix_seconds())
}

/// The whole file.
pub fn print(known: WallTime, steps: &Steps) -> String {
    let line = |s: &Step| {
        let [from, until, was] = [s.from, s.until, s.was].map(WallTime::unix_seconds);
        format!("{from} {until} {was}\n")
    };
    known_line(known) + &steps.0.iter().map(line).collect::<String>()
}

/// Reads the file; a line that makes no sense is left out.
pub fn parse(text: &str) -> (Option<WallTime>, Steps) {
    let time = |word: &str| word.parse().ok().map(WallTime::from_unix_seconds);
    let mut lines = text.lines();
    let known = lines.next().and_then(time);
    let mut steps = Steps::default();
    for line in lines {
        let words: Vec<WallTime> = line.split(' ').filter_map(time).collect();
        if let [from, until, was] = words[..] {
            steps.add(Step { from, until, was });
        }
    }
    (known, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> WallTime {
        WallTime::from_unix_seconds(s)
    }

    #[test]
    fn what_was_written_before_a_step_is_put_right() {
        let mut steps = Steps::default();
        steps.add(Step { from: at(1000), until: at(1060), was: at(9000) });
        steps.add(Step { from: at(9010), until: at(9020), was: at(5000) });
        for (written, really) in [(999, 999), (1000, 8940), (1060, 9000), (1061, 1061), (9015, 4995)] {
            assert_eq!(steps.corrected(at(written)), at(really), "{written}");
        }
    }

    #[test]
    fn the_file_reads_back_and_survives_nonsense() {
        let mut steps = Steps::default();
        steps.add(Step { from: at(1), until: at(2), was: at(3) });
        let text = print(at(77), &steps);
        assert_eq!(text, "000000000000077\n1 2 3\n");
        assert_eq!(parse(&text), (Some(at(77)), steps));
        assert_eq!(parse("x\n1 2\n\n1 2 3 4\n-1 2 3\n"), (None, Steps::default()));
        assert_eq!(parse(""), (None, Steps::default()));
        let many = "5\n".to_owned() + &"1 2 3\n".repeat(100);
        assert_eq!(parse(&many).1.0.len(), CLOCK_STEPS_MAX);
    }
}
