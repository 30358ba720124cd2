//! What lies in a mailbox, for the console of a box that nobody fetches mail from otherwise: numbered, read and
//! removed. Source: the maildir convention (`new/` and `cur/`). Danger: a number must mean the same message for as
//! long as the daemon runs, or a user would delete another one than he saw.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::limits::{MAILBOX_LISTED_MAX, MAILBOX_READ_BYTES_MAX};
use crate::os::maildir::{listed, sync_dir};
use crate::relay::Stock;
use crate::time::WallTime;

/// A message that lies in a mailbox.
#[derive(Clone, Debug)]
pub struct Letter {
    pub number: u64,
    pub file: PathBuf,
    pub bytes: u64,
    pub arrived: WallTime,
}

/// What a look into a mailbox showed, and so what its user means by all of it: nothing that comes later.
#[derive(Debug)]
pub struct Look {
    numbers: HashSet<u64>,
    /// Where more lay there than are listed: those are not newer than this.
    older: Option<WallTime>,
}

impl Look {
    pub fn of(letters: &[Letter]) -> Self {
        let numbers = letters.iter().map(|letter| letter.number).collect();
        let older =
            letters.first().filter(|_| letters.len() >= MAILBOX_LISTED_MAX).map(|oldest| oldest.arrived);
        Look { numbers, older }
    }

    /// Whether it was there.
    pub fn means(&self, letter: &Letter) -> bool {
        self.numbers.contains(&letter.number) || self.older.is_some_and(|until| letter.arrived <= until)
    }
}

/// The numbers that were given to the messages of each mailbox.
#[derive(Debug, Default)]
pub struct Numbers(HashMap<PathBuf, Given>);

#[derive(Debug, Default)]
struct Given {
    last: u64,
    /// By file name without its flags, which change when somebody reads the message.
    numbers: HashMap<String, u64>,
}

/// The files of a mailbox, each with its time and size.
fn files(mailbox: &Path) -> io::Result<impl Iterator<Item = (SystemTime, PathBuf, u64)>> {
    let entries = listed(&mailbox.join("new"))?.into_iter().chain(listed(&mailbox.join("cur"))?);
    Ok(entries.filter_map(|entry| {
        // One that has gone meanwhile is not there any more.
        let meta = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path(), meta.len()))
    }))
}

/// How much lies in a mailbox; nothing where there is none.
///
/// # Errors
/// Those of listing its folders.
pub fn measure(mailbox: &Path) -> io::Result<Stock> {
    let mut stock = Stock::default();
    files(mailbox)?.for_each(|(_, _, bytes)| stock.add(bytes));
    Ok(stock)
}

