//! Every bound of the house, with its unit last in the name. What grows has its bound here; relations
//! between bounds are checked when the program is compiled. Floors come from RFC 5321 §4.5.3.1.

/// A command line with its CRLF (§4.5.3.1.4 asks for 512; MAIL and RCPT parameters of extensions add to it).
pub const COMMAND_LINE_BYTES_MAX: usize = 2048;
/// A line of a remote server's reply with its CRLF (§4.5.3.1.5 asks for 512).
pub const REPLY_LINE_BYTES_MAX: usize = 2048;
/// Lines of one remote reply that are kept; more is a broken server.
pub const REPLY_LINES_MAX: usize = 64;
/// Local part of an address (§4.5.3.1.1 asks for 64; old gateways write longer ones).
pub const LOCAL_PART_BYTES_MAX: usize = 128;
/// A domain name as text (§4.5.3.1.2).
pub const DOMAIN_BYTES_MAX: usize = 255;
/// Recipients of one transaction (§4.5.3.1.8 asks for 100).
pub const RECIPIENTS_MAX: usize = 1000;
/// The header section of a message.
pub const HEADER_SECTION_BYTES_MAX: usize = 256 * 1024;
/// A whole message, as offered in the SIZE extension (RFC 1870).
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// `Received:` fields before a message is taken to run in a circle (§6.3 asks for at least 100).
pub const RECEIVED_FIELDS_MAX: usize = 100;

const _: () = assert!(COMMAND_LINE_BYTES_MAX >= 512 && REPLY_LINE_BYTES_MAX >= 512);
const _: () = assert!(LOCAL_PART_BYTES_MAX >= 64 && DOMAIN_BYTES_MAX >= 255 && RECIPIENTS_MAX >= 100);
const _: () = assert!(HEADER_SECTION_BYTES_MAX < MESSAGE_BYTES_MAX);
