"""Frames: how bytes go between caller, judge and child. Each has its length before it."""

import contextlib
import ctypes
import os
import sys

WALLS_STAND = b"walls stand"  # a child's first frame, sent before any code of its program runs
COMPILED = b"c"  # the first byte of the frame with the compiled program
MAX_FRAME = 128 << 20  # bytes of one message on the wire
JOB = "=qq?"  # from judge to zygote, with the child's descriptors: number of the child, CPU seconds, does it read stdin
STATUS = "=qid???"  # the zygote's report of a child's end: its number, wait status, CPU seconds, whether it was killed,
# whether its scratch folder is still being emptied, whether this zygote should not run another child
STILL_CLEARING = b""  # a judge's frame to its caller: it still works, for example it empties the scratch folder
_read, _write = os.read, os.write  # a test beside the code may replace those of the module


class ValueLimit(Exception):
    """A value that cannot be sent: too large, too deep, or bytes that `dumps` would not have written."""


def write_frame(descriptor: int, *datas: bytes) -> None:
    """Writes frames (length, then data) whole, at once. Raises OSError if the other side has gone."""
    frame = b"".join([part for data in datas for part in (len(data).to_bytes(4, sys.byteorder), data)])
    written = _write(descriptor, frame)
    while written < len(frame):
        written += _write(descriptor, memoryview(frame)[written:])


class FrameReader:
    """Reads frames from a descriptor with as few system calls as possible."""

    def __init__(self, descriptor: int):
        self._descriptor, self._ahead = descriptor, b""

    def read(self, limit: int = MAX_FRAME) -> bytes:
        """The next frame. Raises EOFError if the other side has gone, ValueLimit for a frame beyond `limit` bytes."""
        if len(self._ahead) < 4:
            self._fill(4)
        ahead = self._ahead
        size = int.from_bytes(ahead[:4], sys.byteorder)
        if size > limit:
            raise ValueLimit(f"frame of {size:,} bytes, limit {limit:,}")
        if len(ahead) < 4 + size:
            self._fill(4 + size)
            ahead = self._ahead
        self._ahead = ahead[4 + size :]
        return ahead[4 : 4 + size]

    def _fill(self, size: int) -> None:
        parts, have = [self._ahead], len(self._ahead)
        while have < size:
            parts.append(_read(self._descriptor, max(65536, min(size - have, 1 << 20))))
            have += len(parts[-1])
            if not parts[-1]:
                raise EOFError("the other side has closed the channel")
        self._ahead = b"".join(parts)


def memory_file() -> int:
    """A descriptor of a new empty file in memory, of which nothing else knows."""
    with contextlib.suppress(AttributeError):  # a Python that was built for an older C library
        return os.memfd_create("file")
    return ctypes.CDLL(None).memfd_create(b"file", 1)  # MFD_CLOEXEC
