"""One pass over the photos: every system's pictures are made, measured and let go of, batch by batch.

What is kept is sums, and the subsamples that the classifier, the Frechet features and the pictures need.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from colorgan_tf import metrics
from colorgan_tf.color import rgb_to_yuv
from colorgan_tf.evaluation.sources import Batch
from colorgan_tf.evaluation.systems import System

TRUTH = "truth"


class Profile:
    """Seconds spent by part of the work: by the clock, and of all processors, which a busy machine does not stretch."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def part(self, name: str):
        """Adds the time its block takes to `name`."""
        start, cpu_start = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            self.cpu_seconds[name] = self.cpu_seconds.get(name, 0.0) + time.process_time() - cpu_start

    def reading(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; the time to get them counts as "photos"."""
        iterator = iter(batches)
        while True:
            with self.part("photos"):
                batch = next(iterator, None)
            if batch is None:
                return
            yield batch


class Sums:
    """Running sum and sum of squares of named values, one set per photo."""

    def __init__(self):
        self.count = 0
        self._sum: dict[str, Any] = {}
        self._squares: dict[str, Any] = {}
        self._max: dict[str, float] = {}

    def add(self, values: dict[str, Any]) -> None:
        """Counts one photo's values: floats, or arrays of one shape."""
        self.count += 1
        for name, value in values.items():
            value = np.asarray(value, np.float64)
            self._sum[name] = self._sum.get(name, 0.0) + value
            self._squares[name] = self._squares.get(name, 0.0) + value * value
            self._max[name] = max(self._max.get(name, -np.inf), float(value.max()))

    def mean(self, name: str):
        """Mean over the photos; None where the value was never given."""
        return self._sum[name] / self.count if name in self._sum else None

    def max(self, name: str) -> float | None:
        """Largest over the photos."""
        return self._max.get(name)

    def standard_error(self, name: str) -> float | None:
        """Of the mean over the photos; None where there is no such thing."""
        if name not in self._sum or self.count < 2 or not np.isfinite(self._squares[name]):
            return None
        variance = (self._squares[name] - self._sum[name] ** 2 / self.count) / (self.count - 1)
        return float(np.sqrt(max(variance, 0.0) / self.count))


def measure_photo(truth: np.ndarray, rgb: np.ndarray) -> dict[str, Any]:
    """All per-photo values of k colourings rgb [k, h, w, 3] of one photo, truth [h, w, 3], both in [0, 1].

    Everything is measured on the picture as shown: chroma is that of rgb, after whatever clipping made it displayable.
    """
    y, true_chroma = rgb_to_yuv(truth.astype(np.float64))
    chroma = rgb_to_yuv(rgb.astype(np.float64))[1]
    colorful, true_colorful = metrics.colorfulness(rgb), float(metrics.colorfulness(truth))
    tint, true_tint = metrics.mean_chroma(chroma), metrics.mean_chroma(true_chroma)
    psnr = metrics.psnr(truth, rgb)
    values = {
        "colorfulness": colorful.mean(),
        "true_colorfulness": true_colorful,
        "colorfulness_gap_per_photo": np.abs(colorful - true_colorful).mean(),
        "edge_agreement": metrics.edge_agreement(y, chroma).mean(),
        "roughness_squared": np.square(metrics.roughness(y, chroma)).mean(),
        "luminance_drift": metrics.luminance_drift(y, rgb).max(),
        "luminance_l1": metrics.luminance_l1(y, rgb).mean(),
        "tint": tint.mean(axis=0),
        "true_tint": true_tint,
        "tint_distance_per_photo": np.sqrt(np.square(tint - true_tint).sum(axis=-1)).mean(),
        "truth_distance": metrics.truth_distance(chroma, true_chroma).mean(),
        "psnr": psnr.mean(),
        "psnr_curve": np.maximum.accumulate(psnr),
    }
    if len(rgb) > 1:
        values["diversity"] = metrics.diversity(chroma)
        values["local_diversity"] = metrics.local_diversity(chroma)
        values["pairwise_rms"] = metrics.pairwise_rms(chroma)
    return values


def measure_truth(truth: np.ndarray) -> dict[str, Any]:
    """The values of a photo by itself."""
    values = measure_photo(truth, truth[None])
    for name in ("psnr", "psnr_curve", "truth_distance", "colorfulness_gap_per_photo", "tint_distance_per_photo"):
        del values[name]  # of a photo to itself
    return values


@dataclasses.dataclass
class Measured:
    """What one pass gathered of one system: sums over all photos, and over each group."""

    all: Sums = dataclasses.field(default_factory=Sums)
    groups: dict[str, Sums] = dataclasses.field(default_factory=dict)

    def add(self, key: str, values: dict[str, Any], groups: list[str]) -> None:
        """Counts a photo's values for all, and for every group whose name its key contains."""
        self.all.add(values)
        for group in groups:
            if group in key:
                self.groups.setdefault(group, Sums()).add(values)


# Sees each system's pictures before they are let go of: (system's name, batch, rgb [b, k, s, s, 3]).
Observer = Callable[[str, Batch, np.ndarray], None]


def run(
    batches: Iterable[Batch],
    systems: list[System],
    half: Callable[[str], str],
    groups: list[str],
    observers: dict[str, Observer],
    profile: Profile,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[dict[str, Measured], list[str]]:
    """(what was measured by system, keys of the photos in order).

    Besides the systems there are "truth" and its halves, "truth_half_a" and "truth_half_b", told apart by `half(key)`.
    observers: by the name under which their time is counted. ValueError for no photo, or two of one key.
    """
    measured = {name: Measured() for name in (TRUTH, "truth_half_a", "truth_half_b", *(s.name for s in systems))}
    keys: dict[str, None] = {}
    for batch in profile.reading(batches):
        for key in batch.keys:
            if key in keys:
                raise ValueError(f"two photos have the key {key}; expected each once")
            keys[key] = None
        with profile.part("metrics"):
            for key, truth in zip(batch.keys, batch.rgb, strict=True):
                values = measure_truth(truth)
                measured[TRUTH].add(key, values, groups)
                measured[f"truth_half_{half(key)}"].add(key, values, groups)
        _show(observers, TRUTH, batch, batch.rgb[:, None], profile)
        for system in systems:
            with profile.part("generators" if "checksum" in system.about else "other systems"):
                rgb = system.paint(batch)
            with profile.part("metrics"):
                for key, truth, colourings in zip(batch.keys, batch.rgb, rgb, strict=True):
                    measured[system.name].add(key, measure_photo(truth, colourings), groups)
            _show(observers, system.name, batch, rgb, profile)
        progress(len(keys))
    if not keys:
        raise ValueError("there is no photo to measure by")
    return measured, list(keys)


def _show(observers, name, batch, rgb, profile):
    for part, observer in observers.items():
        with profile.part(part):
            observer(name, batch, rgb)


def summary(measured: Sums, k: int, truth: Sums, exact: bool = False) -> dict[str, Any]:
    """One system's entry in the report; None where a value was not measured.

    truth: of the same photos; the gap and the tint's distance are to it. exact: the system is truth itself.
    """

    def plain(value):
        return None if value is None or not np.all(np.isfinite(value)) else np.asarray(value).tolist()

    colorfulness, tint = measured.mean("colorfulness"), measured.mean("tint")
    roughness = measured.mean("roughness_squared")
    entry = {
        "photos": measured.count,
        "k": k,
        "colorfulness": plain(colorfulness),
        "colorfulness_gap": None if exact else plain(abs(colorfulness - truth.mean("colorfulness"))),
        "colorfulness_gap_per_photo": plain(measured.mean("colorfulness_gap_per_photo")),
        "diversity": plain(measured.mean("diversity")),
        "local_diversity": plain(measured.mean("local_diversity")),
        "pairwise_rms": plain(measured.mean("pairwise_rms")),
        "truth_distance": plain(measured.mean("truth_distance")),
        "edge_agreement": plain(measured.mean("edge_agreement")),
        "roughness": plain(np.sqrt(roughness)),
        "luminance_drift": plain(measured.max("luminance_drift")),
        "luminance_l1": plain(measured.mean("luminance_l1")),
        "tint": plain(tint),
        "tint_distance": None if exact else plain(np.linalg.norm(tint - truth.mean("tint"))),
        "tint_distance_per_photo": plain(measured.mean("tint_distance_per_photo")),
        "psnr": plain(measured.mean("psnr")),
    }
    curve = measured.mean("psnr_curve")
    entry["best_of_k_psnr"] = None if curve is None else plain(curve[-1])
    entry["best_of_k_psnr_curve"] = plain(curve)
    names = ("colorfulness", "diversity", "local_diversity", "edge_agreement", "psnr", "truth_distance")
    entry["standard_error"] = {name: measured.standard_error(name) for name in names}
    return entry
