"""Mutated photos through the converter: no crash, no hang, and every photo is either in or listed as left out.

160 photos here; 2,000 with COLORGAN_FULL=1.
"""

import os
import random
import time

import numpy as np
from conversion_tools import photo, records, run

from data.folder import FolderSource

COUNT = 2000 if os.environ.get("COLORGAN_FULL") == "1" else 160
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Bits flipped, a stretch cut out, overwritten or repeated, the end cut off, or a size field blown up."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        if not out:
            break
        at = rng.randrange(len(out)) if rng.random() < 0.6 else rng.randrange(min(len(out), 64))  # headers matter most
        length = min(rng.choice((1, 2, 4, 16, 200)), len(out) - at)
        match rng.randrange(6):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + length]
            case 2:
                out[at : at + length] = rng.randbytes(length)
            case 3:
                out[at:at] = out[at : at + length]
            case 4:
                del out[max(at, 1) :]
            case 5:
                out[at : at + length] = rng.choice((b"\xff", b"\x00", b"\x7f")) * length
    return bytes(out)


def test_mutated_photos(tmp_path):
    rng = random.Random(0)
    folder = tmp_path / "in"
    folder.mkdir()
    intact = set()
    for index in range(COUNT):
        file_format = FORMATS[index % len(FORMATS)]
        data = photo(index, file_format=file_format)
        name = f"{index:04d}.{file_format.lower()}"
        if index % 10 == 7:
            intact.add(name)
        else:
            data = mutate(data, rng)
        (folder / name).write_bytes(data)
    source = FolderSource([str(folder)])
    began = time.monotonic()
    info = run(source, tmp_path / "out", workers=2, image_size=16)
    assert time.monotonic() - began < 60 + 0.2 * COUNT  # no photo, however broken, takes long
    taken = {key: picture for split in records(tmp_path / "out").values() for key, picture in split}
    left_out = {entry["key"]: entry["reason"] for entry in info.left_out}
    assert taken.keys() | left_out.keys() == {path.name for path in folder.iterdir()}
    assert len(taken) + len(left_out) == COUNT == info.count("train") + info.count("val") + len(info.left_out)
    assert intact <= taken.keys()
    assert all(picture.shape == (16, 16, 3) and picture.dtype == np.uint8 for picture in taken.values())
    assert all(reason and "\n" not in reason and "0x" not in reason for reason in left_out.values())
    assert 0.1 * COUNT < len(left_out) < 0.9 * COUNT  # mutations that break nothing, or all, would test little
    print(f"{len(taken)} taken, {len(left_out)} left out of {COUNT}")
