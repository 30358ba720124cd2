//! Posts that come and go with the configuration. The post of a domain that has gone sends nothing more; it
//! is closed when what it had under way has ended, and its mail stays in its spool until the domain returns.
//! Danger: a log that is closed with records still unwritten would bring back mail that has left.

use std::rc::Rc;

use crate::config::Config;
use crate::mail::Domain;
use crate::relay::office::{Office, Post};
use crate::relay::queue::Want;
use crate::time::Now;

impl Office {
    /// Takes a changed configuration. New domains get their post by [`Office::open`]; those that have gone
    /// lose it by [`Office::close_gone`].
    pub fn configure(&mut self, config: Rc<Config>) {
        for (name, post) in self.posts.iter_mut() {
            post.serves = config.domain(name).is_some();
        }
        let ours = config.addresses();
        self.pending.retain(|ip, _| ours.iter().any(|a| a.ip == *ip));
        self.config = config;
        self.dispatch.forgive(None);
    }

    /// A password may have changed: what a smarthost did not admit is tried again.
    pub fn try_logins(&mut self, now: Now) {
        self.posts.iter_mut().for_each(|(_, post)| post.queue.is_there(now.mono, Want::Login));
    }

    /// The roads on which nothing goes because a smarthost does not admit us, in words for the operator.
    pub fn locked_roads(&self) -> impl Iterator<Item = String> {
        self.dispatch.locked().map(|(key, answer)| {
            let what = answer.reply.text();
            format!(
                "{}: mail to {} waits, nothing bounces: {what}; set the right password, or `queue retry {}`",
                key.sender, key.hop, key.sender
            )
        })
    }

    /// What a domain's spool may take from now on.
    pub fn set_quota(&mut self, name: &Domain, bytes: u64) {
        if let Some(post) = self.posts.get_mut(name) {
            post.log.set_quota(bytes);
        }
    }

    /// Whether a post waits to be closed.
    pub fn is_closing(&self) -> bool {
        self.posts.iter().any(|(_, post)| !post.serves)
    }

    /// Closes the posts of domains that have gone and are at rest; gives their names.
    pub fn close_gone(&mut self) -> Vec<Domain> {
        let at_rest = self.posts.iter().filter(|(_, post)| !post.serves && post.is_at_rest());
        let gone: Vec<Domain> = at_rest.map(|(name, _)| name.clone()).collect();
        for name in &gone {
            if let Some(post) = self.posts.remove(name) {
                self.resident_bytes -= post.fresh.values().map(|f| f.content.resident()).sum::<usize>();
            }
        }
        gone
    }
}

impl Post {
    /// Nothing is being sent, and everything that was said is on flash.
    fn is_at_rest(&self) -> bool {
        self.active.is_empty() && self.tickets.is_empty() && self.log.is_at_rest()
    }
}
