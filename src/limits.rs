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
/// The header section after we have completed it.
pub const COMPOSED_HEAD_BYTES_MAX: usize = 2 * HEADER_SECTION_BYTES_MAX;
/// A foreign Message-Id as it is logged and referred to.
pub const MESSAGE_ID_CHARS_MAX: usize = 250;
/// A full name that becomes a display name.
pub const DISPLAY_NAME_CHARS_MAX: usize = 200;
/// A foreign text (a host's reply) as it is quoted in a report.
pub const DIAGNOSTIC_CHARS_MAX: usize = 800;
/// Header fields that a report returns.
pub const RETURNED_HEADER_BYTES_MAX: usize = 64 * 1024;
/// A message that a report returns whole where that is asked for.
pub const RETURNED_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// Fields of one name that a DKIM signature covers; senders write one.
pub const SIGNED_FIELDS_OF_A_NAME_MAX: usize = 4;
/// Parts of a message that can be re-encoded for a 7-bit host.
pub const MIME_PARTS_MAX: usize = 1000;
/// How deep the parts of such a message nest.
pub const MIME_DEPTH_MAX: usize = 32;
/// A whole message, as offered in the SIZE extension (RFC 1870).
pub const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// `Received:` fields before a message is taken to run in a circle (§6.3 asks for at least 100).
pub const RECEIVED_FIELDS_MAX: usize = 100;
/// Text of one remote reply that is kept.
pub const REPLY_BYTES_MAX: usize = 32 * 1024;
/// A line of our own replies, without its CRLF (§4.5.3.1.5 asks for at most 512 with it); more is cut off.
pub const OWN_REPLY_LINE_BYTES_MAX: usize = 500;
/// Replies that wait for a client which does not read; past it no further command is taken.
pub const REPLIES_HELD_BYTES_MAX: usize = 16 * 1024;
/// What an EHLO or HELO may claim.
pub const HELLO_BYTES_MAX: usize = 255;
/// Rounds of the verifiers that the house makes (RFC 7677 §4 asks for at least 4096).
pub const SCRAM_ITERATIONS: u32 = 10_000;
/// Fewer rounds than these are not taken from a server.
pub const SCRAM_ITERATIONS_MIN: u32 = 4096;
/// More rounds than these would hold up everybody else.
pub const SCRAM_ITERATIONS_MAX: u32 = 200_000;
/// A password, or a user's name at another host.
pub const PASSWORD_BYTES_MAX: usize = 128;
/// Failed AUTH commands before a session is ended.
pub const AUTH_FAILURES_MAX: usize = 3;
/// How much longer the reply to each further failed AUTH waits.
pub const AUTH_PENALTY_S: u64 = 3;
/// How long a password waits to be checked.
pub const AUTH_CHECK_WAIT_S: u64 = 30;
/// The longest that the reply to a failed AUTH waits.
pub const AUTH_PENALTY_S_MAX: u64 = 30;
/// How long a failed AUTH counts against its address and its user.
pub const AUTH_WINDOW_S: u64 = 10 * 60;
/// Failed AUTH commands of one address or one user before they are an alarm, and the address has to wait.
pub const AUTH_FAILURES_SUSPICIOUS: u32 = 10;
/// Addresses, and users, whose failed AUTH commands are counted.
pub const AUTH_TALLIES_MAX: usize = 1000;
/// Passwords that wait to be checked.
pub const CHECKS_WAITING_MAX: usize = 64;
/// How much of a refused command is shown in the log.
pub const LOGGED_COMMAND_BYTES_MAX: usize = 200;
/// Errors of protocol before a session is ended with 421.
pub const SESSION_ERRORS_MAX: usize = 20;
/// Other refused commands (senders, recipients) before a session is ended with 421.
pub const SESSION_REFUSED_RECIPIENTS_MAX: usize = 100;
/// How long the reply to EHLO waits for the verified name of the peer.
pub const PEER_NAME_WAIT_S: u64 = 5;
/// Both sides: from the reply to STARTTLS to the end of the handshake.
pub const TLS_HANDSHAKE_WAIT_S: u64 = 60;
/// Certificates of one chain.
pub const CERTIFICATE_CHAIN_MAX: usize = 10;
/// Certificates of authorities that the operator trusts.
pub const AUTHORITIES_MAX: usize = 50;
/// What `import` takes: a configuration, and the keys and certificates that it carries.
pub const IMPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A file with a chain and its key, or with authorities.
pub const CERTIFICATE_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Between two looks at the files with certificates.
pub const CERTIFICATE_CHECK_S: u64 = 60;
/// A certificate that ends sooner than in so many days is an alarm.
pub const CERTIFICATE_ALARM_DAYS: u64 = 30;
/// How far ahead of the box's clock that of a certificate's maker may be, when the certificate begins.
pub const CERTIFICATE_EARLY_S: u64 = 5 * 60;
/// Server: from one command to the next (§4.5.3.2.7).
pub const SERVER_COMMAND_WAIT_S: u64 = 5 * 60;
/// Server: between two pieces of a message (§4.5.3.2.5 has the same for the client).
pub const SERVER_CONTENT_WAIT_S: u64 = 3 * 60;
/// Server: the whole connection, whatever happens on it.
pub const SERVER_SESSION_S_MAX: u64 = 2 * 60 * 60;
/// Server: from the last reply of a session to the end of its connection, if the client does not read it.
pub const SERVER_LAST_WORDS_WAIT_S: u64 = 10;
/// Server: a message that comes slower than this is given up. Looked at once in `PACE_WINDOW_S`.
pub const SERVER_PACE_BYTES_PER_MINUTE_MIN: u64 = 1000;
/// Over how long the pace of a message is taken.
pub const PACE_WINDOW_S: u64 = 5 * 60;
/// Server: from the final dot to the house's own answer; the client waits as long (§4.5.3.2.6).
pub const SERVER_ANSWER_WAIT_S: u64 = 10 * 60;
/// Client: greeting, EHLO, HELO, MAIL, RCPT, RSET (§4.5.3.2.1 to §4.5.3.2.3).
pub const CLIENT_REPLY_WAIT_S: u64 = 5 * 60;
/// Client: from DATA to its 354 (§4.5.3.2.4).
pub const CLIENT_DATA_WAIT_S: u64 = 2 * 60;
/// Client: until a piece of the message has gone out (§4.5.3.2.5).
pub const CLIENT_CONTENT_WAIT_S: u64 = 3 * 60;
/// Client: from the final dot to its reply (§4.5.3.2.6).
pub const CLIENT_FINAL_WAIT_S: u64 = 10 * 60;
/// Client: a whole transaction, whatever trickles in.
pub const CLIENT_TRANSACTION_S_MAX: u64 = 2 * 60 * 60;
/// Client: from QUIT to its 221; nothing depends on it.
pub const CLIENT_QUIT_WAIT_S: u64 = 10;
/// Lines of a transcript that wait to be taken; more are not recorded.
pub const TRANSCRIPT_LINES_MAX: usize = 4096;
/// Connections that wait to be accepted on one listener; the kernel may cut it to net.core.somaxconn.
pub const LISTEN_BACKLOG_CONNECTIONS: i32 = 1024;
/// Silence on a TCP connection before the kernel asks whether the peer still lives.
pub const KEEPALIVE_IDLE_S: u64 = 120;
/// Time between two such questions.
pub const KEEPALIVE_INTERVAL_S: u64 = 30;
/// Unanswered questions before the connection is broken.
pub const KEEPALIVE_PROBES: u32 = 4;
/// A whole configuration as text.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
/// Statements of a configuration that is being edited.
pub const CONFIG_STATEMENTS_MAX: usize = 20_000;
/// Former configurations that are kept.
pub const CONFIG_HISTORY_MAX: usize = 20;
/// Former configurations together; the oldest go first.
pub const CONFIG_HISTORY_BYTES_MAX: usize = 256 * 1024;
/// How long a configuration may be on trial.
pub const CONFIRM_MINUTES_MAX: u64 = 24 * 60;
/// One line of a configuration, without its end.
pub const CONFIG_LINE_BYTES_MAX: usize = 1024;
/// Virtual domains of one box.
pub const DOMAINS_MAX: usize = 1000;
/// Name servers that are tried in turn.
pub const NAMESERVERS_MAX: usize = 3;
/// The name of a NIC (Linux IFNAMSIZ without its final NUL).
pub const NIC_NAME_BYTES_MAX: usize = 15;
/// Outgoing connections of one domain.
pub const CONNECTIONS_PER_DOMAIN_MAX: u16 = 1000;
/// The longest duration that a statement takes: a hundred days.
pub const DURATION_S_MAX: u64 = 100 * 86_400;
/// How long what mail does not need waits for the first door of a box that starts.
pub const FIRST_DOOR_WAIT_S: u64 = 2;
/// Between two feedings of the watchdog, which waits for thirty seconds at least.
pub const WATCHDOG_FEED_S: u64 = 5;
/// From an order to end the machine to its end, so that the console shows the answer.
pub const END_SEEN_MS: u64 = 250;
/// How long a start must go well before its slot is the one to start from now on.
pub const HEALTHY_AFTER_S: u64 = 60;
/// Between two looks at the health of a start that is not confirmed yet.
pub const HEALTH_LOOK_S: u64 = 5;
/// How much later than asked for a look may come while the loop counts as turning.
pub const HEALTH_LATE_S_MAX: u64 = 5;
/// How long a slot on trial may take to get healthy, before the box goes back to the other one.
pub const TRIAL_S_MAX: u64 = 10 * 60;
/// How long the flash may answer nothing before the watchdog is no longer fed.
pub const FLUSHER_SILENCE_S_MAX: u64 = 60;
/// The head of a web server's answer.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a web server may be silent.
pub const HTTP_WAIT_S: u64 = 30;
/// The head of an update's parcel.
pub const PARCEL_HEAD_BYTES_MAX: usize = 1024;
/// A slot's partition, as `board/disk.cfg` cuts it.
pub const SLOT_BYTES_MAX: u64 = 12 * 1024 * 1024;
/// Bytes of an update that are written, or read back, at once.
pub const UPDATE_PIECE_BYTES: usize = 64 * 1024;
/// How often somebody who sends an update over a serial line is told how much has come.
pub const UPDATE_TOLD_BYTES: usize = 256 * 1024;
/// What is carried over in memory from a broken data partition to its new one.
pub const RESCUE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Folders within folders that are looked into for that.
pub const RESCUE_DEPTH_MAX: usize = 6;
/// Starts in a row that nobody called healthy, before the saved configuration is left aside.
pub const FAILED_STARTS_MAX: usize = 3;
/// For how long after the start a key at the console leaves the saved configuration aside.
pub const FAILSAFE_KEY_WAIT_S: u64 = 5;
/// A password of the console.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Rounds of PBKDF2 for the console's password: a third of a second on a small ARM core.
pub const PASSWORD_ROUNDS: u32 = 100_000;
/// Rounds of a kept password; more would keep its owner waiting for ever.
pub const PASSWORD_ROUNDS_MAX: u32 = 10_000_000;
/// Rounds that are done before everybody else has a turn.
pub const PASSWORD_ROUNDS_AT_ONCE: u32 = 500;
/// The longest pause after a wrong password; it begins with one second and doubles.
pub const LOGIN_PAUSE_S_MAX: u64 = 30;
/// How long a console that has a login may stand without a key.
pub const CONSOLE_IDLE_S: u64 = 15 * 60;
/// The least that a statement makes of it.
pub const CONSOLE_IDLE_S_MIN: u64 = 10;
/// How long the test message of the first dialogue waits for its domain's address.
pub const SETUP_ADDRESS_WAIT_S: u64 = 10;
/// From the end of a session on the serial line to the next.
pub const CONSOLE_AGAIN_S: u64 = 1;
/// Between two looks at the NIC when nothing was heard of it.
pub const NIC_RECHECK_S: u64 = 30;
/// How long events of the NIC are gathered before they are acted on.
pub const NIC_SETTLE_MS: u64 = 100;
/// From the first announcement of an address to the second (RFC 5227 §1.1, ANNOUNCE_INTERVAL).
pub const NIC_ANNOUNCE_AGAIN_S: u64 = 2;
/// Age at which a file in a Maildir's `tmp/` is taken for the leftover of a cut-off delivery.
pub const MAILDIR_LEFTOVER_AGE_S: u64 = 36 * 3600;
/// File names tried for one delivery.
pub const MAILDIR_NAME_TRIES_MAX: u32 = 16;
/// Bytes of a delivery gathered for one write.
pub const MAILDIR_WRITE_BYTES: usize = 64 * 1024;
/// Bytes of a delivery after which they are brought to the disk.
pub const MAILDIR_SYNC_BYTES: usize = 1024 * 1024;
/// Deliveries into mailboxes at once.
pub const MAILDIR_DELIVERIES_MAX: usize = 4;
/// How much of the data directory's file system the mailboxes of all domains may fill.
pub const MAILBOX_SHARE_PERCENT: u64 = 15;
/// The least that all mailboxes may take together, however small the file system is said to be.
pub const MAILBOX_ROOM_BYTES_MIN: u64 = 1024 * 1024;
/// The least that a domain's mailboxes may take together, where that is no more than half of what all may: a quarter
/// of it holds the largest message, and what the box writes above it.
pub const MAILBOX_QUOTA_BYTES_MIN: u64 = 4 * (MESSAGE_BYTES_MAX as u64 + 1024 * 1024);
/// Between two looks into mailboxes that had no room for something.
pub const MAILBOX_LOOK_S: u64 = 60;
/// Messages of one mailbox that the console can name, the newest.
pub const MAILBOX_LISTED_MAX: usize = 1000;
/// Messages that are looked into before others have their turn.
pub const MAILBOX_LISTED_AT_ONCE: usize = 20;
/// What is read of a message to list it.
pub const MAILBOX_SUMMARY_BYTES_MAX: usize = 16 * 1024;
/// What is read of a message to show it; the rest of a longer one is not.
pub const MAILBOX_READ_BYTES_MAX: usize = 256 * 1024;
/// Lines of a message that are shown at once.
pub const MAILBOX_PAGE_LINES: usize = 40;
/// A line of such a page; a longer one becomes several.
pub const MAILBOX_LINE_CHARS_MAX: usize = 400;
/// Lines of the log that are kept in memory.
pub const LOG_RING_LINES_MAX: usize = 1000;
/// What a crash note keeps of the log.
pub const CRASH_LOG_BYTES_MAX: usize = 4096;
/// What it keeps of the panic's own words.
pub const CRASH_MESSAGE_BYTES_MAX: usize = 1024;
/// A whole crash note.
pub const CRASH_NOTE_BYTES_MAX: usize = CRASH_LOG_BYTES_MAX + CRASH_MESSAGE_BYTES_MAX + 1;
/// A line of the console; what is typed beyond it is ignored.
pub const CONSOLE_LINE_CHARS_MAX: usize = 1024;
/// Lines that the console remembers.
pub const CONSOLE_HISTORY_LINES_MAX: usize = 50;
/// Words of one command on the control socket.
pub const CONTROL_WORDS_MAX: usize = 64;
/// One word, or one line, on the control socket.
pub const CONTROL_TEXT_BYTES_MAX: usize = 1024;
/// One frame on the control socket; the largest is a submission with all its recipients.
pub const CONTROL_FRAME_BYTES_MAX: usize = 512 * 1024;
/// What one frame carries of a message, of keystrokes or of output.
pub const CONTROL_PIECE_BYTES_MAX: usize = 64 * 1024;
/// An address as text: local part, `@`, domain.
pub const ADDRESS_BYTES_MAX: u16 = (LOCAL_PART_BYTES_MAX + 1 + DOMAIN_BYTES_MAX) as u16;
/// ENVID (RFC 3461 §4.4).
pub const ENVID_BYTES_MAX: u16 = 100;
/// ORCPT with its address type (RFC 3461 §4.2).
pub const ORCPT_BYTES_MAX: u16 = 500;
/// What the spool keeps of where a message came from.
pub const SPOOL_ORIGIN_BYTES_MAX: u16 = 512;
/// What the spool keeps of a reply.
pub const SPOOL_REPLY_BYTES_MAX: u16 = 512;
/// All replies of one message's state together; past it they are stored without their text.
pub const SPOOL_STATE_TEXT_BYTES_MAX: usize = 32 * 1024;
/// The unit in which the log is written: no batch shares a page with an earlier one.
pub const FLASH_PAGE_BYTES: usize = 4096;
/// A segment of the log, unless the quota is small. A multiple of an erase block of small flash.
pub const SEGMENT_BYTES: u32 = 1024 * 1024;
/// A segment of the smallest quota.
pub const SEGMENT_BYTES_MIN: u32 = 256 * 1024;
/// The end of a segment that only states and done-records may use, so that they need no new segment.
pub const SEGMENT_RESERVE_BYTES: u32 = 32 * 1024;
/// Segments of a log: one for mail, one for reports, one to empty others into, one between uses.
pub const SEGMENTS_MIN: usize = 4;
/// The smallest quota.
pub const SPOOL_QUOTA_BYTES_MIN: u64 = SEGMENTS_MIN as u64 * SEGMENT_BYTES_MIN as u64;
/// A piece of a message that is too large for one record.
pub const SPOOL_DATA_BYTES_MAX: usize = 64 * 1024;
/// A message whose facts, header section and body together are at most this long is one record.
pub const SPOOL_INLINE_BYTES_MAX: usize = 64 * 1024;
/// The payload of any record.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 80 * 1024;
/// Records of one domain that wait to be written; past it nothing more is taken until a batch is over.
pub const SPOOL_PENDING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pieces of drafts that wait in memory before they are written without waiting for a commit.
pub const SPOOL_DRAFT_FLUSH_BYTES: usize = 256 * 1024;
/// Records of a fragmented segment that are copied forward with one batch.
pub const SPOOL_COMPACT_BYTES_MAX: usize = 256 * 1024;
/// Segment files of one domain that are kept open.
pub const OPEN_SEGMENTS_MAX: usize = 4;
/// Damaged ranges that are kept aside for each domain.
pub const SPOOL_DAMAGED_FILES_MAX: usize = 64;
/// A medium that wears out within so many years is an alarm.
pub const FLASH_ALARM_YEARS: u64 = 2;
/// How long states and done-records wait for a commit to ride along with.
pub const SPOOL_LAZY_MS: u64 = 5_000;

