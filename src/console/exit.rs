//! Exit codes of sysexits.h, which programs that call `sendmail` read.

pub const OK: u8 = 0;
/// Any failure of a command that is not `sendmail`.
pub const FAILURE: u8 = 1;
/// A command line that is no command, where it is not `sendmail`'s.
pub const MISUSE: u8 = 2;
pub const USAGE: u8 = 64;
pub const DATA_ERROR: u8 = 65;
pub const NO_USER: u8 = 67;
pub const UNAVAILABLE: u8 = 69;
pub const SOFTWARE: u8 = 70;
pub const IO_ERROR: u8 = 74;
/// The daemon is down or busy: try again later.
pub const TEMPORARY: u8 = 75;
pub const NO_PERMISSION: u8 = 77;
