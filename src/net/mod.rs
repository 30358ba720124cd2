//! Which addresses the NIC should carry, and what to do about the difference.
