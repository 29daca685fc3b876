"""What is wrong with a shard, and what can still be read of it.

A TFRecord file is a chain of frames: length (8 bytes), checksum of the length (4), data, checksum of the data (4).
TensorFlow's reader stops at the first broken one; here the next sound frame is looked for behind it.
"""

import dataclasses
import functools
import os
import struct
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from colorgan_tf.records import INFO_FILE, Source, decode_record

_FRAME = 16  # bytes of a frame beside its data
_WINDOW = 1 << 20  # bytes looked at in one go when searching


@dataclasses.dataclass(frozen=True)
class Record:
    """A place in a shard. `data` is None where no sound frame is there; `problem` says what is wrong, if anything."""

    index: int
    data: bytes | None
    problem: str | None


def first_problem(source: Source) -> str | None:
    """One line that names the first broken shard of a source, the record and what is wrong with it."""
    for path, count in zip(source.files, source.counts, strict=True):
        if _readable(path, source.info.image_size) == count:
            continue
        sound = 0
        for record in examine(path, source.info.image_size):
            if record.problem:
                return f"{path}: record {record.index}: {record.problem}"
            sound += 1
        return f"{path}: {sound} records, {INFO_FILE} says {count}"
    return None


def salvage(source: Source, directory: str) -> tuple[Source, int]:
    """A source of the sound records alone, and how many are lost.

    Sound shards are used as they are; what can be read of the others is copied to `directory`. Reads everything once.
    ValueError in one line where nothing is left.
    """
    files, counts, lost = [], [], 0
    for path, count in zip(source.files, source.counts, strict=True):
        sound = _readable(path, source.info.image_size)
        if sound != count:
            records = examine(path, source.info.image_size)
            path, sound = _copy((r.data for r in records if not r.problem), path, directory)
        lost += max(0, count - sound)
        if sound:
            files.append(path)
            counts.append(sound)
    if not files:
        raise ValueError(f"{source.directory}: no record of split {source.split} can be read; convert it again")
    return dataclasses.replace(source, files=tuple(files), counts=tuple(counts)), lost


def examine(path: str, size: int) -> Iterator[Record]:
    """Every record of a shard in turn, sound or not, and the places in between where none is to be found.

    size: pixels a side of the pictures there should be.
    """
    index = 0
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        offset = 0
        while offset < end:
            length = _frame_length(file, offset, end)
            if length is None:
                problem = f"no record at byte {offset}, the file is cut off or overwritten there"
            else:
                data = file.read(length)
                checksum = struct.unpack("<I", file.read(4))[0]
                problem = f"checksum does not match the {length} bytes at byte {offset}"
            if length is not None and masked_crc32c(data) == checksum:
                yield Record(index, data, explain(data, size))
                offset += length + _FRAME
            else:
                yield Record(index, None, problem)
                # Not simply behind this frame: bytes may be missing from it.
                offset = _next_frame(file, offset + 1, end)
            index += 1


def explain(serialized: bytes, size: int) -> str | None:
    """What is wrong with a record whose checksum is right; None where nothing is."""
    try:
        decode_record(serialized, size)
        return None
    except (tf.errors.OpError, ValueError):
        pass
    try:
        features = tf.train.Example.FromString(serialized).features.feature
    except Exception:  # protobuf's DecodeError has moved between its versions
        return "not a tf.train.Example"
    if "image/encoded" not in features:
        found = ", ".join(sorted(features)[:5]) or "no features"
        return f"not of this project's schema (it has {found}; expected image/encoded and others)"
    try:
        height, width, _ = tf.io.decode_png(features["image/encoded"].bytes_list.value[0], channels=3).shape
    except (tf.errors.OpError, IndexError):
        return "its picture cannot be decoded"
    if (height, width) != (size, size):
        return f"a picture of {width} x {height} pixels; {INFO_FILE} says {size} x {size}"
    return "fields of this project's schema are missing (image/height, image/width, image/key)"


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord: CRC-32C, rotated and shifted so that checksums of checksums differ."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _LIST[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return int(_mask(np.array([crc ^ 0xFFFFFFFF], np.uint32))[0])


def _mask(crc: np.ndarray) -> np.ndarray:
    """uint32 checksums to masked ones."""
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table


_TABLE = _crc_table()
_LIST = _TABLE.tolist()


def _frame_length(file, offset: int, end: int) -> int | None:
    """Length of the data of the frame at `offset`, the file being left at its data; None where none begins there."""
    file.seek(offset)
    head = file.read(12)
    if len(head) < 12:
        return None
    length, checksum = struct.unpack("<QI", head)
    if masked_crc32c(head[:8]) != checksum or offset + length + _FRAME > end:
        return None
    return length


def _next_frame(file, offset: int, end: int) -> int:
    """Where the next frame behind `offset` begins; `end` where none does. All offsets of a window at once."""
    while offset + _FRAME <= end:
        file.seek(offset)
        window = np.frombuffer(file.read(_WINDOW + 11), np.uint8)
        starts = len(window) - 11
        crc = np.full(starts, 0xFFFFFFFF, np.uint32)
        for i in range(8):
            crc = _TABLE[(crc ^ window[i : i + starts]) & 0xFF] ^ (crc >> 8)
        parts = [window[8 + i : 8 + i + starts].astype(np.uint32) << np.uint32(8 * i) for i in range(4)]
        stored = parts[0] | parts[1] | parts[2] | parts[3]
        for candidate in np.flatnonzero(_mask(crc ^ np.uint32(0xFFFFFFFF)) == stored):
            if _frame_length(file, offset + int(candidate), end) is not None:
                return offset + int(candidate)
        offset += starts
    return end


def _readable(path: str, size: int) -> int:
    """How many records TensorFlow's reader gives and can decode."""
    return int(_reader(size)(tf.constant(path)))


@functools.cache
def _reader(size: int):
    """`_readable` as a graph, built once and not anew for every shard: that took longer than reading a small one."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def count(path):
        # The largest value is asked for because TensorFlow decodes nothing whose result it can do without.
        dataset = tf.data.TFRecordDataset(path).map(
            lambda serialized: tf.reduce_max(decode_record(serialized, size)[0]), num_parallel_calls=tf.data.AUTOTUNE
        )
        return dataset.ignore_errors().reduce(np.int64(0), lambda total, _: total + 1)

    return count


def _copy(records: Iterator[bytes], path: str, directory: str) -> tuple[str, int]:
    """(path, count) of a shard with these records."""
    os.makedirs(directory, exist_ok=True)
    target = os.path.join(directory, os.path.basename(path))
    partial = f"{target}.{os.getpid()}.partial"
    count = 0
    try:
        with tf.io.TFRecordWriter(partial) as writer:
            for record in records:
                writer.write(record)
                count += 1
        os.replace(partial, target)
    except tf.errors.OpError as error:
        raise OSError(f"{target}: cannot write the sound records of {path} ({error.message})") from None
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return target, count
