# An nbdkit plugin: a block device that keeps a journal of every write and flush, in the order in which they
# came, so that the disk can be made up again as a power cut at any moment would have left it.
# A record: kind (u8: 1 write, 2 write with FUA, 3 flush), when it was done (u64: nanoseconds, monotonic),
# offset (u64), length (u32), data; little-endian.

import os
import struct
import time

import nbdkit

API_VERSION = 2
paths = {}


def config(key, value):
    paths[key] = value


def thread_model():
    return nbdkit.THREAD_MODEL_SERIALIZE_ALL_REQUESTS


class Device:
    def __init__(self):
        self.image = os.open(paths["image"], os.O_RDWR)
        self.journal = os.open(paths["journal"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, kind, offset, data):
        record = struct.pack("<BQQI", kind, time.monotonic_ns(), offset, len(data)) + data
        if os.write(self.journal, record) != len(record):
            raise OSError("the journal is full")


def open(readonly):
    return Device()


def get_size(device):
    return os.fstat(device.image).st_size


def can_flush(device):
    return True


def can_fua(device):
    return nbdkit.FUA_NATIVE


def can_multi_conn(device):
    return False


def pread(device, buffer, offset, flags):
    os.preadv(device.image, [buffer], offset)


def pwrite(device, buffer, offset, flags):
    data = bytes(buffer)
    os.pwrite(device.image, data, offset)
    device.note(2 if flags & nbdkit.FLAG_FUA else 1, offset, data)


def flush(device, flags):
    device.note(3, 0, b"")
