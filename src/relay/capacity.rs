//! How much mail the box has room for in memory: connections that take it away, messages that wait. Source: the
//! design's promise of bounds. Danger: a queue that outgrows the memory ends the program, and at the next start
//! again.

use std::ops::RangeInclusive;

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
        let connections = fitting(
            bytes.map(|bytes| bytes / OUTGOING_MEMORY_PARTS),
            OUTGOING_CONNECTION_BYTES,
            OUTGOING_CONNECTIONS_MIN..=OUTGOING_CONNECTIONS_MAX,
        );
        let queued = fitting(
            bytes.map(|bytes| bytes / QUEUE_MEMORY_PARTS),
            QUEUED_MESSAGE_BYTES,
            QUEUED_MESSAGES_MIN..=QUEUED_MESSAGES_MAX,
        );
        Capacity { connections, queued }
    }
}

/// How many things of `each` bytes fit into `room`, within `bounds`; where the room is not known, as many as there may
/// be.
pub(super) fn fitting(room: Option<u64>, each: usize, bounds: RangeInclusive<usize>) -> usize {
    let fit = room.and_then(|bytes| usize::try_from(bytes / each as u64).ok());
    fit.unwrap_or(*bounds.end()).clamp(*bounds.start(), *bounds.end())
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
