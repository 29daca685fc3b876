"""LSUN: an LMDB folder of WebP or JPEG photos, read through tensorflow-io.

The only module that needs tensorflow-io, whose last release, 0.37.1, loads under TensorFlow 2.16 and 2.17 only. A
truncated LMDB, which no library reads, goes through cut_lmdb.py and costs the photos that lie beyond its end.

Keys are read without their values: LMDB keeps a photo on pages of its own, away from the keys, so that choosing among
3 million keys reads some 200 MB of the 43 GB. Photos are then read by key, only those that were chosen.
"""

import dataclasses
import importlib.util
import logging
import os
import struct
import sys
from collections.abc import Iterator, Sequence

from data.cut_lmdb import CutLmdb
from data.sources import EncodedPhoto, InputError, Job, StoredPhoto

_logger = logging.getLogger(__name__)
_KEYS_AT_A_TIME = 4096

# LMDB's data.mdb begins with two meta pages, of which the one with the higher transaction number counts:
# 16 bytes of page header, then magic, version, address, map size, two tables of 48 bytes (the first begins with the
# page size; in the second, the number of entries lies at 32), last page, transaction number.
_META = struct.Struct("<16x II 16x I44x 32xQ8x QQ")
_MAGIC = 0xBEEFC0DE


class LsunSource:
    """The photos of one LMDB folder such as bedroom_train_lmdb; keys are LSUN's 40 hex characters."""

    def __init__(self, folder: str):
        self._folder = folder
        self._state = _check(folder)
        self._lost: list[dict[str, str]] = []
        self._cut = None
        if self._state.size < self._state.needed:
            _logger.warning("%s: %s; going on with the photos that are there", self._state.path, self._state.damage)
            self._cut = CutLmdb(self._state.path, self._state.page_size)
        else:
            self._tf, self._ops, self._tensor = _open(folder)

    def fingerprint(self) -> str:
        return f"lmdb {self._state.size} {self._state.entries} {self._state.transaction}"

    def keys(self) -> Iterator[str]:
        found = 0
        for key in (entry[0] for entry in self._cut.entries()) if self._cut else self._keys_of_whole():
            if not (key.isascii() and key.decode().isprintable()):
                raise InputError(f"{self._folder}: key {key!r} is not plain text; expected LSUN's 40 hex characters")
            found += 1
            yield key.decode()
        if self._cut:
            if not found:
                raise InputError(f"{self._state.path}: {self._state.damage}, and no key is left; fetch it again")
            lost = max(0, self._state.entries - found)
            reason = f"{self._state.damage}; with it the keys of {lost:,} of {self._state.entries:,} photos"
            self._lost = [{"key": os.path.basename(self._state.path), "reason": reason}]

    def _keys_of_whole(self) -> Iterator[bytes]:
        tf = self._tf
        resource = self._ops.io_lmdb_readable_init(self._folder, container="", shared_name=f"keys of {id(self)}")
        start = 0
        while True:
            keys = self._ops.io_lmdb_readable_read(
                resource, start=start, stop=start + _KEYS_AT_A_TIME, shape=tf.TensorShape([None]), dtype=tf.string
            ).numpy()
            if not len(keys):
                return
            start += len(keys)
            yield from keys

    def lost(self) -> list[dict[str, str]]:
        return self._lost

    def jobs(self, keys: Sequence[str]) -> list[Job]:
        if self._cut:
            return [StoredPhoto(self._state.path, *self._cut.place(key.encode())) for key in keys]
        try:
            values = self._tensor[self._tf.constant(list(keys))].numpy()
        except self._tf.errors.OpError as error:
            raise InputError(f"{self._folder}: a photo among {keys[0]} .. {keys[-1]}: {error.message}") from None
        return [EncodedPhoto(value) for value in values]


@dataclasses.dataclass(frozen=True)
class _State:
    """What data.mdb says of itself.

    size and needed: bytes it has and should have. entries: number of photos.
    """

    path: str
    size: int
    needed: int
    page_size: int
    entries: int
    transaction: int

    @property
    def damage(self) -> str:
        return f"truncated, {self.size:,} of {self.needed:,} bytes"


def _check(folder: str) -> _State:
    """Looks at the first pages; InputError unless `folder` holds an LMDB with photos.

    LMDB maps the file into memory: reading beyond the end of a truncated one would end the process without a word.
    """
    path = os.path.join(folder, "data.mdb")
    try:
        with open(path, "rb") as file:
            first = file.read(_META.size)
            page_size = _META.unpack(first)[2] if len(first) == _META.size else 0
            file.seek(page_size)
            second = file.read(_META.size)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected an LMDB folder such as bedroom_train_lmdb") from None
    metas = [_META.unpack(page) for page in (first, second) if len(page) == _META.size]
    if len(metas) < 2 or any(meta[0] != _MAGIC or meta[1] != 1 for meta in metas):
        raise InputError(f"{path}: not an LMDB file; expected an LMDB folder such as bedroom_train_lmdb")
    _, _, _, entries, last_page, transaction = max(metas, key=lambda meta: meta[-1])
    if entries == 0:
        raise InputError(f"{path}: an LMDB without photos")
    return _State(path, size, (last_page + 1) * page_size, page_size, entries, transaction)


def _open(folder: str):
    """(tensorflow, tensorflow-io's operations, the LMDB as a tensor that is indexed by keys)."""
    needs = (
        "--source=lsun: needs tensorflow-io 0.37.1 and TensorFlow 2.17.1, so Python 3.11 or 3.12 "
        f"(this is Python {sys.version_info[0]}.{sys.version_info[1]})"
    )
    if importlib.util.find_spec("tensorflow_io") is None:
        raise InputError(needs)
    import tensorflow as tf
    import tensorflow_io as tfio

    try:
        from tensorflow_io.python.ops import core_ops

        core_ops.io_lmdb_readable_init  # noqa: B018  (loads the library, which fails under a newer TensorFlow)
    except (ImportError, NotImplementedError, AttributeError):
        raise InputError(f"{needs}, and TensorFlow {tf.__version__}") from None
    try:
        return tf, core_ops, tfio.IOTensor.from_lmdb(folder)
    except tf.errors.OpError as error:
        raise InputError(f"{folder}: cannot be opened as LMDB: {error.message}") from None
