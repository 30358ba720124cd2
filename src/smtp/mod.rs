//! SMTP sessions, server and client, as state machines without I/O: bytes and time in, actions out (RFC 5321).
