"""The colours of drawn rooms: for each kind of item, the law of its chroma and the range of its luminance.

Chroma is (U, V) of full-range BT.601 in [-0.5, 0.5]. A law is a mixture of Gaussians, each cut off at RADIUS standard
deviations. Range and law are chosen so that every pair of luminance and chroma is a displayable colour: nothing is ever
clipped, so the laws hold exactly.
"""

import dataclasses
import math

import numpy as np

RADIUS = 3.0  # Mahalanobis distance at which each Gaussian ends
_MASS = 1.0 - math.exp(-(RADIUS**2) / 2)  # of a Gaussian in the plane within RADIUS
# Variance that the cut-off leaves of each direction's variance (0.950 for RADIUS 3).
_SHRINK = 1.0 - (RADIUS**2 / 2) * (1.0 - _MASS) / _MASS


@dataclasses.dataclass(frozen=True)
class Law:
    """A mixture of k cut-off Gaussians over (U, V): weights [k], means [k, 2], covariances [k, 2, 2] before the cut."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """float64 [count, 2]."""
        mode = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(count), side="right")
        radius = np.sqrt(-2.0 * np.log1p(-rng.random(count) * _MASS))  # inverse of the cut-off radius' distribution
        angle = 2.0 * np.pi * rng.random(count)
        standard = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        roots = np.linalg.cholesky(self.covariances)
        return self.means[mode] + np.einsum("nij,nj->ni", roots[mode], standard)

    def density(self, uv: np.ndarray) -> np.ndarray:
        """p(U, V) at float [..., 2]; its integral over the plane is 1."""
        offset = np.asarray(uv)[..., None, :] - self.means
        squared = np.einsum("...ki,kij,...kj->...k", offset, np.linalg.inv(self.covariances), offset)
        peak = self.weights / (2.0 * np.pi * np.sqrt(np.linalg.det(self.covariances)) * _MASS)
        return np.where(squared <= RADIUS**2, peak * np.exp(-0.5 * squared), 0.0).sum(axis=-1)

    def mean(self) -> np.ndarray:
        """E(U, V), float64 [2]: what a regression would predict."""
        return self.weights @ self.means

    def covariance(self) -> np.ndarray:
        """Cov(U, V), float64 [2, 2], the cut-off included."""
        offset = self.means - self.mean()
        within = _SHRINK * np.einsum("k,kij->ij", self.weights, self.covariances)
        return within + np.einsum("k,ki,kj->ij", self.weights, offset, offset)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of item: the law of its chroma, and the darkest and brightest luminance it may have."""

    law: Law
    darkest: float
    brightest: float


def _law(*modes: tuple[float, tuple[float, float], tuple[float, float, float]]) -> Law:
    """Modes as (weight, (mean U, mean V), (standard deviation of U, of V, correlation))."""
    weights = np.array([mode[0] for mode in modes])
    means = np.array([mode[1] for mode in modes])
    covariances = np.array([[[u * u, r * u * v], [r * u * v, v * v]] for _, _, (u, v, r) in modes])
    return Law(weights / weights.sum(), means, covariances)


# Order matters: items are numbered by it in `Room.items`.
KINDS: dict[str, Kind] = {
    "wall": Kind(
        _law(
            (0.45, (-0.050, 0.018), (0.010, 0.007, -0.5)),  # cream
            (0.35, (0.045, -0.035), (0.010, 0.008, -0.5)),  # pale blue
            (0.20, (-0.020, 0.050), (0.008, 0.009, 0.0)),  # rose
        ),
        0.25,
        0.84,
    ),
    "ceiling": Kind(_law((1.0, (-0.010, 0.006), (0.005, 0.004, -0.3))), 0.30, 0.92),
    "floor": Kind(
        _law((0.75, (-0.090, 0.065), (0.014, 0.012, -0.6)), (0.25, (-0.015, 0.005), (0.007, 0.006, 0.0))), 0.24, 0.72
    ),
    "rug": Kind(
        _law(
            (0.4, (-0.050, 0.135), (0.012, 0.014, 0.0)),  # red
            (0.3, (0.075, -0.035), (0.014, 0.010, -0.4)),  # blue
            (0.3, (-0.070, 0.020), (0.012, 0.010, 0.0)),  # sand
        ),
        0.22,
        0.68,
    ),
    "wood": Kind(
        _law((0.7, (-0.085, 0.060), (0.012, 0.010, -0.6)), (0.3, (-0.035, 0.025), (0.008, 0.006, -0.6))), 0.22, 0.66
    ),
    "sheet": Kind(_law((1.0, (0.000, 0.000), (0.007, 0.006, -0.3))), 0.30, 0.92),
    "blanket": Kind(
        _law(
            (0.40, (-0.045, 0.165), (0.014, 0.014, 0.0)),  # red
            (0.35, (0.135, -0.060), (0.014, 0.012, -0.3)),  # blue
            (0.25, (-0.055, -0.095), (0.013, 0.011, 0.2)),  # green
        ),
        0.25,
        0.66,
    ),
    "pillow": Kind(
        _law((0.5, (-0.005, 0.004), (0.006, 0.006, 0.0)), (0.5, (-0.100, 0.050), (0.012, 0.012, 0.0))), 0.28, 0.80
    ),  # white or ochre
    "window": Kind(
        _law((0.7, (0.055, -0.045), (0.010, 0.009, -0.6)), (0.3, (-0.050, 0.035), (0.009, 0.009, -0.4))), 0.50, 0.84
    ),  # day or evening
    "curtain": Kind(
        _law(
            (0.5, (-0.060, 0.040), (0.011, 0.010, -0.4)),  # beige
            (0.3, (0.020, 0.060), (0.010, 0.011, 0.0)),  # plum
            (0.2, (0.010, -0.070), (0.011, 0.010, 0.0)),  # teal
        ),
        0.24,
        0.76,
    ),
    "lamp": Kind(_law((1.0, (-0.100, 0.040), (0.012, 0.009, -0.4))), 0.45, 0.86),
    "picture": Kind(
        _law(
            (0.35, (0.100, -0.060), (0.015, 0.012, -0.3)),
            (0.35, (-0.090, 0.090), (0.013, 0.014, -0.3)),
            (0.30, (-0.060, -0.050), (0.012, 0.012, 0.0)),
        ),
        0.26,
        0.70,
    ),
    "plant": Kind(_law((1.0, (-0.085, -0.075), (0.013, 0.010, 0.3))), 0.24, 0.62),
    "chair": Kind(
        _law((0.5, (0.085, 0.015), (0.013, 0.012, 0.0)), (0.5, (-0.115, 0.055), (0.013, 0.012, -0.3))), 0.28, 0.68
    ),  # violet-blue or mustard
    "trim": Kind(_law((1.0, (-0.004, 0.002), (0.004, 0.004, 0.0))), 0.25, 0.92),  # frames, lamp stands, pots
}
LAWS: dict[str, Law] = {name: kind.law for name, kind in KINDS.items()}
