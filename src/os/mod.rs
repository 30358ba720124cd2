//! Every system call of the house, one file for each kind of thing the kernel offers. The floors above get
//! plain values, blocking-free sockets and `io::Result`; nothing here waits for the network.

pub mod button;
pub mod clerk;
pub mod clock;
pub mod confine;
pub mod crash;
pub mod dhcp;
pub mod disk;
pub mod entropy;
pub mod files;
pub mod flash_files;
pub mod flusher;
mod grow;
pub mod init;
pub mod letters;
pub mod logging;
pub mod maildir;
pub mod medium;
pub mod nic;
pub mod ping;
pub mod process;
pub mod rescue;
#[cfg(test)]
pub mod scratch;
pub mod slots;
pub mod sockets;
pub mod tty;
pub mod udp;
pub mod update;
pub mod users;
pub mod watchdog;
pub mod worker;
