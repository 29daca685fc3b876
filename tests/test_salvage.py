"""Damaged shards: what is wrong is named, what is sound is read, and the numbers add up."""

import collections
import dataclasses
import io
import os
import pathlib
import random
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

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
    """Whatever happens to a shard, the records that it did not happen to are read, and no others come in.

    Each mutated shard is examined and salvaged by itself, and what was kept of it read here without TensorFlow; then
    all of them pass through training's pipeline together, in one epoch, which a photo more or less would stop.
    """
    content = pathlib.Path(source.files[0]).read_bytes()
    places = frames(source.files[0])
    pictures = [pixels(content[begin + 12 : end - 4]) for begin, end in places]
    assert len(set(pictures)) == len(pictures) == 7
    rng = random.Random(11)
    mutants, files, counts, total = [], [], [], collections.Counter()
    tally = dict.fromkeys(("whole", "damaged", "nothing left", "records kept", "records lost"), 0)
    for number in range(MUTATIONS):
        path = str(tmp_path / f"mutant-{number:04d}.tfrecord")
        mutants.append(path)
        alone = dataclasses.replace(source, files=(path,), counts=(len(places),))
        mutated, begin, end = mutate(content, rng)
        pathlib.Path(path).write_bytes(mutated)
        untouched = {
            pictures[i] for i, (first, last) in enumerate(places) if last <= begin or (first >= end and end > begin)
        }
        problem = first_problem(alone)
        assert problem is None or (problem.startswith(f"{path}: ") and "\n" not in problem)
        try:
            left, lost = salvage(alone, str(tmp_path / "salvaged"))
        except ValueError:
            assert not untouched and problem
            tally["nothing left"] += 1
            tally["records lost"] += len(places)
            continue
        kept = pathlib.Path(left.files[0]).read_bytes()
        seen = [pixels(kept[first + 12 : last - 4]) for first, last in frames(left.files[0])]
        assert untouched <= set(seen) <= set(pictures) and len(set(seen)) == len(seen)
        assert left.count == len(seen) == len(places) - lost
        assert problem or not lost  # bytes put in between two records cost none, but are told
        files += left.files
        counts += left.counts
        total.update(seen)
        tally["damaged" if problem else "whole"] += 1
        tally["records kept"] += left.count
        tally["records lost"] += lost
    print(tally)
    assert tally["records kept"] + tally["records lost"] == MUTATIONS * len(places)
    assert tally["damaged"] > MUTATIONS / 2 and tally["records lost"] > MUTATIONS / 2

    together = dataclasses.replace(source, files=tuple(files), counts=tuple(counts))
    assert collections.Counter(photo.tobytes() for photo in one_epoch(together)) == total
    # Unsalvaged, every mutant in turn: errors that the reader survives, and nothing but the photos that were written.
    # It stops at the first error of a shard, so the last photo comes only where none was noticed.
    raw = tf.data.Dataset.from_tensor_slices(mutants).flat_map(
        lambda path: tf.data.TFRecordDataset(path)
        .map(lambda record: records.decode_record(record, 16)[0])
        .ignore_errors()
    )
    assert set(pictures[:-1]) <= {photo.tobytes() for photo in raw.as_numpy_iterator()} <= set(pictures)


def pixels(serialized: bytes) -> bytes:
    """The picture of a record, decoded by Pillow."""
    encoded = tf.train.Example.FromString(serialized).features.feature["image/encoded"].bytes_list.value[0]
    return np.asarray(Image.open(io.BytesIO(encoded))).tobytes()
