//! Lookups under way, so that one question is asked once however many wait for its answer.
//! Danger: whoever drives a lookup may be dropped at any time; the next one who waits has to go on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use smol::lock::OnceCell;

use crate::dns::{Answer, Question};

type Slot = Rc<OnceCell<Rc<Answer>>>;

/// One slot for each question that is being asked.
#[derive(Default)]
pub struct Flights(RefCell<HashMap<Question, Slot>>);

/// One waiter's share of a slot; the last one removes it.
pub struct Flight<'a> {
    flights: &'a Flights,
    question: Question,
    slot: Slot,
}

impl Flights {
    pub fn join(&self, question: &Question) -> Flight<'_> {
        let slot = self.0.borrow_mut().entry(question.clone()).or_default().clone();
        Flight { flights: self, question: question.clone(), slot }
    }

    /// Who asks from now on begins anew; who waits already is served by the old lookups.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Flight<'_> {
    /// The answer: from whoever asks already, or by asking with `ask`.
    pub async fn answer(&self, ask: impl Future<Output = Rc<Answer>>) -> Rc<Answer> {
        let answer = self.slot.get_or_init(|| ask).await.clone();
        self.leave();
        answer
    }

    fn leave(&self) {
        let mut flights = self.flights.0.borrow_mut();
        if flights.get(&self.question).is_some_and(|slot| Rc::ptr_eq(slot, &self.slot)) {
            flights.remove(&self.question);
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Ours, and the table's: nobody else waits.
        if Rc::strong_count(&self.slot) == 2 {
            self.leave();
        }
    }
}
