//! DNS without I/O: questions and answers, a cache with a bound, MX order (RFC 1035, RFC 5321 §5).
