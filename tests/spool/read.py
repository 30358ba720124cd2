#!/usr/bin/env python3
"""Reads the spools of a data directory and lists their messages: a second implementation of the format.

Written from the text at the head of src/spool/mod.rs alone, to show that this text is enough; it shares no code
with Stagepost. It prints what `stagepost --data DIR spool list` prints.

usage: read.py DIR
"""

import os
import re
import struct
import sys
import zlib
from datetime import datetime, timezone

DATA, COMMIT, STATE, DONE = 1, 2, 3, 4
PAGE = 4096
SEGMENT_MAX = 1 << 20
PAYLOAD_MAX = 81_920
SEGMENT = re.compile(r"([0-9a-fA-F]{8})-([0-9a-fA-F]{16})\.log")
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Cut(Exception):
    """A payload ends before its fields do, or its text is no text."""


class Fields:
    """The fields of a payload, front to back."""

    def __init__(self, payload):
        self.rest = payload

    def bytes(self, count):
        if len(self.rest) < count:
            raise Cut
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, width):
        return int.from_bytes(self.bytes(width), "little")

    def text(self):
        try:
            return self.bytes(self.number(2)).decode("utf-8")
        except UnicodeDecodeError:
            raise Cut from None


def record_at(segment, at, nonce):
    """The record that begins here: kind, id, detail, payload; None if there is none."""
    header = segment[at:at + 32]
    if len(header) < 32 or header[29] != 1 or header[30:32] != b"Sp":
        return None
    crc, length = struct.unpack("<II", header[:8])
    ident, detail, kind = struct.unpack("<QIB", header[16:29])
    if length > PAYLOAD_MAX or kind not in (DATA, COMMIT, STATE, DONE) or ident >> 50:
        return None
    payload = segment[at + 32:at + 32 + length]
    if len(payload) < length:
        return None
    proved = header[4:8] + struct.pack("<Q", nonce) + header[16:] + payload
    return (kind, ident, detail, payload) if zlib.crc32(proved) == crc else None


def aligned(n, unit):
    return (n + unit - 1) // unit * unit


def walk(segment, nonce):
    """The records of a segment, with their offsets."""
    at, mark = 0, struct.pack("<Q", nonce)
    while at < len(segment):
        record = record_at(segment, at, nonce)
        if record is None:
            page = min(aligned(at, PAGE), len(segment))
            if not any(segment[at:page]):
                at = page
            record = record_at(segment, at, nonce)
        search = at + 8
        while record is None:
            found = segment.find(mark, search)
            if found < 0:
                return
            if found % 8 == 0:
                at = found - 8
                record = record_at(segment, at, nonce)
            search = found + 1
        yield at, record
        at += aligned(32 + len(record[3]), 8)


class Commit:
    def __init__(self, payload):
        fields = Fields(payload)
        self.received = fields.number(8)
        self.facts_bytes, self.head_bytes = fields.number(4), fields.number(4)
        self.body_bytes = fields.number(8)
        self.body_pieces, self.prefix_pieces = fields.number(4), fields.number(4)
        self.inline = fields.rest
        inline = 0 if self.prefix_pieces else self.facts_bytes + self.head_bytes
        inline += 0 if self.body_pieces else self.body_bytes
        if inline != len(self.inline):
            raise Cut

    def prefix(self, pieces):
        """Facts and header section; Cut where a piece is missing or has another length than it should."""
        count = self.body_pieces + self.prefix_pieces
        if any(n not in pieces for n in range(count)):
            raise Cut
        body = sum(len(pieces[n]) for n in range(self.body_pieces))
        if self.body_pieces and body != self.body_bytes:
            raise Cut
        whole = self.facts_bytes + self.head_bytes
        if not self.prefix_pieces:
            return self.inline[:whole]
        prefix = b"".join(pieces[n] for n in range(self.body_pieces, count))
        if len(prefix) != whole:
            raise Cut
        return prefix


def facts_of(facts):
    """Reverse-path and recipients."""
    fields = Fields(facts)
    flags = fields.number(1)
    fields.text()
    sender = fields.text()
    if flags & 32:
        fields.text()
    recipients = []
    for _ in range(fields.number(2)):
        own = fields.number(1)
        recipients.append(fields.text())
        if own & 16:
            fields.text()
    return sender, recipients


def state_of(payload):
    """Due, attempts, whether on hold, and each recipient's state in words."""
    fields = Fields(payload)
    due, attempts, flags = fields.number(8), fields.number(2), fields.number(1)
    fields.number(1)
    texts, recipients = fields.number(2), fields.number(2)
    texts = [fields.text() for _ in range(texts)]
    states = []
    for _ in range(recipients):
        state, text = fields.number(1), fields.number(2)
        if state == 0:
            states.append("pending")
        elif state > 3 or text >= len(texts):
            raise Cut
        else:
            states.append(("delivered", "failed", "deferred")[state - 1] + " " + texts[text])
    return due, attempts, bool(flags & 1), states


def ident_text(number):
    return "".join(DIGITS[number >> shift & 31] for shift in range(45, -1, -5))


def when(millis):
    return datetime.fromtimestamp(millis // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(ident, commit, pieces, state):
    """A message in one line; None where a part of it is missing."""
    try:
        prefix = commit.prefix(pieces)
    except Cut:
        return None
    sender, recipients = facts_of(prefix[:commit.facts_bytes])
    due, attempts, held, states = commit.received, 0, False, ["pending"] * len(recipients)
    if state is not None:
        due, attempts, held, states = state_of(state)
    if len(states) != len(recipients):
        raise Cut
    line = f"{ident_text(ident)} {when(commit.received)} {commit.head_bytes + commit.body_bytes} bytes"
    line += f"{' on hold' if held else ''} {attempts} attempts, next {when(due)}, <{sender}>"
    return line + "".join(f" to <{to}> {now}" for to, now in zip(recipients, states))


def messages(directory):
    """Every message of a domain's log, in the order of ids."""
    commits, states, pieces, done = {}, {}, {}, set()
    names = (SEGMENT.fullmatch(name) for name in os.listdir(directory))
    # The greatest sequence comes last, and in it the greatest offset: what is later replaces what is earlier.
    for name in sorted((m for m in names if m), key=lambda m: (int(m[1], 16), int(m[2], 16))):
        with open(os.path.join(directory, name[0]), "rb") as file:
            segment = file.read(SEGMENT_MAX)
        for _, (kind, ident, detail, payload) in walk(segment, int(name[2], 16)):
            try:
                if kind == COMMIT:
                    commits[ident] = Commit(payload)
                elif kind == STATE:
                    Fields(payload).bytes(11)
                    states[ident] = payload
                elif kind == DATA:
                    pieces.setdefault(ident, {})[detail] = payload
                else:
                    done.add(ident)
            except Cut:
                continue
    for ident in sorted(commits.keys() - done):
        line = describe(ident, commits[ident], pieces.get(ident, {}), states.get(ident))
        if line is not None:
            yield line


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    spool = os.path.join(sys.argv[1], "spool")
    for domain in sorted(os.listdir(spool)):
        directory = os.path.join(spool, domain)
        if os.path.isdir(directory):
            for line in messages(directory):
                print(domain, line)


if __name__ == "__main__":
    main()
