//! The spool: one append-only log of checksummed records for each domain, and the rule that nothing is
//! acknowledged before it is on flash and synced.
//! Sources: RFC 5321 §4.2.5 (what 250 after the final dot promises), Figure 5 (step 525).
//!
//! This page is the format: a second implementation can be written from it.
//!
//! # Files
//!
//! A domain's log is the directory `DIR/spool/DOMAIN/`. Numbers in names are lower-case hexadecimal of fixed
//! width; readers take either case.
//!
//! ```text
//! SSSSSSSS-NNNNNNNNNNNNNNNN.log   a segment: sequence S (8 digits), nonce N (16 digits)
//! spare-SSSSSSSS.log              room for a segment; its content means nothing
//! damaged/SSSSSSSS-N...N-OOOOOOOO bytes of a damaged range, kept as they were found: segment, nonce, offset
//! held                            empty; while it is there the operator keeps all mail of the domain back
//! ```
//!
//! DOMAIN is a host name in lower case. Files with other names are no part of the log.
//!
//! A segment is 256 KiB, 512 KiB or 1 MiB long: 1 MiB, halved while fewer than 16 of them fit into the
//! domain's quota. It is made with all its blocks allocated and filled with zeros once, so that writing to
//! it later changes no metadata. Sequences grow and are never used twice; the greatest one in any name, also
//! of a spare, counts. A nonce is drawn anew for every use of a file, from what nobody outside can guess, and
//! is odd. A segment has no header: its name says all. A segment of another length was truncated, or was
//! being made when the power went.
//!
//! # Records
//!
//! Records begin at multiples of 8 bytes. All numbers are little-endian and unsigned. The CRC is CRC-32
//! (IEEE 802.3, as in zlib).
//!
//! ```text
//! header     0..4    CRC of bytes 4..32+length
//!            4..8    length of the payload, at most 81,920
//!            8..16   the nonce of the segment
//!           16..24   message id, below 2^50; as text, ten digits of base 32, the most significant first,
//!                    out of 0123456789ABCDEFGHJKMNPQRSTVWXYZ
//!           24..28   detail: in a data record its number, else 0
//!           28       kind: 1 data, 2 commit, 3 state, 4 done
//!           29       version: 1
//!           30..32   "Sp"
//! payload   32..32+length
//! padding   zeros to a multiple of 8; in no checksum
//! ```
//!
//! What breaks one of these bounds, has another kind, version or mark, or reaches past the end of its file, is
//! no record, whatever its checksum says.
//!
//! A *message* is one stream of bytes: its facts, its header section with the empty line, its body as SMTP
//! has it (CRLF, no dot-stuffing).
//!
//! ```text
//! data       a piece of the stream, at most 65,536 bytes. The detail numbers a message's pieces from 0:
//!            first those of the body, then those of facts and header section, which are one run of bytes
//!
//! commit     0..8    time of receipt, milliseconds since 1970 UTC
//!            8..12   length of the facts
//!           12..16   length of the header section
//!           16..24   length of the body
//!           24..28   data records that hold the body; 0: it is inline
//!           28..32   data records that hold facts and header section; 0: they are inline
//!           32..     what is inline: facts, header section, body, in this order
//!
//! state      0..8    when the next attempt is due, milliseconds since 1970 UTC
//!            8..10   rounds of attempts so far
//!           10       1: on hold by the operator; 2: the sender was told of the delay
//!           11       0
//!           12..14   number of texts T
//!           14..16   number of recipients R
//!           then     T texts, then R times: state (u8), place of its text among the T (u16)
//!                    0 pending (no text), 1 delivered, 2 failed, 3 deferred; in the order of the envelope
//!
//! done       the sequences (u32) of segments that may still hold a commit record of the message. They matter
//!            for using segments again; the message is over whatever they say
//!
//! facts      flags (u8): 1 BODY=8BITMIME, 2 SMTPUTF8, 4 REQUIRETLS, 8 RET=FULL, 16 RET=HDRS, 32 ENVID,
//!            64 the domain's own mail, which may be signed
//!            text    where the message came from
//!            text    reverse-path without brackets; empty: the null path
//!            text    ENVID, if flag 32
//!            u16     number of recipients, then for each of them:
//!              flags (u8): 1 NOTIFY, with 2 SUCCESS, 4 FAILURE, 8 DELAY; 16 ORCPT
//!              text  address
//!              text  ORCPT, if flag 16
//!
//! text       length (u16), then UTF-8
//! ```
//!
//! A message whose three parts are at most 65,536 bytes together is one commit record: one write. Otherwise
//! the body is in data records, and facts and header section are inline if they are at most 65,536 bytes.
//! A commit whose inline bytes are not as many as its lengths say is none.
//!
//! A message without a state record was never tried: every recipient is pending, and it is due when it was
//! received. A state with another number of recipients than the facts have cannot be read, nor its message.
//!
//! # States
//!
//! - *Draft*: data records without a commit. After a restart nothing refers to them.
//! - *Stored*: its commit record, and the data records that this counts, are durable.
//! - *Done*: a done record is durable. It ends every commit of its id, wherever that lies: ids are unique.
//! - *Gone*: the segment of its commit has been opened again.
//!
//! # Writing
//!
//! Records are gathered into a *batch*, and there is at most one batch of a log under way; what comes
//! meanwhile makes the next. A batch is one run of whole pages of 4,096 bytes for each segment that it
//! touches. It begins at a page, and its last page is filled with zeros: **a page that is durable is not
//! written again** as long as its segment lives. Its steps, in order:
//!
//! 1. for each run whose segment is opened with it: create the file, or rename one that holds nothing of
//!    worth to the new name; rename other such files to spares; sync the directory;
//! 2. write the run; sync the file (fdatasync).
//!
//! One run is durable before the next begins, so a commit never becomes durable before its data. Mail leaves
//! the last 32 KiB of a segment to states and done-records, which can thus be written when no segment can be
//! opened. States and done-records wait for a commit to ride along with, 5 s at most.
//!
//! **Commit rule.** A message is acknowledged after the sync of the run that holds its commit record.
//! **Order rule.** What a record replaces (an older state, an older copy, a whole message) is given up only
//! after the batch with the newer one came back.
//!
//! # Using segments again
//!
//! A segment holds nothing of worth when no current commit, state or data record lies in it and every done
//! record in it speaks of segments that are gone: a done record outlives all commits that it ends. Such a
//! file is given a new sequence and nonce by renaming it; its old records end with the name, nothing is
//! erased. The name is durable before the first byte is written under it.
//!
//! When space becomes short, or before a new file would be made, the segment with the least in it is emptied,
//! 256 KiB with each batch: records still needed are copied into the log's end, payload unchanged, under the
//! new nonce. A copy is a record like any other: of several copies the one in the greatest sequence, and at
//! the greatest offset, counts, and they all say the same. Only segments of which an eighth is over are
//! emptied, so this comes to an end.
//!
//! # Recovery
//!
//! 1. Sync every segment, so that what is read now is there after the next cut. One whose sync fails is read
//!    all the same, takes no more records, and is emptied first.
//! 2. Walk each segment, at most its first MiB, from offset 0. A record that begins here, its checksum right
//!    with the nonce of the file's name put in place of its own, is taken, and the walk goes on behind its
//!    padding. Where there is none, and nothing but zeros up to the next page: go there and look again.
//!    Where there is none then: go on at the next multiple of 8, from here on, where the nonce stands 8 bytes
//!    further and a whole record begins; all before it, from the first 8 bytes that are not zero, is *damage*.
//!    When none follows, the segment ends here, and what lies between here and the end of the last header
//!    with this nonce is damage.
//! 3. Of all that was gathered, in any order: a done record ends all commits of its id. Of commits, of data
//!    records with one number and of states, the last counts: the one in the greatest sequence, and there at
//!    the greatest offset. A message is there when its commit is, and all data records that this counts, the
//!    body's together and the others together with the lengths that it gives. All other records mean nothing.
//! 4. Write on in the segment with the greatest sequence, at the page behind its last record or damage, if
//!    its length and its sync were right; else in a new one.
//!
//! Step 3 looks at the set of whole, durable records only, and nothing is rewritten before the first batch:
//! being cut during recovery changes nothing. Damage is copied to `damaged/` and told; it stops nothing else.
//! Who only reads needs steps 2 and 3: `tests/spool/read.py` is such a reader, written from this page.
//!
//! # What a cut leaves
//!
//! | cut during | leaves | after the start |
//! |---|---|---|
//! | creating a segment | a file of any length with zeros | removed, or used if it is whole |
//! | renaming | the old name or the new one | the old records, all over, or none |
//! | writing or syncing a batch | any of its sectors, old or new | each message of it is there whole, or not at all; none was acknowledged. Torn records are told as damage at the end of the log |
//! | between sync and reply | a stored message that its client thinks refused | it is delivered; the client sends it again |
//! | between a remote 250 and the sync of its done record or state | a recipient that is still pending | it is sent to him twice. The window: 5 s and one batch, also while other recipients' hosts are silent |
//! | between a remote 5xx and the sync of the report on it | a recipient that is still pending | it is refused again, and reported then: a failure is never written before its report is |
//! | between the commits of a message for two domains | one of them | it is delivered there; the client, who has no answer, sends it again |
//! | emptying a segment | two copies of some records | the newer one counts, the older is dropped |
//!
//! # When the medium fails
//!
//! After a failed write or sync the run's segment takes no more records, and is read back from the medium, not
//! from memory. The batch's commits and all later ones are refused (451, or 452 for want of space); each that
//! may have reached flash gets a done record in another segment; states and done-records are written again;
//! what was stored in the segment is copied out of it. A failure to open a segment refuses the same commits
//! and leaves the log where it was. For 5 s after a failure only commits make a batch, so that a medium which
//! fails for good does not keep the house busy; the window of duplicates grows by as much.

mod append;
mod batch;
mod bytes;
mod commit;
mod damage;
mod days;
mod domain_log;
mod envelope_text;
mod errors;
mod flash;
pub mod inspect;
mod meta;
mod reading;
mod record;
mod recovery;
mod segments;
mod settle;
mod state;
mod sweep;

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;

pub use batch::{Batch, BatchError};
pub use damage::Damage;
pub use days::{EmmcLife, EmmcReserve, Today, years_left};
pub use domain_log::{DomainLog, INDEX_ENTRY_BYTES};
pub use errors::{SpoolError, Ticket, Wear};
pub use flash::{FileName, Flash, FlashError, Listed};
pub use meta::Meta;
pub use reading::{BodyPiece, Stored};
pub use recovery::{Recovered, Recovery};
pub use segments::Bounds;
pub use settle::{Durable, Failure};
pub use state::{RecipientState, State};
