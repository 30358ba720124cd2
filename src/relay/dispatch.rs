//! Which connections to open, and who gets which message (Figure 6). A lane is one identity's road to one
//! next hop, and its key *begins with the identity*: a connection of one domain can never carry another
//! domain's mail. Lanes take turns, so that no domain and no slow host starves the rest.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::config::Terms;
use crate::limits::{LANE_CONNECTIONS_MAX, LANE_CONNECTIONS_START};
use crate::mail::{Domain, QueueId};
use crate::relay::judge::{Answer, Attempt};
use crate::relay::route::NextHop;
use crate::time::Instant;

/// The key of a lane and of every pooled connection: who speaks, then to whom, and on what terms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey {
    pub sender: Domain,
    pub hop: NextHop,
    pub terms: Terms,
}

/// A message of the lane's sender, for those of its recipients (by their place in the envelope) that this
/// lane reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: QueueId,
    pub recipients: Vec<usize>,
}

#[derive(Debug)]
struct Lane {
    jobs: VecDeque<Job>,
    connections: usize,
    /// Of these, the ones that have no job: still connecting, or idle.
    free: usize,
    /// Connections that this lane may have: it grows with success and falls to one with failure.
    window: usize,
    /// Whether the lane stands in `ready` or `parked`.
    listed: bool,
    down: Option<(Instant, Attempt)>,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            jobs: VecDeque::new(),
            connections: 0,
            free: 0,
            window: LANE_CONNECTIONS_START,
            listed: false,
            down: None,
        }
    }
}

impl Lane {
    fn wants_connection(&self) -> bool {
        self.jobs.len() > self.free && self.connections < self.window
    }

    fn is_idle(&self, now: Instant) -> bool {
        let down = self.down.as_ref().is_some_and(|(until, _)| *until > now);
        self.jobs.is_empty() && self.connections == 0 && !down
    }
}

/// All lanes of the box.
#[derive(Debug, Default)]
pub struct Dispatch {
    lanes: BTreeMap<LaneKey, Lane>,
    /// Lanes that want a connection, in turn.
    ready: VecDeque<LaneKey>,
    /// The same, of domains that have all the connections they may have.
    parked: HashMap<Domain, VecDeque<LaneKey>>,
    connections: HashMap<Domain, usize>,
    total: usize,
}

impl Dispatch {
    /// Gives a job to its lane. A lane whose host just failed gives it back with what the host's failure was.
    pub fn add(&mut self, key: &LaneKey, job: Job, now: Instant) -> Result<(), (Job, Attempt)> {
        let lane = self.lanes.entry(key.clone()).or_default();
        match &lane.down {
            Some((until, why)) if *until > now => return Err((job, why.clone())),
            _ => lane.down = None,
        }
        lane.jobs.push_back(job);
        self.list(key);
        Ok(())
    }

    /// The next lane to connect, while there are fewer connections than `total_max`, and `connections_max` tells each
    /// domain's bound. The caller opens the connection and ends it with [`Dispatch::closed`].
    pub fn open_next(
        &mut self,
        total_max: usize,
        connections_max: impl Fn(&Domain) -> usize,
    ) -> Option<LaneKey> {
        while self.total < total_max {
            let key = self.ready.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.listed = false;
            if !lane.wants_connection() {
                continue;
            }
            let open = self.connections.entry(key.sender.clone()).or_default();
            if *open >= connections_max(&key.sender) {
                lane.listed = true;
                self.parked.entry(key.sender.clone()).or_default().push_back(key);
                continue;
            }
            *open += 1;
            self.total += 1;
            lane.connections += 1;
            lane.free += 1;
            self.list(&key);
            return Some(key);
        }
        None
    }

    /// The next job for a connection of this lane, which had none (`was_free`) or has just done one.
    pub fn take(&mut self, key: &LaneKey, was_free: bool) -> Option<Job> {
        let lane = self.lanes.get_mut(key)?;
        let job = lane.jobs.pop_front();
        match (was_free, job.is_some()) {
            (true, true) => lane.free -= 1,
            (false, false) => lane.free += 1,
            _ => {}
        }
        job
    }

    /// Whether a lane has jobs that no connection has taken.
    pub fn has_jobs(&self, key: &LaneKey) -> bool {
        self.lanes.get(key).is_some_and(|lane| !lane.jobs.is_empty())
    }

