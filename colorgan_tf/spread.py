"""Choosing colourings that differ, and ordering them from calm to vivid."""

import numpy as np


def vividness(chroma: np.ndarray) -> np.ndarray:
    """Mean length of (U, V): chroma float [k, h, w, 2] to float64 [k]."""
    return np.hypot(chroma[..., 0].astype(np.float64), chroma[..., 1]).mean(axis=(1, 2))


def distances(chroma: np.ndarray) -> np.ndarray:
    """RMS difference of U, V between all pairs: chroma float [k, h, w, 2] to float64 [k, k]."""
    flat = chroma.reshape(len(chroma), -1).astype(np.float64)
    squares = (flat * flat).sum(axis=1)
    mean_squares = (squares[:, None] + squares[None] - 2.0 * (flat @ flat.T)) / flat.shape[1]
    return np.sqrt(np.maximum(mean_squares, 0.0))


def calmest(chroma: np.ndarray, n: int) -> np.ndarray:
    """Indices, ascending, of the `n` least vivid of the k colourings in chroma (float [k, h, w, 2])."""
    return np.sort(np.argsort(vividness(chroma), kind="stable")[:n])


def spread(chroma: np.ndarray, n: int) -> list[int]:
    """Indices of `n` of the k colourings in chroma (float [k, h, w, 2]) that differ well, calm to vivid.

    Farthest-first (Gonzalez 1985): begins with the one nearest to all others, the most usual colouring, and adds the
    one farthest from those chosen; the result's closest pair is at least half as far apart as the best possible one's.
    """
    apart = distances(chroma)
    chosen = [int(apart.sum(axis=1).argmin())]
    nearest = apart[chosen[0]].copy()
    nearest[chosen[0]] = -1.0
    while len(chosen) < n:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, apart[chosen[-1]])
        nearest[chosen] = -1.0
    return sorted(chosen, key=vividness(chroma).__getitem__)
