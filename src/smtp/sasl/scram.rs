//! The messages of SCRAM (RFC 5802 §7) as text, and the proofs over them. Both sides sign every byte that was
//! said before; a nonce that is not the other's own, or a binding to another connection, ends the exchange.

use data_encoding::BASE64;

use super::verifier::{KEY_BYTES, sign};

/// The attributes of a message in order: `n=user,r=nonce` gives `('n', "user")`, `('r', "nonce")`.
pub(super) fn attributes(message: &str) -> impl Iterator<Item = Option<(char, &str)>> {
    message.split(',').map(|attribute| {
        let (name, value) = attribute.split_once('=')?;
        let mut chars = name.chars();
        let letter = chars.next().filter(char::is_ascii_alphabetic)?;
        chars.next().is_none().then_some((letter, value))
    })
}

/// The values of `letters`, which must come first and in this order; what follows are extensions.
pub(super) fn expect<const N: usize>(message: &str, letters: [char; N]) -> Option<[&str; N]> {
    let mut found = attributes(message);
    let mut values = [""; N];
    for (value, letter) in values.iter_mut().zip(letters) {
        *value = found.next().flatten().filter(|(name, _)| *name == letter)?.1;
    }
    // Beyond these stand optional extensions (§5.1); none is known.
    found.all(|attribute| attribute.is_some()).then_some(values)
}

/// A user's name out of a message: `=2C` is a comma, `=3D` an equals sign.
pub(super) fn unescape(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut parts = name.split('=');
    out.push_str(parts.next()?);
    for part in parts {
        let (c, rest) = match part.get(..2)? {
            "2C" => (',', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        out.push(c);
        out.push_str(rest);
    }
    (!out.is_empty()).then_some(out)
}

pub(super) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// `c=`: the header that was sent first, and the binding where there is one.
pub(super) fn channel(header: &str, binding: Option<&[u8]>) -> String {
    BASE64.encode(&[header.as_bytes(), binding.unwrap_or_default()].concat())
}

/// The client's proof (or, out of it, the client's key): `key XOR HMAC(stored_key, said)`.
pub(super) fn proof(key: &[u8; KEY_BYTES], stored_key: &[u8; KEY_BYTES], said: &str) -> [u8; KEY_BYTES] {
    let signature = sign(stored_key, said.as_bytes());
    std::array::from_fn(|i| key[i] ^ signature[i])
}

/// Whether a nonce is printable ASCII without commas (§7), and not empty.
pub(super) fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}
