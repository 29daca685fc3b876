"""data.verify finds what is broken, names it, and is silent when nothing is."""

import dataclasses
import json
import shutil

import pytest
from conversion_tools import photo, run

from colorgan_tf import records
from data.rooms import RoomSource
from data.verify import main, problems


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "data"
    run(RoomSource(60, 0), folder, image_size=8)
    return folder


@pytest.fixture
def data(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")


def shard(data, index=2):
    return sorted(data.glob("*-train-*"))[index]


def rewrite(data, file, change):
    """Passes the raw records of a shard through `change` and brings dataset.json's size and checksum up to date."""
    import hashlib

    import tensorflow as tf

    kept = [change(i, raw) for i, raw in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for raw in kept:
            if raw is not None:
                writer.write(raw)
    info = records.DatasetInfo.read(str(data))
    bytes_now = file.read_bytes()
    for shards in info.splits.values():
        for i, entry in enumerate(shards):
            if entry.file == file.name:
                digest = hashlib.sha256(bytes_now).hexdigest()
                shards[i] = dataclasses.replace(entry, bytes=len(bytes_now), sha256=digest)
    info.write(str(data))


def test_nothing_to_say_about_whole_data(whole):
    assert list(problems(str(whole))) == []


@pytest.mark.parametrize("position", [3, 20, 500, -2])  # in a length, its checksum, a picture, a record's checksum
def test_one_changed_byte_is_found(data, position):
    file = shard(data)
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    found = list(problems(str(data)))
    assert found and all(file.name in line for line in found)
    assert any("SHA-256" in line for line in found) and any("damaged at record" in line for line in found)


def test_a_truncated_a_missing_and_a_foreign_shard_are_named(data):
    short, gone = shard(data, 0), shard(data, 1)
    short.write_bytes(short.read_bytes()[:-10])
    gone.unlink()
    (data / "other.tfrecord").write_bytes(b"")
    found = "\n".join(problems(str(data)))
    assert f"{short.name} (train): {short.stat().st_size} bytes, expected {short.stat().st_size + 10}" in found
    assert f"{gone.name} (train): cannot be read" in found
    assert "other.tfrecord: not in dataset.json" in found


def test_a_missing_record_is_counted(data):
    rewrite(data, shard(data), lambda i, raw: None if i == 1 else raw)
    (found,) = problems(str(data))
    assert "records, expected" in found


def test_records_that_are_whole_and_wrong(data):
    """Checksums are right, so only looking into the records can tell."""
    png = photo(0, 8, 8)
    wrong = {
        0: b"\x0anot an example",
        1: records.encode_example(png[:40], "png", 8, 8, "half"),
        2: records.encode_example(photo(0, 16, 16), "png", 16, 16, "large"),
        3: records.encode_example(png, "png", 8, 9, "lies"),
    }
    rewrite(data, shard(data), lambda i, raw: wrong.get(i, raw))
    found = list(problems(str(data)))
    assert len(found) == 4 and all(f"record {i}" in line for i, line in enumerate(found))
    assert (
        "half" in found[1] and "large" in found[2] and "16 x 16, expected RGB 8 x 8" in found[2] and "lies" in found[3]
    )


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("image_size", "8", "image_size is '8', expected int"),
        ("seed", None, "seed is None, expected int"),
        ("splits", [1, 2], ""),
        ("splits", {"train": [{"file": "a"}]}, ""),
        ("splits", {"train": [{"file": "../a", "count": 1, "bytes": 1, "sha256": "0"}]}, "no shard is called '../a'"),
        ("splits", {"train": [{"file": "a", "count": -1, "bytes": 1, "sha256": "0"}]}, "has -1 records"),
        ("splits", {"train": [{"file": "a", "count": 1.5, "bytes": 1, "sha256": "0"}]}, "count is 1.5, expected int"),
    ],
)
def test_a_description_that_somebody_edited_is_one_line(data, capsys, field, value, words):
    path = data / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert main(["verify", str(data)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"verify: {path}: not a dataset description (") and words in line


def test_the_program(data, tmp_path, capsys):
    file = shard(data)
    assert main(["verify", str(data)]) == 0
    assert "all as dataset.json says" in capsys.readouterr().out
    file.write_bytes(file.read_bytes()[:-1])
    assert main(["verify", str(data)]) == 1
    assert str(data / file.name) in capsys.readouterr().err
    assert main(["verify", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line and "dataset.json" in line
    assert main(["verify"]) == 2