    /// A connection of this lane has carried a message: the host is well.
    pub fn succeeded(&mut self, key: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.window = (lane.window + 1).min(LANE_CONNECTIONS_MAX);
            self.list(key);
        }
    }

    /// The host cannot be reached: its waiting jobs come back, and until `until` new ones do at once.
    pub fn failed(&mut self, key: &LaneKey, until: Instant, why: Attempt) -> Vec<Job> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        lane.window = 1;
        lane.down = Some((until, why));
        lane.jobs.drain(..).collect()
    }

    /// Forgets that hosts failed: of one sender, or of all.
    pub fn forgive(&mut self, sender: Option<&Domain>) {
        for (key, lane) in &mut self.lanes {
            if sender.is_none_or(|s| *s == key.sender) {
                lane.down = None;
            }
        }
    }

    /// A connection that [`Dispatch::open_next`] asked for has ended, without a job in hand (`was_free`) or with one.
    pub fn closed(&mut self, key: &LaneKey, was_free: bool, now: Instant) {
        self.total -= 1;
        if let Some(open) = self.connections.get_mut(&key.sender) {
            *open -= 1;
            if *open == 0 {
                self.connections.remove(&key.sender);
            }
        }
        if let Some(waiting) = self.parked.remove(&key.sender) {
            self.ready.extend(waiting);
        }
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.connections -= 1;
        lane.free -= usize::from(was_free);
        if lane.is_idle(now) && !lane.listed {
            self.lanes.remove(key);
        } else {
            self.list(key);
        }
    }

    /// Lanes whose host does not admit us, and what it said.
    pub fn locked(&self) -> impl Iterator<Item = (&LaneKey, &Answer)> {
        self.lanes.iter().filter_map(|(key, lane)| match &lane.down {
            Some((_, Attempt::NotAdmitted(answer))) => Some((key, answer)),
            _ => None,
        })
    }

    /// Drops lanes that have nothing to do and nothing to remember.
    pub fn sweep(&mut self, now: Instant) {
        self.lanes.retain(|_, lane| lane.listed || !lane.is_idle(now));
    }

    /// Open connections of all domains.
    pub fn connections(&self) -> usize {
        self.total
    }

    fn list(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        if lane.wants_connection() && !lane.listed {
            lane.listed = true;
            self.ready.push_back(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Enhanced;
    use std::time::Duration;

    fn key(sender: &str, to: &str) -> LaneKey {
        LaneKey {
            sender: Domain::parse(sender).unwrap(),
            hop: NextHop::Mx(Domain::parse(to).unwrap()),
            terms: Terms::default(),
        }
    }

    fn add(dispatch: &mut Dispatch, key: &LaneKey, jobs: std::ops::Range<u64>) {
        for n in jobs {
            let job = Job { id: QueueId::from_u64(n).unwrap(), recipients: vec![0] };
            dispatch.add(key, job, Instant::ORIGIN).unwrap();
        }
    }

    fn open_all(dispatch: &mut Dispatch, max: usize) -> Vec<LaneKey> {
        std::iter::from_fn(|| dispatch.open_next(200, |_| max)).collect()
    }

    #[test]
    fn domains_take_turns_and_never_share_a_lane() {
        let mut dispatch = Dispatch::default();
        let (b, c) = (key("bcd.com", "xyz.com"), key("cde.com", "xyz.com"));
        add(&mut dispatch, &b, 0..50);
        add(&mut dispatch, &c, 50..51);
        assert_eq!(open_all(&mut dispatch, 20), [b.clone(), c.clone(), b.clone()]);
        assert_eq!(dispatch.take(&c, true).map(|j| j.id), QueueId::from_u64(50));
        assert_eq!(dispatch.take(&c, false), None);
    }

    #[test]
    fn a_lane_widens_with_success_and_a_busy_connection_does_not_hold_up_a_job() {
        let mut dispatch = Dispatch::default();
        let b = key("bcd.com", "xyz.com");
        add(&mut dispatch, &b, 0..1);
        assert_eq!(open_all(&mut dispatch, 20).len(), 1);
        dispatch.take(&b, true);
        add(&mut dispatch, &b, 1..2);
        assert_eq!(open_all(&mut dispatch, 20).len(), 1, "the first connection is busy");
        add(&mut dispatch, &b, 2..50);
        assert_eq!(open_all(&mut dispatch, 20).len(), 0, "the window is two");
        for _ in 0..30 {
            dispatch.succeeded(&b);
        }
        assert_eq!(open_all(&mut dispatch, 20).len(), LANE_CONNECTIONS_MAX - 2);
    }

    #[test]
    fn an_idle_connection_gets_the_next_job() {
        let mut dispatch = Dispatch::default();
        let b = key("bcd.com", "xyz.com");
        add(&mut dispatch, &b, 0..1);
        open_all(&mut dispatch, 20);
        dispatch.take(&b, true);
        assert_eq!(dispatch.take(&b, false), None);
        add(&mut dispatch, &b, 1..2);
        assert!(open_all(&mut dispatch, 20).is_empty());
        assert!(dispatch.take(&b, true).is_some());
        dispatch.closed(&b, false, Instant::ORIGIN);
        assert_eq!(dispatch.connections(), 0);
    }

    #[test]
    fn a_domain_at_its_bound_waits_for_its_own_connections() {
        let mut dispatch = Dispatch::default();
        let (x, y) = (key("bcd.com", "xyz.com"), key("bcd.com", "yyy.com"));
        add(&mut dispatch, &x, 0..1);
        add(&mut dispatch, &y, 1..2);
        assert_eq!(open_all(&mut dispatch, 1), std::slice::from_ref(&x));
        dispatch.take(&x, true);
        dispatch.closed(&x, false, Instant::ORIGIN);
        assert_eq!(open_all(&mut dispatch, 1), [y]);
    }

    #[test]
    fn a_host_that_fails_gives_its_jobs_back_for_a_while() {
        let mut dispatch = Dispatch::default();
        let b = key("bcd.com", "xyz.com");
        let until = Instant::ORIGIN + Duration::from_secs(30);
        let why = Attempt::Unreached(Answer::own(451, Enhanced(4, 4, 1), "no route"));
        add(&mut dispatch, &b, 0..5);
        open_all(&mut dispatch, 20);
        assert_eq!(dispatch.failed(&b, until, why.clone()).len(), 5);
        dispatch.closed(&b, true, Instant::ORIGIN);
        dispatch.closed(&b, true, Instant::ORIGIN);
        let job = Job { id: QueueId::from_u64(9).unwrap(), recipients: vec![0] };
        assert_eq!(dispatch.add(&b, job.clone(), Instant::ORIGIN), Err((job.clone(), why.clone())));
        assert_eq!(dispatch.add(&b, job.clone(), until), Ok(()), "the time is over");
        assert_eq!(open_all(&mut dispatch, 20).len(), 1, "one connection tries first");
        dispatch.failed(&b, until + Duration::from_secs(30), why.clone());
        dispatch.forgive(None);
        assert_eq!(dispatch.add(&b, job, until), Ok(()), "forgiven");
    }
}
