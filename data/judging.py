"""How near a colorizer comes to the known laws of drawn rooms (data/laws.py).

In a drawn room each item's chroma is a draw from the law of its kind, whatever the grey picture shows. So a generator
is right when, given one room, an item's chroma varies with z as the law says. An item's chroma here is the mean (U, V)
over the pixels that belong to it alone, on the 0-255 scale.

Distances between distributions are the (squared) energy distance of Szekely and Rizzo,

    D(P, Q) = 2 E|X - Y| - E|X - X'| - E|Y - Y'|     X, X' ~ P and Y, Y' ~ Q independent,

which is 0 if P = Q and positive otherwise, whatever the two are. It was chosen because it needs no density, bins,
bandwidth or assumption of a shape, which counts here: laws have up to three narrow modes, samples from a mean predictor
are a point, and Frechet's distance sees neither modes nor shape. It has the unit of chroma, does not change when the
plane is turned (a sliced Wasserstein distance would need directions to be drawn), and a sample estimates it unbiasedly.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from colorgan_tf import color, metrics
from colorgan_tf.evaluation.sources import Batch
from data.laws import LAWS
from data.rooms import Room, draw_room

MIN_PIXELS = 6  # of an item alone; below that its mean chroma is mostly its neighbours' light, blurred
REFERENCE = 2048  # draws from a law that stand for it; they add about a thousandth of the law's own spread
SERIES = 1_000_000  # rooms are drawn with seeds from here on: never trained on unless somebody converts such a seed
_CHUNK = 512

# rooms, batch -> chroma [b, k, s, s, 2] in [-0.5, 0.5] and rgb [b, k, s, s, 3] in [0, 1]
Painter = Callable[[Sequence[Room], Batch], tuple[np.ndarray, np.ndarray]]


def mean_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Mean of |x_i - y_j| over all pairs: [n, 2] and [m, 2]."""
    total = 0.0
    for i in range(0, len(x), _CHUNK):
        part = x[i : i + _CHUNK]
        squares = np.subtract.outer(part[:, 0], y[:, 0]) ** 2
        squares += np.subtract.outer(part[:, 1], y[:, 1]) ** 2
        total += np.sqrt(squares, out=squares).sum()
    return float(total / (len(x) * len(y)))


@dataclasses.dataclass(frozen=True)
class Sample:
    """A distribution by a sample of it [n, 2], and the mean distance within, which every comparison with it needs."""

    points: np.ndarray
    own: float  # over all pairs, those of a point with itself included

    @classmethod
    def of(cls, points: np.ndarray) -> "Sample":
        """Takes the sample, n >= 2."""
        return cls(points, mean_distance(points, points))

    @property
    def own_unbiased(self) -> float:
        """Without the pairs of a point with itself: an unbiased estimate of E|X - X'|."""
        return self.own * len(self.points) / (len(self.points) - 1)


def energy_distance(x: np.ndarray, y: Sample) -> float:
    """Squared energy distance between the empirical distributions [n, 2] and y themselves; >= 0."""
    return 2.0 * mean_distance(x, y.points) - mean_distance(x, x) - y.own


def conditional_energy_distance(groups: Sequence[np.ndarray], reference: Sample) -> float:
    """Mean over groups [k, 2] of the squared energy distance between what a group was drawn from and the reference.

    Unbiased however few draws a group has (k >= 2), so it can come out a little below 0. Groups are of one size.
    """
    x = np.stack(groups)
    apart = np.linalg.norm(x[:, :, None] - x[:, None], axis=-1)
    within = apart.sum() / (len(x) * x.shape[1] * (x.shape[1] - 1))  # without the pairs (i, i)
    return 2.0 * mean_distance(x.reshape(-1, 2), reference.points) - float(within) - reference.own_unbiased


def draw_rooms(count: int, size: int, seed: int) -> list[Room]:
    """The rooms to judge by, none of them among those of `data.convert --source=rooms` with a seed below SERIES."""
    return [draw_room(index, SERIES + seed, size) for index in range(count)]


@dataclasses.dataclass
class Items:
    """What was seen of one kind: chroma of its items [k, 2] (0-255), one array a room, and the variance within them."""

    chroma: list[np.ndarray] = dataclasses.field(default_factory=list)
    within: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Observed:
    """What was seen of one system: items by kind, and the worst |Gray(rgb) - y| of all pixels, in [0, 1]."""

    kinds: dict[str, Items] = dataclasses.field(default_factory=lambda: {kind: Items() for kind in LAWS})
    drift: float = 0.0


