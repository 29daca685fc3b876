"""Which pictures are taken, and which split each belongs to: decided by hashes of keys, in one pass.

Hashes make both decisions the same for any order of the keys, any number of workers and after any interruption.
"""

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def split_of(key: str, val_fraction: float) -> str:
    """`val` for about `val_fraction` of all keys, else `train`.

    Depends on the key alone: more photos, another order or another seed move no photo from one split to the other.
    """
    return "val" if _hash64(f"split:{key}") < val_fraction * 2.0**64 else "train"


def rank(key: str, seed: int) -> int:
    """A number in [0, 2^64) for each key; the pictures with the smallest ranks are chosen."""
    return _hash64(f"{seed}:{key}")


class Chooser:
    """Draws `wanted` keys uniformly, without replacement, from a stream of unknown length; 0 takes all.

    Keeps ranks, not keys: about 25 bytes for each wanted key at most, however many are offered.
    """

    def __init__(self, wanted: int, seed: int):
        self._wanted, self._seed = wanted, seed
        self._smallest = np.empty(0, np.uint64)
        self._recent = array("Q")

    def offer(self, keys: Iterable[str]) -> None:
        if not self._wanted:
            return
        self._recent.extend(rank(key, self._seed) for key in keys)
        if len(self._recent) >= max(4096, self._wanted // 4):
            self._prune()

    def takes(self, key: str) -> bool:
        """Whether `key`, offered before, is among the chosen; to be asked when all keys have been offered."""
        if self._recent:
            self._prune()
        return self._smallest.size < self._wanted or not self._wanted or rank(key, self._seed) <= self._last

    def _prune(self) -> None:
        ranks = np.concatenate([self._smallest, np.frombuffer(self._recent, np.uint64)])
        self._recent = array("Q")
        if ranks.size > self._wanted:
            ranks = np.partition(ranks, self._wanted - 1)[: self._wanted]
        self._smallest, self._last = ranks, int(ranks.max())