/// The first bytes of a message.
///
/// # Errors
/// Those of reading it; it may have gone.
pub fn read_head(file: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(bytes_max.min(MAILBOX_READ_BYTES_MAX) as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes messages, durably, up to the first error that the file system gives; gives those that it removed, and
/// whether that is all.
pub fn remove(mailbox: &Path, letters: Vec<Letter>) -> (Vec<Letter>, io::Result<()>) {
    let (mut removed, mut result) = (Vec::new(), Ok(()));
    for letter in letters {
        match fs::remove_file(&letter.file) {
            Ok(()) => removed.push(letter),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let synced = ["new", "cur"].iter().try_for_each(|folder| sync_dir(&mailbox.join(folder)));
    (removed, result.and(synced))
}

impl Numbers {
    /// The newest messages of a mailbox, at most `MAILBOX_LISTED_MAX`, the oldest of them first.
    ///
    /// # Errors
    /// Those of listing its folders.
    pub fn list(&mut self, mailbox: &Path) -> io::Result<Vec<Letter>> {
        let mut newest = BTreeSet::new();
        for file in files(mailbox)? {
            newest.insert(file);
            if newest.len() > MAILBOX_LISTED_MAX {
                newest.pop_first();
            }
        }
        let given = self.0.entry(mailbox.to_owned()).or_default();
        let names: HashSet<String> = newest.iter().map(|(_, file, _)| base_name(file)).collect();
        given.numbers.retain(|name, _| names.contains(name));
        Ok(newest.into_iter().map(|(time, file, bytes)| given.letter(time, file, bytes)).collect())
    }
}

impl Given {
    fn letter(&mut self, time: SystemTime, file: PathBuf, bytes: u64) -> Letter {
        let last = &mut self.last;
        let number = *self.numbers.entry(base_name(&file)).or_insert_with(|| {
            *last += 1;
            *last
        });
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let arrived = WallTime::from_unix_seconds(since.as_secs());
        Letter { number, file, bytes, arrived }
    }
}

fn base_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.split(":2,").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scratch::Scratch;
    use std::time::Duration;

    impl Scratch {
        fn mailbox(name: &str) -> Self {
            let scratch = Scratch::new(&format!("letters-{name}"));
            ["new", "cur", "tmp"].iter().for_each(|f| fs::create_dir_all(scratch.0.join(f)).unwrap());
            scratch
        }

        /// A message that came so many seconds after the first.
        fn put(&self, name: &str, seconds: u64, text: &str) {
            let path = self.0.join("new").join(name);
            fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
            File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
        }

        fn listed(&self, numbers: &mut Numbers) -> Vec<(u64, String)> {
            let listed = numbers.list(&self.0).unwrap();
            listed.into_iter().map(|letter| (letter.number, base_name(&letter.file))).collect()
        }
    }

    fn named(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
        pairs.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
    }

    #[test]
    fn a_number_stays_with_its_message() {
        let (dir, mut numbers) = (Scratch::mailbox("numbers"), Numbers::default());
        dir.put("c", 1, "x");
        dir.put("a", 2, "x");
        dir.put("b", 3, "x");
        assert_eq!(dir.listed(&mut numbers), named(&[(1, "c"), (2, "a"), (3, "b")]));
        // Somebody reads one, another goes, one comes.
        fs::rename(dir.0.join("new/a"), dir.0.join("cur/a:2,S")).unwrap();
        fs::remove_file(dir.0.join("new/c")).unwrap();
        dir.put("d", 4, "x");
        assert_eq!(dir.listed(&mut numbers), named(&[(2, "a"), (3, "b"), (4, "d")]));
        fs::remove_file(dir.0.join("new/d")).unwrap();
        dir.put("e", 5, "x");
        assert_eq!(dir.listed(&mut numbers), named(&[(2, "a"), (3, "b"), (5, "e")]), "4 is not given again");
    }

    #[test]
    fn what_is_taken_out_is_gone_and_what_lies_there_is_measured() {
        let (dir, mut numbers) = (Scratch::mailbox("measure"), Numbers::default());
        assert_eq!(measure(&dir.0.join("nobody")).unwrap(), Stock::default());
        dir.put("a", 1, "x");
        dir.put("b", 2, &"y".repeat(5000));
        fs::write(dir.0.join("tmp/half"), "z").unwrap();
        assert_eq!(measure(&dir.0).unwrap(), Stock { messages: 2, bytes: 3 * 4096 });
        let letters = numbers.list(&dir.0).unwrap();
        assert_eq!(read_head(&letters[1].file, 3).unwrap(), b"yyy");
        assert_eq!((letters[0].bytes, letters[0].arrived.unix_seconds()), (1, 1_000_001));
        fs::remove_file(&letters[0].file).unwrap();
        let (removed, result) = remove(&dir.0, letters);
        result.unwrap();
        assert_eq!(removed.iter().map(|l| l.number).collect::<Vec<_>>(), [2], "the first had gone before");
        assert_eq!(measure(&dir.0).unwrap(), Stock::default());
    }

    #[test]
    fn what_was_removed_before_an_error_is_told() {
        let (dir, mut numbers) = (Scratch::mailbox("error"), Numbers::default());
        ["a", "b", "c"].iter().zip(1..).for_each(|(name, at)| dir.put(name, at, "x"));
        let letters = numbers.list(&dir.0).unwrap();
        // No file any more: it cannot be removed as one.
        fs::remove_file(dir.0.join("new/b")).unwrap();
        fs::create_dir(dir.0.join("new/b")).unwrap();
        let (removed, result) = remove(&dir.0, letters);
        assert_eq!(removed.iter().map(|l| l.number).collect::<Vec<_>>(), [1]);
        result.unwrap_err();
        assert_eq!(dir.listed(&mut numbers), named(&[(3, "c")]));
    }

    #[test]
    fn a_look_means_what_was_there_and_nothing_that_comes_later() {
        let (dir, mut numbers) = (Scratch::mailbox("look"), Numbers::default());
        dir.put("a", 1, "x");
        dir.put("b", 2, "x");
        let look = Look::of(&numbers.list(&dir.0).unwrap());
        // One is read meanwhile; one comes in the same second, another by a clock that was put back.
        fs::rename(dir.0.join("new/a"), dir.0.join("cur/a:2,S")).unwrap();
        dir.put("c", 2, "x");
        dir.put("d", 0, "x");
        let mut meant = numbers.list(&dir.0).unwrap();
        meant.retain(|letter| look.means(letter));
        assert_eq!(meant.iter().map(|l| base_name(&l.file)).collect::<Vec<_>>(), ["a", "b"]);
        // Where not all are listed, those that are older are meant too.
        (0..MAILBOX_LISTED_MAX as u64).for_each(|n| dir.put(&format!("m{n}"), 10 + n, ""));
        let letters = numbers.list(&dir.0).unwrap();
        let look = Look::of(&letters);
        remove(&dir.0, letters).1.unwrap();
        dir.put("late", 5000, "x");
        let mut meant = numbers.list(&dir.0).unwrap();
        meant.retain(|letter| look.means(letter));
        assert_eq!(meant.iter().map(|l| base_name(&l.file)).collect::<Vec<_>>(), ["d", "a", "b", "c"]);
    }

    #[test]
    fn no_more_than_the_newest_are_listed() {
        let (dir, mut numbers) = (Scratch::mailbox("newest"), Numbers::default());
        for n in 0..MAILBOX_LISTED_MAX as u64 + 2 {
            dir.put(&format!("m{n}"), n, "");
        }
        let listed = dir.listed(&mut numbers);
        assert_eq!((listed.len(), listed[0].1.as_str()), (MAILBOX_LISTED_MAX, "m2"));
    }
}
