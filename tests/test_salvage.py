"""Damaged shards: what is wrong is named, what is sound is read, and the numbers add up."""

import dataclasses
import os
import pathlib
import random
import struct

import numpy as np
import pytest
import tensorflow as tf

from colorgan_tf import records
from colorgan_tf.input_pipeline import training_batches
from colorgan_tf.records import encode_example
from colorgan_tf.salvage import examine, first_problem, masked_crc32c, salvage
from tests.conftest import write_dataset

MUTATIONS = 2000 if os.environ.get("COLORGAN_FULL") else 60


@pytest.fixture
def source(tmp_path) -> records.Source:
    """21 photos in three shards."""
    return records.open_split(
        write_dataset(tmp_path / "data", counts={"train": 21, "val": 2}, shards=3), "train", 16, may_be_damaged=True
    )


def frames(path) -> list[tuple[int, int]]:
    """(begin, end) of every frame of a sound file, from the lengths alone."""
    content = pathlib.Path(path).read_bytes()
    found, at = [], 0
    while at < len(content):
        end = at + 16 + struct.unpack("<Q", content[at : at + 8])[0]
        found.append((at, end))
        at = end
    return found


def rewrite(path, change):
    """Replaces a file's content by change(content)."""
    file = pathlib.Path(path)
    file.write_bytes(change(file.read_bytes()))


def test_checksum_is_crc32c():
    """The check value of CRC-32C, and TensorFlow's own use of it."""
    masked = masked_crc32c(b"123456789")
    unmasked = (masked - 0xA282EAD8) & 0xFFFFFFFF
    assert ((unmasked >> 17) | (unmasked << 15)) & 0xFFFFFFFF == 0xE3069283


def test_sound_shards_are_left_alone(source, tmp_path):
    assert first_problem(source) is None
    assert salvage(source, str(tmp_path / "salvaged")) == (source, 0)
    assert not (tmp_path / "salvaged").exists()


def flip(at):
    return lambda content: content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage, lost, words",
    [
        (lambda begin, end: flip(begin + 40), 1, "record 2: checksum does not match"),
        (lambda begin, end: flip(begin + 3), 1, "record 2: no record at byte"),
        (lambda begin, end: lambda content: content[: end - 5], 5, "record 2: no record at byte"),
        (lambda begin, end: lambda content: content[:begin] + content[end:], 1, "6 records, dataset.json says 7"),
        (lambda begin, end: lambda content: content[:begin] + b"\0" * 5000 + content[end:], 1, "record 2: no record"),
        (lambda begin, end: lambda content: b"", 7, "0 records, dataset.json says 7"),
    ],
    ids=["data", "length", "cut off", "a record less", "overwritten with zeros", "empty"],
)
def test_damage_is_named_and_costs_the_records_it_hit(source, tmp_path, damage, lost, words):
    path = source.files[1]
    rewrite(path, damage(*frames(path)[2]))
    problem = first_problem(source)
    assert problem.startswith(f"{path}: {words}"), problem
    left, number = salvage(source, str(tmp_path / "salvaged"))
    assert (number, left.count) == (lost, 21 - lost)
    assert len({picture.tobytes() for picture in one_epoch(left)}) == 21 - lost


def one_epoch(source) -> list[np.ndarray]:
    """Every photo of a source, through the pipeline of training."""
    batches = training_batches(source, 1, 1, seed=0, shuffle_buffer=8).take(source.count)
    return [batch.numpy()[0, 0] for batch in batches]


@pytest.mark.parametrize(
    "record, words",
    [
        (encode_example(b"not a picture", "png", 16, 16, "x"), "its picture cannot be decoded"),
        (b"\xff\xff\xff", "not a tf.train.Example"),
        (
            tf.train.Example(
                features=tf.train.Features(
                    feature={"label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))}
                )
            ).SerializeToString(),
            "not of this project's schema (it has label;",
        ),
        (
            encode_example(tf.io.encode_png(np.zeros((24, 32, 3), np.uint8)).numpy(), "png", 24, 32, "x"),
            "a picture of 32 x 24 pixels; dataset.json says 16 x 16",
        ),
        (
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        "image/encoded": tf.train.Feature(
                            bytes_list=tf.train.BytesList(
                                value=[tf.io.encode_png(np.zeros((16, 16, 3), np.uint8)).numpy()]
                            )
                        )
                    }
                )
            ).SerializeToString(),
            "fields of this project's schema are missing",
        ),
    ],
    ids=["picture", "no example", "foreign", "size", "fields"],
)
def test_sound_frames_with_wrong_content_are_told_apart(source, tmp_path, record, words):
    good = [r.data for r in examine(source.files[0], 16)]
    with tf.io.TFRecordWriter(source.files[0]) as writer:
        for data in [*good[:3], record, *good[4:]]:
            writer.write(data)
    assert f"{source.files[0]}: record 3: {words}" in first_problem(source)
    left, lost = salvage(source, str(tmp_path / "salvaged"))
    assert (lost, left.count, len(one_epoch(left))) == (1, 20, 20)


def test_nothing_left_is_an_error(source, tmp_path):
    for path in source.files:
        rewrite(path, lambda content: os.urandom(len(content)))
    with pytest.raises(ValueError, match="no record of split train can be read"):
        salvage(source, str(tmp_path / "salvaged"))


def mutate(content: bytes, rng: random.Random) -> tuple[bytes, int, int]:
    """(mutated content, begin and end of the bytes of the original that were touched)."""
    at = rng.randrange(len(content))
    length = min(rng.choice([1, 1, 4, 12, 100, 1000]), len(content) - at)
    kind = rng.choice(["flip", "random", "zero", "cut", "delete", "insert"])
    if kind == "flip":
        return flip(at)(content), at, at + 1
    if kind == "cut":
        return content[:at], at, len(content)
    if kind == "insert":
        return content[:at] + rng.randbytes(length) + content[at:], at, at + 1
    new = {"random": rng.randbytes(length), "zero": b"\0" * length, "delete": b""}[kind]
    return content[:at] + new + content[at + length :], at, at + length


def test_mutated_shards(source, tmp_path):
    """Whatever happens to a shard, the records that it did not happen to are read, and no others come in."""
    path = source.files[0]
    content = pathlib.Path(path).read_bytes()
    places = frames(path)
    pictures = [tf.io.decode_png(picture(r.data)).numpy().tobytes() for r in examine(path, 16)]
    alone = dataclasses.replace(source, files=(path,), counts=(len(places),))
    rng = random.Random(11)
    broken = 0
    for _ in range(MUTATIONS):
        mutated, begin, end = mutate(content, rng)
        pathlib.Path(path).write_bytes(mutated)
        untouched = {
            pictures[i] for i, (first, last) in enumerate(places) if last <= begin or (first >= end and end > begin)
        }
        problem = first_problem(alone)
        assert problem is None or problem.startswith(path)
        try:
            left, lost = salvage(alone, str(tmp_path / "salvaged"))
        except ValueError:
            assert not untouched
            continue
        seen = {photo.tobytes() for photo in one_epoch(left)}
        assert untouched <= seen <= set(pictures)
        assert left.count == len(seen) == len(places) - lost
        assert problem or not lost  # bytes put in between two records cost none, but are told
        broken += lost > 0
    assert broken > MUTATIONS / 2


def picture(serialized: bytes) -> bytes:
    return tf.train.Example.FromString(serialized).features.feature["image/encoded"].bytes_list.value[0]
