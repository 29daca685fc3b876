"""An LMDB file whose end is missing: its keys and where their values lie, as far as they are still there.

LMDB itself maps the file into memory, and a program that looks at a page beyond the end of the file is killed. Nor
would its tree help: the root may be what is missing. So the file is gone through page by page and the leaves, which
hold the keys, are put in order.

The layout is that of LMDB 0.9 on little-endian machines of 64 bits: pages of a fixed size, each with a header of 16
bytes that holds its own number. A small value lies beside its key, a larger one on consecutive pages of its own behind
one header. LMDB never changes a page in place, so leaves that no tree leads to any more lie about as well. In a file
that was only ever added to, as LSUN's, what they say still holds, and keys found twice count once.
"""

import heapq
import os
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<QHHHH")  # page number, padding, flags, lower and upper end of the free space
_OVERFLOW_HEADER = struct.Struct("<QHHI")  # page number, padding, flags, how many pages
_NODE = struct.Struct("<HHHH")  # low and high half of the value's size, flags, length of the key
_LEAF, _OVERFLOW = 2, 4
_BIG = 1  # flag of a node: the value lies on pages of its own

Entry = tuple[bytes, int, int]  # key, offset of its value in the file, length


class CutLmdb:
    """The file `path`. Memory: one key for each leaf page, so 5 MB for LSUN's 3 million keys."""

    def __init__(self, path: str, page_size: int):
        self._page_size = page_size
        self._file = open(path, "rb")  # noqa: SIM115  open as long as this object lives
        self._pages = os.fstat(self._file.fileno()).st_size // page_size
        self._leaves = sorted((entries[0][0], page) for page, entries in self._scan())
        self._ahead: Iterator[Entry] = iter(())
        self._last: Entry | None = None

    def entries(self) -> Iterator[Entry]:
        """Every entry that can still be found, in the order of keys; its value may lie beyond the end of the file."""
        waiting: list[Entry] = []
        last = None
        for first, page in [*self._leaves, (None, None)]:
            while waiting and (first is None or waiting[0][0] < first):
                entry = heapq.heappop(waiting)
                if entry[0] != last:
                    yield entry
                last = entry[0]
            for entry in self._entries_of(page) if first is not None else ():
                heapq.heappush(waiting, entry)

    def place(self, key: bytes) -> tuple[int, int]:
        """(offset in the file, length) of a value; KeyError without the key. Quick for keys in ascending order."""
        if self._last is None or self._last[0] > key:
            self._ahead = self.entries()
            self._last = next(self._ahead, None)
        while self._last is not None and self._last[0] < key:
            self._last = next(self._ahead, None)
        if self._last is None or self._last[0] != key:
            raise KeyError(key)
        return self._last[1:]

    def _scan(self) -> Iterator[tuple[int, list[Entry]]]:
        """(page number, entries) of every leaf that has some."""
        page = 0
        while page < self._pages:
            header = os.pread(self._file.fileno(), _OVERFLOW_HEADER.size, page * self._page_size)
            number, _, flags, count = _OVERFLOW_HEADER.unpack(header)
            if number == page and flags & _OVERFLOW:
                page += max(1, count)
                continue
            if number == page and flags & _LEAF and (entries := self._entries_of(page)):
                yield page, entries
            page += 1

    def _entries_of(self, number: int) -> list[Entry]:
        """The entries of a leaf; none where it is not sound."""
        begin = number * self._page_size
        page = os.pread(self._file.fileno(), self._page_size, begin)
        lower = _HEADER.unpack_from(page)[3]
        entries = []
        try:
            for at in struct.unpack_from(f"<{(lower - _HEADER.size) // 2}H", page, _HEADER.size):
                low, high, flags, key_size = _NODE.unpack_from(page, at)
                behind = at + _NODE.size + key_size
                offset = begin + behind
                if flags & _BIG:
                    offset = struct.unpack_from("<Q", page, behind)[0] * self._page_size + _HEADER.size
                key = page[at + _NODE.size : behind]
                if b"\0" not in key:  # LMDB's list of free pages lies in leaves too; its keys are numbers
                    entries.append((key, offset, low | high << 16))
        except struct.error:  # an offset that leads out of the page
            return []
        return entries
