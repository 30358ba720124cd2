//! A guest at a door, for as long as its session lasts: counted, known to be idle or not, and told when it has
//! to give way to another.

use std::rc::Rc;

use crate::os::clock;
use crate::relay::{Doing, GuestId, Shut};
use crate::tasks::station::{Station, Stop};

/// One client inside. Dropping it frees its place.
pub struct Guest {
    station: Rc<Station>,
    id: GuestId,
    gives_way: Rc<Stop>,
}

impl Guest {
    /// Lets a client in, at the cost of a stranger who brings nothing where there is no place left.
    ///
    /// # Errors
    /// Why it stays outside.
    pub fn let_in(station: &Rc<Station>, client: std::net::IpAddr) -> Result<Self, Shut> {
        let known = station.config().domains.iter().any(|domain| domain.is_client(client));
        let seated = station.guests.borrow_mut().seat(clock::mono(), client, known)?;
        let mut leaving = station.leaving.borrow_mut();
        if let Some(gone) = seated.gives_way.and_then(|gone| leaving.remove(&gone)) {
            gone.give();
        }
        let gives_way = Rc::new(Stop::default());
        leaving.insert(seated.id, gives_way.clone());
        let meters = &station.meters;
        meters.sessions.set(meters.sessions.get() + 1);
        meters.sessions_total.set(meters.sessions_total.get() + 1);
        drop(leaving);
        Ok(Guest { station: station.clone(), id: seated.id, gives_way })
    }

    /// Something came on its connection.
    pub fn stirs(&self) {
        self.station.guests.borrow_mut().heard(self.id, clock::mono());
    }

    /// It is about something else now.
    pub fn does(&self, doing: Doing) {
        self.station.guests.borrow_mut().does(self.id, doing);
    }

    /// It has authenticated as a user of ours.
    pub fn becomes_user(&self) {
        self.station.guests.borrow_mut().becomes_user(self.id);
    }

    /// A message of it was accepted.
    pub fn brought_mail(&self) {
        self.station.guests.borrow_mut().brought_mail(self.id, clock::mono());
    }

    /// Ends when another guest needs the place.
    pub fn gives_way(&self) -> impl Future<Output = ()> + use<> {
        let gives_way = self.gives_way.clone();
        async move { gives_way.wait().await }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.station.guests.borrow_mut().left(self.id);
        self.station.leaving.borrow_mut().remove(&self.id);
        let sessions = &self.station.meters.sessions;
        sessions.set(sessions.get() - 1);
        self.station.to_send.notify(usize::MAX);
    }
}
