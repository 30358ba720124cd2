//! How much mail the box has room for in memory: connections that take it away, messages that wait. Source: the
//! design's promise of bounds. Danger: a queue that outgrows the memory ends the program, and at the next start
//! again.

use crate::limits::{
    OUTGOING_CONNECTION_BYTES, OUTGOING_CONNECTIONS_MAX, OUTGOING_CONNECTIONS_MIN, OUTGOING_MEMORY_PARTS,
    QUEUE_MEMORY_PARTS, QUEUED_MESSAGE_BYTES, QUEUED_MESSAGES_MAX, QUEUED_MESSAGES_MIN,
};

/// How many there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Outgoing connections of all domains.
    pub connections: usize,
    /// Messages in all queues.
    pub queued: usize,
}

impl Capacity {
    /// What fits into its part of a machine's memory of so many bytes; where that is not known, as many as there
    /// may be.
    pub fn for_memory(bytes: Option<u64>) -> Self {
        let fit = |parts: u64, each: usize, least: usize, most: usize| {
            let fit =
                bytes.map(|bytes| bytes / parts / each as u64).and_then(|fit| usize::try_from(fit).ok());
            fit.unwrap_or(most).clamp(least, most)
        };
        Capacity {
            connections: fit(
                OUTGOING_MEMORY_PARTS,
                OUTGOING_CONNECTION_BYTES,
                OUTGOING_CONNECTIONS_MIN,
                OUTGOING_CONNECTIONS_MAX,
            ),
            queued: fit(QUEUE_MEMORY_PARTS, QUEUED_MESSAGE_BYTES, QUEUED_MESSAGES_MIN, QUEUED_MESSAGES_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_machine_has_room_for_less() {
        let all = Capacity { connections: OUTGOING_CONNECTIONS_MAX, queued: QUEUED_MESSAGES_MAX };
        let least = Capacity { connections: OUTGOING_CONNECTIONS_MIN, queued: QUEUED_MESSAGES_MIN };
        assert_eq!(Capacity::for_memory(None), all);
        assert_eq!(Capacity::for_memory(Some(8 << 30)), all);
        assert_eq!(Capacity::for_memory(Some(0)), least);
        let small = Capacity::for_memory(Some(64 << 20));
        assert!(
            small.connections * OUTGOING_CONNECTION_BYTES + small.queued * QUEUED_MESSAGE_BYTES <= 16 << 20
        );
        assert!(
            small.connections > OUTGOING_CONNECTIONS_MIN && small.queued > QUEUED_MESSAGES_MIN,
            "{small:?}"
        );
    }
}