def observe(rooms: Sequence[Room], paint: Painter, batch_size: int = 32) -> Observed:
    """Has the rooms painted and takes every item's mean chroma and the variance of chroma within it."""
    seen = Observed()
    for start in range(0, len(rooms), batch_size):
        part = rooms[start : start + batch_size]
        rgb = np.stack([room.rgb for room in part]).astype(np.float32) / np.float32(255.0)
        batch = Batch([f"judged-{start + i:06d}" for i in range(len(part))], rgb)
        chroma, painted = paint(part, batch)
        drift = metrics.luminance_drift(batch.gray.astype(np.float64)[:, None], painted.astype(np.float64))
        seen.drift = max(seen.drift, float(drift.max()))
        for room, colourings in zip(part, 255.0 * chroma.astype(np.float64), strict=True):
            for kind, mask in room.masks.items():
                if mask.sum() >= MIN_PIXELS:
                    pixels = colourings[:, mask]
                    seen.kinds[kind].chroma.append(pixels.mean(axis=1))
                    seen.kinds[kind].within.append(float(pixels.var(axis=1).sum(axis=-1).mean()))
    return seen


def model_painter(model) -> Painter:
    """A model of `evaluation.systems`: k colourings of each room, measured as shown."""

    def paint(rooms, batch):
        rgb = model.paint(batch)
        return color.rgb_to_yuv(rgb)[1], rgb

    return paint


def item_painter(choose: Callable[[str, int], np.ndarray], k: int) -> Painter:
    """A painter that knows the items: `choose(kind, k)` gives the (U, V) [k, 2] of one item.

    Pixels that items share get no chroma; they belong to no item and are not looked at.
    """

    def paint(rooms, batch):
        size = batch.rgb.shape[1]
        chroma = np.zeros((len(rooms), k, size, size, 2))
        for i, room in enumerate(rooms):
            for kind, mask in room.masks.items():
                chroma[i][:, mask] = choose(kind, k)[:, None]
        gray = batch.gray.astype(np.float64)[:, None]
        return chroma, color.yuv_to_rgb(np.broadcast_to(gray, (*chroma.shape[:-1], 1)), chroma)

    return paint


def law_painter(k: int, seed: int) -> Painter:
    """Every item of every room drawn afresh from its law, k times: the best there is, and what chance leaves of it."""
    rng = np.random.default_rng([seed, 1])
    return item_painter(lambda kind, k: LAWS[kind].sample(rng, k), k)


def mean_painter(k: int) -> Painter:
    """Every item in the mean of its law: what a perfect regression would paint."""
    return item_painter(lambda kind, k: np.repeat(LAWS[kind].mean()[None], k, axis=0), k)


def references(seed: int) -> dict[str, Sample]:
    """REFERENCE draws of every law, on the 0-255 scale."""
    rng = np.random.default_rng([seed, 2])
    return {kind: Sample.of(255.0 * law.sample(rng, REFERENCE)) for kind, law in LAWS.items()}


def judge(seen: Observed, laws: dict[str, Sample]) -> dict[str, Any]:
    """A system's figures by kind, and their means over all items in view (a wall is seen more often than a plant).

    Chroma is on the 0-255 scale.

    distance: energy distance between a kind's chroma over all rooms and noises and its law.
    distance_given_photo: the same for each room by itself, over its noises, then the mean; tells a colour that depends
        on the photo alone from one that z chooses. None where there is one colouring a room.
    spread: root of the variance over z of an item's chroma, given the photo; law_spread: of the law.
    within_share: of all variance of chroma over pixels of a kind, the share inside items; 0: an item has one colour.
    """
    kinds = {}
    for kind, items in seen.kinds.items():
        if not items.chroma:
            continue
        pooled = np.concatenate(items.chroma)
        several = all(len(x) > 1 for x in items.chroma)
        within, between = float(np.mean(items.within)), float(pooled.var(axis=0).sum())
        kinds[kind] = {
            "items": len(items.chroma),
            "distance": energy_distance(pooled, laws[kind]),
            "distance_given_photo": conditional_energy_distance(items.chroma, laws[kind]) if several else None,
            "mean": pooled.mean(axis=0).tolist(),
            "spread": float(np.sqrt(np.mean([x.var(axis=0, ddof=1).sum() for x in items.chroma]))) if several else None,
            "law_mean": (255.0 * LAWS[kind].mean()).tolist(),
            "law_spread": 255.0 * float(np.sqrt(np.trace(LAWS[kind].covariance()))),
            "within_share": within / (within + between) if within + between > 1e-9 else 0.0,
        }
    names = ("distance", "distance_given_photo", "spread", "law_spread", "within_share")
    counts = [kind["items"] for kind in kinds.values()]
    totals = {name: _mean([kind[name] for kind in kinds.values()], counts) for name in names}
    return {**totals, "luminance_drift": seen.drift, "kinds": kinds}


def _mean(values, counts):
    return None if not values or None in values else float(np.average(values, weights=counts))
