"""Checks every DKIM signature of a message with dkimpy; prints one line for each.

usage: verify.py MESSAGE RECORDS     RECORDS has one `NAME VALUE` a line, in place of the DNS
"""

import sys

import dkim

message = open(sys.argv[1], "rb").read()
records = dict(line.rstrip("\n").split(" ", 1) for line in open(sys.argv[2]))


def txt(name, timeout=5):
    if isinstance(name, bytes):
        name = name.decode()
    return records.get(name.rstrip("."), "").encode() or None


verifier = dkim.DKIM(message, minkey=2048)
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
for index in range(count):
    try:
        good = verifier.verify(idx=index, dnsfunc=txt)
    except dkim.DKIMException as error:
        print("fail", error)
        continue
    print("pass" if good else "fail", verifier.signature_fields[b"a"].decode())
