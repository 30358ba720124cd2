//! Who may send, where it goes, when, and what a reply means.
