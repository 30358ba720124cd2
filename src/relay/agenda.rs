//! All posts, and when each of them wants something: to try its next message, to write its log. What happens
//! at one post costs the same however many others there are, for nobody goes round asking.
//! Danger: a post that changed unseen would sleep for ever. So nobody gets hold of one to change it but
//! through [`Posts::get_mut`] or [`Posts::iter_mut`], which remember to look at it again.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::Domain;
use crate::relay::office::Post;
use crate::time::Instant;

/// The posts by name.
#[derive(Default)]
pub(super) struct Posts {
    all: BTreeMap<Domain, Kept>,
    /// Posts that may have changed since they were last looked at, each once.
    touched: Vec<Domain>,
    agenda: Agenda,
}

struct Kept {
    post: Post,
    /// What the agenda has of it.
    wish: Wish,
    touched: bool,
}

/// What a post wants, as far as it can tell without the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wish {
    /// When its next message is due, if it may try one more.
    due: Option<Instant>,
    /// The same, if it may do so though memory is full.
    due_crowded: Option<Instant>,
    /// When its log wants to be written.
    write: Option<Instant>,
    /// Commits that wait for that.
    commits: usize,
}

/// All wishes, in order of time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Agenda {
    due: BTreeSet<(Instant, Domain)>,
    due_crowded: BTreeSet<(Instant, Domain)>,
    write: BTreeSet<(Instant, Domain)>,
    commits: usize,
}

impl Posts {
    pub fn get(&self, name: &Domain) -> Option<&Post> {
        self.all.get(name).map(|kept| &kept.post)
    }

    pub fn get_mut(&mut self, name: &Domain) -> Option<&mut Post> {
        let kept = self.all.get_mut(name)?;
        Some(kept.touch(name, &mut self.touched))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Domain, &Post)> {
        self.all.iter().map(|(name, kept)| (name, &kept.post))
    }

    /// Every post, of which each counts as changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Domain, &mut Post)> {
        let touched = &mut self.touched;
        self.all.iter_mut().map(|(name, kept)| (name, kept.touch(name, touched)))
    }

    pub fn insert(&mut self, name: Domain, post: Post) {
        self.remove(&name);
        self.touched.push(name.clone());
        self.all.insert(name, Kept { post, wish: Wish::default(), touched: true });
    }

    pub fn remove(&mut self, name: &Domain) -> Option<Post> {
        let kept = self.all.remove(name)?;
        self.touched.retain(|other| other != name);
        self.agenda.strike(name, kept.wish);
        Some(kept.post)
    }

    /// When the next message is due that may be tried; in `crowded` memory that is not each.
    pub fn next_due(&mut self, crowded: bool) -> Option<Instant> {
        first(self.look().due(crowded))
    }

    /// The posts of which a message is due at `now` and may be tried, by name.
    pub fn due(&mut self, now: Instant, crowded: bool) -> Vec<Domain> {
        until(self.look().due(crowded), now)
    }

    /// When a log wants to be written next.
    pub fn next_write(&mut self) -> Option<Instant> {
        first(&self.look().write)
    }

    /// The posts of which the log wants to be written at `now`, by name.
    pub fn writes_due(&mut self, now: Instant) -> Vec<Domain> {
        until(&self.look().write, now)
    }

    /// Commits that wait to be written.
    pub fn commits(&mut self) -> usize {
        self.look().commits
    }

    /// The agenda, with what the posts that were touched want now.
    fn look(&mut self) -> &Agenda {
        for name in self.touched.drain(..) {
            let Some(kept) = self.all.get_mut(&name) else { continue };
            kept.touched = false;
            let wish = Wish::of(&kept.post);
            if wish != kept.wish {
                self.agenda.strike(&name, kept.wish);
                self.agenda.enter(&name, wish);
                kept.wish = wish;
            }
        }
        debug_assert_eq!(self.agenda, self.asked(), "the agenda is not what the posts want");
        &self.agenda
    }

    /// The agenda as it must be, from every post.
    fn asked(&self) -> Agenda {
        let mut agenda = Agenda::default();
        self.iter().for_each(|(name, post)| agenda.enter(name, Wish::of(post)));
        agenda
    }
}

impl Kept {
    fn touch(&mut self, name: &Domain, touched: &mut Vec<Domain>) -> &mut Post {
        if !self.touched {
            self.touched = true;
            touched.push(name.clone());
        }
        &mut self.post
    }
}

impl Wish {
    fn of(post: &Post) -> Self {
        let due = |crowded| post.queue.next_due().filter(|_| post.has_room(crowded));
        Wish { due: due(false), due_crowded: due(true), write: post.flush_due(), commits: post.log.waiting() }
    }
}

impl Agenda {
    fn due(&self, crowded: bool) -> &BTreeSet<(Instant, Domain)> {
        if crowded { &self.due_crowded } else { &self.due }
    }

    fn enter(&mut self, name: &Domain, wish: Wish) {
        self.each_time(wish, |list, at| list.insert((at, name.clone())));
        self.commits += wish.commits;
    }

    fn strike(&mut self, name: &Domain, wish: Wish) {
        self.each_time(wish, |list, at| list.remove(&(at, name.clone())));
        self.commits -= wish.commits;
    }

    fn each_time(&mut self, wish: Wish, change: impl Fn(&mut BTreeSet<(Instant, Domain)>, Instant) -> bool) {
        let lists = [
            (&mut self.due, wish.due),
            (&mut self.due_crowded, wish.due_crowded),
            (&mut self.write, wish.write),
        ];
        for (list, at) in lists {
            at.map(|at| change(list, at));
        }
    }
}

fn first(list: &BTreeSet<(Instant, Domain)>) -> Option<Instant> {
    list.first().map(|(at, _)| *at)
}

/// Whose time has come at `now`, by name.
fn until(list: &BTreeSet<(Instant, Domain)>, now: Instant) -> Vec<Domain> {
    let ripe = list.iter().take_while(|(at, _)| *at <= now);
    let mut names: Vec<Domain> = ripe.map(|(_, name)| name.clone()).collect();
    names.sort_unstable();
    names
}
