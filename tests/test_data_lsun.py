"""The LSUN path, on a real LMDB with real WebP and JPEG values and 40-hex keys, written by the lmdb package."""

import hashlib
import io
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from conversion_tools import digests, photo, records, run
from PIL import Image

from data.pictures import decode_square
from data.sources import InputError

lmdb = pytest.importorskip("lmdb")
needs_tfio = pytest.mark.skipif(sys.version_info >= (3, 13), reason="tensorflow-io has no release for this TensorFlow")


def write_lmdb(folder, count, values=None):
    """LSUN's format; returns key -> value."""
    values = values or [photo(i, 32, 44, "WEBP" if i % 3 else "JPEG") for i in range(count)]
    keys = [hashlib.sha1(f"photo {i}".encode()).hexdigest() for i in range(count)]
    with lmdb.open(str(folder), map_size=1 << 28) as env, env.begin(write=True) as transaction:
        for key, value in zip(keys, values, strict=True):
            transaction.put(key.encode(), value)
    return dict(zip(keys, values, strict=True))


def source(folder):
    from data.lsun import LsunSource

    return LsunSource(str(folder))


@needs_tfio
def test_every_photo_of_the_lmdb_arrives(tmp_path):
    content = write_lmdb(tmp_path / "bedroom_train_lmdb", 40)
    kinds = {Image.open(io.BytesIO(value)).format for value in content.values()}
    assert kinds == {"WEBP", "JPEG"}
    lsun = source(tmp_path / "bedroom_train_lmdb")
    assert list(lsun.keys()) == sorted(content)
    info = run(lsun, tmp_path / "out", image_size=16, val_fraction=0.25)
    got = records(tmp_path / "out")
    pictures = dict(got["train"] + got["val"])
    assert set(pictures) == set(content) and info.left_out == []
    for key, picture in pictures.items():
        with Image.open(io.BytesIO(content[key])) as image:
            original = np.asarray(image.convert("RGB").crop((6, 0, 38, 32))).astype(float)
        blocks = original.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
        assert np.abs(picture - blocks).mean() < 4


@needs_tfio
@pytest.mark.parametrize("seed", [0, 7])
def test_the_chosen_set_equals_an_independently_computed_one(tmp_path, seed):
    content = write_lmdb(tmp_path / "in", 300)
    run(source(tmp_path / "in"), tmp_path / "out", max_images=120, seed=seed)
    got = records(tmp_path / "out")
    # The rule, written down a second time: the smallest SHA-256 of "seed:key"; to val by SHA-256 of "split:key".
    by_hash = sorted(content, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).hexdigest())
    chosen = set(by_hash[:120])
    to_val = {key for key in chosen if int(hashlib.sha256(f"split:{key}".encode()).hexdigest()[:8], 16) < 0.2 * 2**32}
    assert {key for key, _ in got["val"]} == to_val
    assert {key for key, _ in got["train"]} == chosen - to_val
    assert len(got["train"]) + len(got["val"]) == 120
    run(source(tmp_path / "in"), tmp_path / "again", max_images=120, seed=seed, workers=2)
    assert digests(tmp_path / "again") == digests(tmp_path / "out")


@needs_tfio
def test_keys_are_read_in_one_pass_however_many(tmp_path):
    """More keys than fit one reading operation."""
    with lmdb.open(str(tmp_path / "in"), map_size=1 << 28) as env, env.begin(write=True) as transaction:
        expected = sorted(hashlib.sha1(str(i).encode()).hexdigest() for i in range(10_000))
        for key in expected:
            transaction.put(key.encode(), b"x", append=True)
    assert list(source(tmp_path / "in").keys()) == expected


@needs_tfio
def test_a_damaged_photo_costs_that_photo(tmp_path):
    values = [photo(i, 32, 44, "WEBP") for i in range(20)]
    values[4], values[9], values[11] = values[4][:100], b"", b"junk" * 50
    content = write_lmdb(tmp_path / "in", 20, values)
    info = run(source(tmp_path / "in"), tmp_path / "out")
    keys = list(content)
    assert {entry["key"] for entry in info.left_out} == {keys[4], keys[9], keys[11]}
    assert info.count("train") + info.count("val") == 17


