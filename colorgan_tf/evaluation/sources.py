"""Where the true photos come from: a data directory, or a folder of pictures; and what a batch of them is."""

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from colorgan_tf.color import luminance
from colorgan_tf.photos import SUFFIXES, open_photo


@dataclasses.dataclass(frozen=True)
class Batch:
    """Photos as they are measured: keys, and rgb float32 [b, s, s, 3] in [0, 1]."""

    keys: list[str]
    rgb: np.ndarray

    @property
    def gray(self) -> np.ndarray:
        """Luminance float32 [b, s, s, 1] in [0, 1]."""
        return np.asarray(luminance(self.rgb), np.float32)


def from_data_dir(directory: str, split: str, image_size: int) -> Iterator[tuple[str, np.ndarray]]:
    """(key, rgb float32 [s, s, 3] in [0, 1]) of every photo of a split; ValueError in one line for damaged data.

    The split is looked at here and now, its photos are read one by one.
    """
    from colorgan_tf import records

    return _read(records.open_split(directory, split, image_size, may_resize=True))


def _read(source):
    import tensorflow as tf

    from colorgan_tf import records, salvage

    try:
        for photo in records.photos_of(source):
            yield photo["key"].numpy().decode(errors="replace"), photo["rgb"].numpy()
    except tf.errors.OpError as error:
        reason = salvage.first_problem(source) or f"{source.directory}: {str(error).splitlines()[0]}"
        raise ValueError(reason) from None


def list_pictures(directory: str) -> dict[str, str]:
    """Name without suffix -> path, sorted; ValueError where there are none, or two of one name."""
    if not os.path.isdir(directory):
        raise ValueError(f"{directory}: no such folder; expected one of pictures")
    found: dict[str, str] = {}
    for name in sorted(os.listdir(directory)):
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in SUFFIXES:
            continue
        if stem in found:
            raise ValueError(f"{directory}: both {os.path.basename(found[stem])} and {name}; expected one of a name")
        found[stem] = os.path.join(directory, name)
    if not found:
        raise ValueError(f"{directory}: no pictures there; expected files ending in {', '.join(SUFFIXES)}")
    return found


def read_picture(path: str, image_size: int) -> tuple[np.ndarray, tuple[int, int]]:
    """(float32 [s, s, 3] in [0, 1], the file's (width, height)): the maximum centre square, scaled as the data is."""
    image = open_photo(path).convert("RGB")
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    square = image.crop(box) if side == image_size else image.resize((image_size,) * 2, Image.Resampling.LANCZOS, box)
    return np.asarray(square, np.float32) / np.float32(255.0), (width, height)


def from_pictures(pictures: dict[str, str], image_size: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, rgb float32 [s, s, 3] in [0, 1]) of a folder's pictures (`list_pictures`)."""
    for key, path in pictures.items():
        yield key, read_picture(path, image_size)[0]


def batches(photos: Iterable[tuple[str, np.ndarray]], size: int, limit: int = 0) -> Iterator[Batch]:
    """Photos in batches of `size`, at most `limit` of them (0: all).

    The last two batches share what is left evenly: batch statistics over a leftover of one photo mean nothing.
    """
    photos = itertools.islice(photos, limit) if limit else iter(photos)
    waiting: list[tuple[str, np.ndarray]] = []
    for photo in photos:
        waiting.append(photo)
        if len(waiting) == 2 * size:
            yield _batch(waiting[:size])
            waiting = waiting[size:]
    if len(waiting) > size:
        half = (len(waiting) + 1) // 2
        yield _batch(waiting[:half])
        waiting = waiting[half:]
    if waiting:
        yield _batch(waiting)


def _batch(photos):
    return Batch([key for key, _ in photos], np.stack([rgb for _, rgb in photos]))


def draw(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments: how photos are drawn and split."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Subsample:
    """A random subset of a stream of unknown length, holding no more than `size` values at a time.

    Kept are the `size` keys with the smallest `draw`, so every system keeps the same photos, in any order of arrival.
    """

    def __init__(self, size: int, seed: int, purpose: str):
        self.size, self.seed, self.purpose = size, seed, purpose
        self._kept: dict[str, tuple[float, Any]] = {}

    def offer(self, key: str, value: Callable[[], Any]) -> None:
        """Takes `value()` if the key is among the chosen so far."""
        rank = draw(self.seed, self.purpose, key)
        if len(self._kept) == self.size:
            worst = max(self._kept, key=lambda kept: self._kept[kept][0], default=None)
            if worst is None or rank >= self._kept[worst][0]:
                return
            del self._kept[worst]
        self._kept[key] = rank, value()

    def items(self) -> list[tuple[str, Any]]:
        """(key, value) of the chosen, in the order of the draw."""
        return [(key, value) for key, (_, value) in sorted(self._kept.items(), key=lambda item: item[1][0])]
