//! Statements of a later version. Danger: what they say is not known, so all that is done with them is to keep them.

use super::{Form, Key, Scope};
use crate::config::argument::Verbatim;

/// A statement that this version does not know, in a saved configuration that a later one has written. It is no
/// row of the table, so nobody can write one; its words are kept for the version that knows them.
pub static UNREAD: Form = Form {
    form: "STATEMENT...",
    help: "a statement of a later version",
    example: "box teleport on",
    key: Key::Words(usize::MAX),
    scope: Scope::Box {
        read: |machine, args| {
            let words: Vec<Verbatim> = args.take_rest()?;
            machine.unread.push(words.into_iter().map(|word| word.0).collect());
            Ok(())
        },
        list: |machine| machine.unread.clone(),
    },
};