@pytest.mark.parametrize("share", [0.95, 0.6, 0.3])
def test_a_truncated_lmdb_costs_the_photos_behind_its_end(tmp_path, share, caplog):
    """Reading such a file through LMDB would end the process with a bus error."""
    values = [photo(i, 32 + 24 * (i % 7), 44 + 24 * (i % 7), "WEBP" if i % 3 else "PNG") for i in range(400)]
    content = write_lmdb(tmp_path / "in", 400, values)
    path = tmp_path / "in" / "data.mdb"
    whole = path.read_bytes()
    assert any(len(value) < 2000 for value in values) and any(len(value) > 4096 for value in values)  # both layouts
    os.truncate(path, int(share * len(whole)) - 1234)
    left = path.read_bytes()

    info = run(source(tmp_path / "in"), tmp_path / "out")
    assert f"{path}: truncated, {len(left):,} of {len(whole):,} bytes; going on with" in caplog.text
    got = records(tmp_path / "out")
    taken = dict(got["train"] + got["val"])
    assert taken
    for key, picture in taken.items():  # what comes out is right
        np.testing.assert_array_equal(picture, decode_square(content[key], 16))
    (lost,) = [entry for entry in info.left_out if entry["key"] == "data.mdb"]
    without_keys = int(re.search(r"with it the keys of (\d+) of 400 photos", lost["reason"])[1])
    cut = {entry["key"] for entry in info.left_out} - {"data.mdb"}
    assert len(taken) + len(cut) + without_keys == 400  # and the numbers add up
    assert all(content[key] not in left for key in cut)  # none is given up that is there with its key
    assert all("cut off" in entry["reason"] for entry in info.left_out if entry["key"] in cut)
    # A key is found if no page that it stands on is cut off, and not if all of them are.
    found = taken.keys() | cut
    end = len(left) // 4096 * 4096
    places = {key: [match.start() for match in re.finditer(key.encode(), whole)] for key in content}
    assert {key for key in content if max(places[key]) < end} <= found
    assert found <= {key for key in content if min(places[key]) < end}
    assert list(source(tmp_path / "in").keys()) == sorted(found)


def test_an_lmdb_of_many_transactions_is_read_whatever_lies_behind_its_end(tmp_path):
    """With leaves of every age in it, and its root anywhere."""
    content = {hashlib.sha1(str(i).encode()).hexdigest(): photo(i, 32, 44) for i in range(300)}
    with lmdb.open(str(tmp_path / "in"), map_size=1 << 28) as env:
        keys = list(content)
        for first in range(0, 300, 10):
            with env.begin(write=True) as transaction:
                for key in keys[first : first + 10]:
                    transaction.put(key.encode(), content[key])
    path = tmp_path / "in" / "data.mdb"
    os.truncate(path, path.stat().st_size - 1)  # only the very last page
    lsun = source(tmp_path / "in")
    found = list(lsun.keys())
    assert found == sorted(set(found)) and set(found) <= set(content) and len(found) > 200
    for some in (found, found[::-1], found[50:60]):
        for key, job in zip(some, lsun.jobs(some), strict=True):
            whole = path.read_bytes()[job.offset : job.offset + job.length]
            assert whole == content[key] or job.offset + job.length > path.stat().st_size
    with pytest.raises(KeyError):
        lsun.jobs(["0" * 40])


@pytest.mark.parametrize("make", ["missing", "empty", "no-data", "junk", "zeros", "rootless", "one-page", "no-photos"])
def test_what_is_not_an_lmdb_is_one_line(tmp_path, make):
    folder = tmp_path / "in"
    if make in ("rootless", "one-page", "no-photos"):
        write_lmdb(folder, 0 if make == "no-photos" else 50)
        size = (folder / "data.mdb").stat().st_size
        with open(folder / "data.mdb", "r+b") as file:
            file.truncate({"rootless": 2 * 4096, "one-page": 4096, "no-photos": size}[make])
    elif make != "missing":
        folder.mkdir()
        if make in ("junk", "zeros", "no-data"):
            data = {"junk": struct.pack("<I", 7) * 5000, "zeros": bytes(20_000), "no-data": b""}[make]
            (folder / "data.mdb").write_bytes(data)
    with pytest.raises(InputError) as caught:
        list(source(folder).keys())
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    if make == "rootless":
        assert f"8,192 of {size:,} bytes" in str(caught.value)


def test_without_tensorflow_io_one_line_says_what_it_needs(tmp_path):
    """On Python 3.13 by itself; elsewhere with the package hidden."""
    write_lmdb(tmp_path / "in", 3)
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'tensorflow_io' else find(name, *rest)\n"
        "sys.argv[0] = 'convert'\n"
        "from absl import app; from data import convert; app.run(convert.main)"
    )
    arguments = ["--source=lsun", f"--input={tmp_path}/in", f"--output={tmp_path}/out"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "--source=lsun" in line and "tensorflow-io 0.37.1" in line and "3.12" in line
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
