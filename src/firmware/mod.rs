//! What a firmware update is: a parcel of one text head and one slot's image, signed with the key whose
//! public half lies in the running slot, and that parcel as text. Sources: RFC 8032 (Ed25519), FIPS 180-4
//! (SHA-256), RFC 4648 (base64).

pub mod parcel;
pub mod pasted;

pub use parcel::{Head, ParcelError, Unpacker};
pub use pasted::Pasted;
