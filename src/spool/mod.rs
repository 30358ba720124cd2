//! The spool: one append-only log of records for each domain.