const _: () = assert!(SCRAM_ITERATIONS >= SCRAM_ITERATIONS_MIN && SCRAM_ITERATIONS <= SCRAM_ITERATIONS_MAX);
const _: () = assert!(PACE_WINDOW_S > SERVER_CONTENT_WAIT_S && SERVER_SESSION_S_MAX > PACE_WINDOW_S);
const _: () =
    assert!(SESSIONS_OF_ONE_CLIENT_MAX + SESSIONS_RESERVED < SESSIONS_MAX && SESSIONS_MIN < SESSIONS_MAX);
// RFC 5321 §4.5.3.1.4, with the parameters of RFC 3461 §5.4 and RFC 8689 §2.
const _: () = assert!(COMMAND_LINE_BYTES_MAX >= 1036 + 11 && REPLY_LINE_BYTES_MAX >= 512);
const _: () = assert!(LOCAL_PART_BYTES_MAX >= 64 && DOMAIN_BYTES_MAX >= 255 && RECIPIENTS_MAX >= 100);
const _: () = assert!(HEADER_SECTION_BYTES_MAX < COMPOSED_HEAD_BYTES_MAX);
const _: () = assert!(COMPOSED_HEAD_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () =
    assert!(CONTROL_FRAME_BYTES_MAX > RECIPIENTS_MAX * (LOCAL_PART_BYTES_MAX + DOMAIN_BYTES_MAX + 4));
const _: () = assert!(CONTROL_FRAME_BYTES_MAX > CONTROL_WORDS_MAX * (CONTROL_TEXT_BYTES_MAX + 2));
const _: () = assert!(CONTROL_FRAME_BYTES_MAX > CONTROL_PIECE_BYTES_MAX);
const _: () = assert!(CONSOLE_TYPE_AHEAD_BYTES_MAX >= CONTROL_PIECE_BYTES_MAX);
const _: () = assert!(HEADER_SECTION_BYTES_MAX < MESSAGE_BYTES_MAX);

/// What a DNS server may send in one datagram: fits every path without fragments (RFC 6891 §6.2.5).
pub const DNS_UDP_PAYLOAD_BYTES: u16 = 1232;
/// The buffer for a datagram; a server that disregards the payload size still finds room.
pub const DNS_DATAGRAM_BYTES_MAX: usize = 4096;
/// How long one nameserver has to answer one question.
pub const DNS_TRY_S: u64 = 3;
/// How often each nameserver is asked before a lookup fails.
pub const DNS_ROUNDS: usize = 2;
/// A whole lookup, with all its tries and aliases.
pub const DNS_LOOKUP_S_MAX: u64 = 20;
/// CNAME records followed in one lookup.
pub const DNS_ALIASES_MAX: usize = 8;
/// Records of a section that are looked at; what follows them is not read.
pub const DNS_RECORDS_READ_MAX: usize = 512;
/// Records of the wanted type that are kept of one answer.
pub const DNS_RECORDS_MAX: usize = 128;
/// The longest that an answer is believed.
pub const DNS_TTL_S_MAX: u64 = 3600;
/// The longest that an absence is believed (RFC 2308 §5).
pub const DNS_NEGATIVE_TTL_S_MAX: u64 = 900;
/// How long a failed lookup is not tried again (RFC 2308 §7 allows five minutes).
pub const DNS_FAILURE_TTL_S: u64 = 10;
/// Answers in the cache.
pub const DNS_CACHE_ENTRIES_MAX: usize = 1024;
/// The cache, with its tables.
pub const DNS_CACHE_BYTES_MAX: usize = 512 * 1024;
/// Lookups under way at once; others wait for a place.
pub const DNS_LOOKUPS_MAX: usize = 64;
/// Hosts of one domain that mail is offered to (RFC 5321 §5.1 asks for two addresses at least).
pub const MAIL_HOSTS_MAX: usize = 16;
/// Addresses of one host, in each family.
pub const HOST_ADDRESSES_MAX: usize = 16;
/// Names of an address whose forward lookup is tried.
pub const REVERSE_NAMES_MAX: usize = 4;
/// How long a client waits for its own name to be verified.
pub const REVERSE_LOOKUP_S_MAX: u64 = 5;
/// Aliases that point to aliases, one after the other, before they are taken for a circle.
pub const ALIAS_STEPS_MAX: usize = 8;
/// Where mail exchangers listen (RFC 5321 §4.5.4.2).
pub const SMTP_PORT: u16 = 25;
/// Where TLS comes before everything else (RFC 8314 §3.3).
pub const SUBMISSIONS_PORT: u16 = 465;
/// Outgoing connections of all domains together, where there is memory for so many.
pub const OUTGOING_CONNECTIONS_MAX: usize = 200;
/// The same on the smallest machine.
pub const OUTGOING_CONNECTIONS_MIN: usize = 20;
/// What all of them may take of the machine's memory: one part of so many.
pub const OUTGOING_MEMORY_PARTS: u64 = 8;
/// What one takes at the most: a piece of the body on its way, as it is and as it is sent, and TLS.
pub const OUTGOING_CONNECTION_BYTES: usize = 2 * SPOOL_READ_BYTES + TLS_CONNECTION_BYTES;
/// Outgoing connections of one domain to one next hop.
pub const LANE_CONNECTIONS_MAX: usize = 10;
/// How long a host that could not be reached is not tried again for other messages.
pub const LANE_DOWN_S: u64 = 30;
/// How long a smarthost that did not admit us is left alone, unless the operator sees to it: some lock out who
/// is wrong too often.
pub const LOGIN_AGAIN_S: u64 = 60 * 60;
/// The same before the next hop has taken its first message.
pub const LANE_CONNECTIONS_START: usize = 2;
/// Messages of one domain that are being tried at once.
pub const ACTIVE_MESSAGES_MAX: usize = 100;
/// Header sections and bodies that are coming in, those of all sessions together.
pub const INCOMING_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Message content that is kept in memory between its arrival and its first attempt, all domains together.
pub const RESIDENT_CONTENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A message's body that is kept in memory until its final dot; a longer one goes to the spool as it comes.
pub const BODY_IN_MEMORY_BYTES_MAX: usize = 64 * 1024;
/// What is read from a client at once.
pub const SESSION_BUFFER_BYTES: usize = 16 * 1024;
/// What the kernel holds of replies that a client does not read; it adds as much for its own needs (socket(7)).
pub const SESSION_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Clients whose false claims of a name are counted.
pub const FALSE_CLAIMERS_MAX: usize = 1000;
/// How long an outgoing connection is kept for the next message to the same host.
pub const IDLE_CONNECTION_S: u64 = 5;
/// How long a host may take to accept a connection.
pub const CONNECT_WAIT_S: u64 = 30;
/// Addresses of one next hop that are tried in one attempt.
pub const TARGETS_MAX: usize = 16;
/// How long a commit waits for others while they are coming in.
pub const COMPANY_WAIT_MS: u64 = 3;
/// Clients at once, on all doors, where there is memory for so many.
pub const SESSIONS_MAX: usize = 500;
/// Clients at once on the smallest machine.
pub const SESSIONS_MIN: usize = 40;
/// What all sessions may take of the machine's memory: one part of so many.
pub const SESSIONS_MEMORY_PARTS: u64 = 4;
/// What one takes at the most, beside the messages and long envelopes that have bounds of their own: what is read
/// and not used yet, replies that wait, its envelope as it comes, goes in and is shared out, and TLS. An idle one
/// takes 30 KiB of this, 37 under TLS.
pub const SESSION_BYTES: usize =
    3 * SESSION_BUFFER_BYTES + 2 * REPLIES_HELD_BYTES_MAX + 3 * ENVELOPE_SURE_BYTES + TLS_CONNECTION_BYTES;
/// Recipients of one message that it may always have, as they lie in memory; it is room for a hundred of usual length.
pub const ENVELOPE_SURE_BYTES: usize = 32 * 1024;
/// What envelopes hold beyond that, those of all sessions together.
pub const LONG_ENVELOPES_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Of so many, from one IPv4 address or one IPv6 /64; of fewer, the same part.
pub const SESSIONS_OF_ONE_CLIENT_MAX: usize = 100;
/// Of so many, kept for clients that the configuration names; of fewer, the same part.
pub const SESSIONS_RESERVED: usize = 100;
/// A stranger who was silent for so long gives way to a newcomer when all places are taken.
pub const SESSION_GIVES_WAY_AFTER_S: u64 = 5;
/// So does one who was silent for so long in the middle of a message, if nobody else does.
pub const SESSION_STALLED_S: u64 = 20;
/// So does one who is never silent and has had no message accepted for so long, if nobody else does.
pub const SESSION_FRUITLESS_S: u64 = 5 * 60;
/// How long a loop rests when the system refuses it a resource.
pub const ERROR_PAUSE_MS: u64 = 100;
/// What is read of a stored message at once.
pub const SPOOL_READ_BYTES: usize = 64 * 1024;
/// What is read of a remote host's replies at once.
pub const REPLY_BUFFER_BYTES: usize = 4096;
/// Probes for an IPv4 address before it is used (RFC 5227 §1.1, PROBE_NUM).
pub const ARP_PROBES: u32 = 3;
/// From one probe to the next; `net::conflict` says why it is not the RFC's second.
pub const ARP_PROBE_EVERY_MS: u64 = 20;
/// An address is defended only once in this time (RFC 5227 §1.1, DEFEND_INTERVAL).
pub const ARP_DEFEND_S: u64 = 10;
/// How long an address that another machine has is left alone before it is asked for again.
pub const ARP_PROBE_AGAIN_S: u64 = 60;
/// A shorter lease is taken for one of this length.
pub const DHCP_LEASE_S_MIN: u64 = 10;
/// Servers of one kind that are kept of a lease.
pub const DHCP_SERVERS_KEPT_MAX: usize = 4;
/// How long the first answer is waited for; it doubles with each further try (RFC 2131 §4.1).
pub const DHCP_WAIT_FIRST_S: u64 = 2;
/// The longest pause between two tries without a lease.
pub const DHCP_AGAIN_S_MAX: u64 = 64;
/// Requests for an offered address before another server is looked for.
pub const DHCP_REQUESTS_MAX: u32 = 4;
/// The least between two tries to renew a lease (RFC 2131 §4.4.5).
pub const DHCP_RETRY_S_MIN: u64 = 60;
/// How long nothing is asked for after an address was declined (RFC 2131 §3.1).
pub const DHCP_DECLINE_S: u64 = 10;
/// A server of time further from its source than this is of no use (RFC 5905 §7.3: 16 is unsynchronised).
pub const NTP_STRATUM_MAX: u8 = 15;
/// How far off a server may be by its own account (RFC 5905 §13, MAXDIST).
pub const NTP_DISTANCE_MS_MAX: i64 = 1500;
/// How long a reply may be under way.
pub const NTP_DELAY_MS_MAX: i64 = 2000;
/// How far honest servers may be apart beyond what they admit.
pub const NTP_SLACK_MS: i64 = 50;
/// Servers of time that are asked at once.
pub const NTP_SERVERS_MAX: usize = 8;
/// How long a server of time has to reply.
pub const NTP_REPLY_WAIT_S: u64 = 3;
/// How long their names may take to resolve.
pub const NTP_RESOLVE_WAIT_S: u64 = 15;
/// From one agreement of the servers to the next question.
pub const NTP_POLL_S: u64 = 1024;
/// After the first failure; it doubles with each further one.
pub const NTP_POLL_FIRST_S: u64 = 2;
/// The longest pause while the clock is not set.
pub const NTP_POLL_UNSET_S_MAX: u64 = 64;
/// From here on the clock is stepped, below it is slewed, which takes half an hour a second.
pub const CLOCK_STEP_MS: u64 = 1000;
/// A clock that servers have set is not believed to be further off (RFC 5905 §11.3, PANICT) ...
pub const CLOCK_FAR_S: u64 = 1000;
/// ... until so many polls in a row say so.
pub const CLOCK_FAR_POLLS: u32 = 3;
/// A clock that is further off is an alarm.
pub const CLOCK_ALARM_S: u64 = 60;
/// Servers of time that have not agreed for so long are an alarm.
pub const CLOCK_STALE_S: u64 = 24 * 3600;
/// A battery's clock that is so many years past the build is not believed.
pub const CLOCK_YEARS_MAX: u64 = 30;
/// Between two writes of the time to flash.
pub const CLOCK_SAVE_EVERY_S: u64 = 3600;
/// Steps of the clock that are remembered, for what was written down before them.
pub const CLOCK_STEPS_MAX: usize = 16;
/// Smaller ones do not matter to mail.
pub const CLOCK_STEP_NOTED_S: u64 = 60;
/// How long a collector of logs may take to accept a connection or a line.
pub const SYSLOG_WAIT_S: u64 = 10;
/// Between two tries to reach it.
pub const SYSLOG_AGAIN_S: u64 = 5;
/// From one echo of `ping` to the next.
pub const PING_EVERY_S: u64 = 1;
/// Echoes of a `ping` that no key can end.
pub const PING_TIMES_USUAL: u16 = 4;
/// Text of the log that is kept in memory.
pub const LOG_RING_BYTES_MAX: usize = 64 * 1024;
/// A line of the log in memory; the rest of a longer one is cut off.
pub const LOG_LINE_BYTES_MAX: usize = 1024;
/// How long a message waits before its sender is told that it is late.
pub const DELAY_NOTICE_AFTER_S: u64 = 4 * 60 * 60;
/// What TLS takes for one connection: a record each way, and its keys.
pub const TLS_CONNECTION_BYTES: usize = 40 * 1024;
/// What one client's false claims take in memory.
pub const FALSE_CLAIMER_BYTES: usize = 64;
/// Descriptors that all bounds together may need: sessions, connections, segments, listeners.
pub const DESCRIPTORS_WANTED: u64 = 4096;
/// How long sessions and connections have to come to an end when the daemon stops.
pub const STOP_WAIT_S: u64 = 10;
/// Keys of an interactive console that are kept while a command runs; what is typed beyond is dropped.
pub const CONSOLE_TYPE_AHEAD_BYTES_MAX: usize = 128 * 1024;
/// Words that TAB offers for one argument.
pub const CONSOLE_NAMES_OFFERED_MAX: usize = 100;
/// Lines of an exchange that wait for a slow terminal; those beyond are not shown.
pub const WATCHED_LINES_MAX: usize = 4096;
/// How often `watch` shows the counters.
pub const WATCH_EVERY_S: u64 = 1;
/// Users of the control socket at once; each beyond is told to come again.
pub const CONTROL_LINKS_MAX: usize = 100;
/// How long a user of the control socket may take to say what is wanted.
pub const CONTROL_HELLO_WAIT_S: u64 = 10;
/// What is read from the control socket at once.
pub const CONTROL_READ_BYTES: usize = 16 * 1024;
/// Messages of one domain that `show queue` lists.
pub const QUEUE_SHOWN_MAX: usize = 1000;
/// Messages in all queues together, where there is memory for so many.
pub const QUEUED_MESSAGES_MAX: usize = 200_000;
/// The same on the smallest machine.
pub const QUEUED_MESSAGES_MIN: usize = 10_000;
/// What they may take of the machine's memory: one part of so many.
pub const QUEUE_MEMORY_PARTS: u64 = 8;
/// How old the count of them may be, before a message is taken in by it.
pub const QUEUE_COUNTED_MS: u64 = 1000;
/// What a message in a queue takes in memory.
pub const QUEUED_MESSAGE_BYTES: usize = 200;
/// How much of the data directory's file system the spools of all domains may fill.
pub const SPOOL_SHARE_PERCENT: u64 = 80;
/// The smallest quota that a statement takes: room for sixteen small segments.
pub const QUOTA_BYTES_MIN: u64 = 4 * SPOOL_QUOTA_BYTES_MIN;
/// The largest size that a statement takes.
pub const SIZE_BYTES_MAX: u64 = 1 << 50;

const _: () = assert!(SPOOL_SHARE_PERCENT + MAILBOX_SHARE_PERCENT < 100);
const _: () = assert!(DNS_DATAGRAM_BYTES_MAX >= DNS_UDP_PAYLOAD_BYTES as usize);
const _: () =
    assert!(DNS_LOOKUP_S_MAX >= 3 * DNS_ROUNDS as u64 * DNS_TRY_S && DNS_RECORDS_MAX >= MAIL_HOSTS_MAX);
const _: () = assert!(SPOOL_INLINE_BYTES_MAX + 64 <= RECORD_PAYLOAD_BYTES_MAX);
const _: () = assert!(SPOOL_DATA_BYTES_MAX <= RECORD_PAYLOAD_BYTES_MAX);
const _: () = assert!(SPOOL_STATE_TEXT_BYTES_MAX + 32 + 6 * RECIPIENTS_MAX <= RECORD_PAYLOAD_BYTES_MAX);
const _: () =
    assert!(RECORD_PAYLOAD_BYTES_MAX + SEGMENT_RESERVE_BYTES as usize <= SEGMENT_BYTES_MIN as usize / 2);
const _: () = assert!((SEGMENT_RESERVE_BYTES as usize).is_multiple_of(FLASH_PAGE_BYTES));
