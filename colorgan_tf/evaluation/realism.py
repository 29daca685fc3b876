"""Gathers, during the pass, what the classifier test and the Frechet distance need, and then runs them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from colorgan_tf.evaluation import classifier
from colorgan_tf.evaluation.frechet import Gaussian
from colorgan_tf.evaluation.measure import TRUTH
from colorgan_tf.evaluation.sources import Batch, Subsample, draw

HALVES = ("truth_half_a", "truth_half_b")


def half(seed: int, key: str) -> str:
    """ "a" or "b": which half of the truth a photo is in, for the yardsticks."""
    return "a" if draw(seed, "half", key) < 0.5 else "b"


class ClassifierTest:
    """One colouring (the first) of each of at most `size` photos per system, as bytes; then a classifier for each."""

    def __init__(self, size: int, seed: int):
        self._size, self._seed = size, seed
        self._kept: dict[str, Subsample] = {}

    def __call__(self, name: str, batch: Batch, rgb: np.ndarray) -> None:
        """See `measure.Observer`."""
        kept = self._kept.setdefault(name, Subsample(self._size, self._seed, "classifier"))
        for key, colourings in zip(batch.keys, rgb, strict=True):
            kept.offer(key, lambda shown=colourings[0]: classifier.to_bytes(shown))

    def results(self, progress: Callable[[str], None] = lambda name: None) -> dict[str, dict[str, Any] | None]:
        """By system, and for the halves of the truth: the verdict's fields; None where there are too few photos."""
        truth_items = self._kept[TRUTH].items()
        keys = [key for key, _ in truth_items]
        truth = np.stack([shown for _, shown in truth_items])
        in_train = np.array([draw(self._seed, "classifier half", key) < 0.5 for key in keys])
        in_b = np.array([half(self._seed, key) == "b" for key in keys])
        cells = [int((in_train == t).sum()) for t in (False, True)]
        cells += [int(((in_train == t) & (in_b == b)).sum()) * 2 for t in (False, True) for b in (False, True)]
        names = [name for name in self._kept if name != TRUTH]
        if min(cells) < classifier.MIN_PHOTOS:
            return dict.fromkeys([*names, *HALVES])
        found: dict[str, dict[str, Any] | None] = {}
        for name in names:
            progress(name)
            shown = np.stack([picture for _, picture in self._kept[name].items()])
            found[name] = dataclasses.asdict(classifier.paired(truth, shown, in_train, self._seed))
        progress("truth")
        verdict = dataclasses.asdict(classifier.halves(truth, in_b, in_train, self._seed))
        return {**found, **dict.fromkeys(HALVES, verdict)}


class FrechetTest:
    """Running Gaussians of features of truth's halves and of each system's first colourings."""

    def __init__(self, features: Callable[[np.ndarray], np.ndarray], size: int, seed: int):
        """features: pictures [n, h, w, 3] in [0, 1] to vectors [n, size]."""
        self._features, self._seed, self._size = features, seed, size
        self._gaussians: dict[str, Gaussian] = {}

    def __call__(self, name: str, batch: Batch, rgb: np.ndarray) -> None:
        """See `measure.Observer`."""
        vectors = self._features(rgb[:, 0])
        if name != TRUTH:
            self._add(name, vectors)
            return
        in_b = np.array([half(self._seed, key) == "b" for key in batch.keys])
        for own_name, chosen in zip(HALVES, (~in_b, in_b), strict=True):
            self._add(own_name, vectors[chosen])

    def _add(self, name, vectors):
        self._gaussians.setdefault(name, Gaussian(self._size)).add(vectors)

    def results(self) -> dict[str, float | None]:
        """By system: the distance to all of truth; for the halves, to one another."""
        a, b = (self._gaussians.pop(name) for name in HALVES)
        truth = a + b
        found = {name: gaussian.distance(truth) for name, gaussian in self._gaussians.items()}
        return {**found, **dict.fromkeys(HALVES, a.distance(b))}
