"""What a colouring is measured by, in NumPy alone, so that training can log the same numbers that evaluation reports.

Pictures are RGB in [0, 1] or uint8; luminance y is [h, w, 1] in [0, 1]; chroma is (U, V) of full-range BT.601 in
[-0.5, 0.5], `[k, h, w, 2]` where k colourings of one photo are meant. Distances of colour are given on the 0-255 scale,
luminance and its drift in [0, 1]. Functions marked "per image" take any number of leading axes and keep them.
"""

import numpy as np

from colorgan_tf.color import luminance

EDGE_SIGMA = 1.5  # pixels; what counts as an edge of a thing at 64 x 64
SMOOTH_SHARE = 0.4  # of the pixels, those with the smallest luminance gradient, are "surfaces"


def as_float(rgb: np.ndarray) -> np.ndarray:
    """uint8 [0, 255] to float64 [0, 1]; floats are taken to be in [0, 1] already."""
    rgb = np.asarray(rgb)
    return rgb.astype(np.float64) / 255.0 if rgb.dtype == np.uint8 else rgb.astype(np.float64)


def colorfulness(rgb: np.ndarray) -> np.ndarray:
    """Hasler and Suesstrunk (2003), metric 3, per image: [..., h, w, 3] to [...]; grey gives 0, val bedrooms 34."""
    rgb = as_float(rgb) * 255.0
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    opponents = np.stack([r - g, 0.5 * (r + g) - b], axis=-1)  # signed rg and yb
    spread = np.sqrt(opponents.var(axis=(-3, -2)).sum(axis=-1))
    tint = np.sqrt(np.square(opponents.mean(axis=(-3, -2))).sum(axis=-1))
    return spread + 0.3 * tint


def mean_chroma(chroma: np.ndarray) -> np.ndarray:
    """The tint, per image: the mean (U, V) of [..., h, w, 2], [..., 2] on the 0-255 scale."""
    return 255.0 * np.asarray(chroma, np.float64).mean(axis=(-3, -2))


def diversity(chroma: np.ndarray) -> float:
    """How much k colourings [k, h, w, 2] of one photo differ: mean over pixels of sqrt(var U + var V), 0-255.

    The variance over the k is the population's (divided by k), so identical colourings, and k = 1, give 0.
    """
    variance = (255.0 * np.asarray(chroma, np.float64)).var(axis=0)
    return float(np.sqrt(variance.sum(axis=-1)).mean())


def local_diversity(chroma: np.ndarray) -> float:
    """`diversity` after each colouring's mean U, V is taken off: a tint over everything does not count."""
    chroma = np.asarray(chroma, np.float64)
    return diversity(chroma - chroma.mean(axis=(-3, -2), keepdims=True))


def pairwise_rms(chroma: np.ndarray) -> float:
    """Mean over pairs of the k colourings [k, h, w, 2] of sqrt(mean over pixels of dU^2 + dV^2), 0-255; k = 1: 0."""
    chroma = 255.0 * np.asarray(chroma, np.float64)
    if len(chroma) < 2:
        return 0.0
    differences = (chroma[i + 1 :] - chroma[i] for i in range(len(chroma) - 1))
    # einsum: NumPy is slow at sums over a last axis of two
    squares = np.concatenate([np.einsum("khwc,khwc->k", d, d) for d in differences])
    return float(np.sqrt(squares / (chroma.shape[1] * chroma.shape[2])).mean())


def truth_distance(chroma: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """RMS distance of (U, V) between colouring and truth, per image, 0-255: tells "different" from "wrong"."""
    difference = 255.0 * (np.asarray(chroma, np.float64) - truth)
    squares = np.einsum("...hwc,...hwc->...", difference, difference)
    return np.sqrt(squares / (difference.shape[-3] * difference.shape[-2]))


def gaussian_smooth(x: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur over height and width of [..., h, w, c]; borders mirrored, kernel cut off at 4 sigma."""
    radius = int(4.0 * sigma + 0.5)
    kernel = np.exp(-0.5 * np.square(np.arange(-radius, radius + 1) / sigma))
    kernel /= kernel.sum()
    for axis in (-3, -2):
        # One banded matrix per axis is far cheaper than a loop over taps, and the mirroring is in its entries.
        x = np.moveaxis(np.tensordot(x, _blur_matrix(x.shape[axis], kernel), axes=(axis, 1)), -1, axis)
    return x


def _blur_matrix(size, kernel):
    """[size, size] matrix of a convolution whose border is mirrored, edge pixel repeated (d c b a | a b c d)."""
    radius = len(kernel) // 2
    rows = np.repeat(np.arange(size), len(kernel))
    columns = (rows + np.tile(np.arange(-radius, radius + 1), size)) % (2 * size)
    columns = np.where(columns < size, columns, 2 * size - 1 - columns)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (rows, columns), np.tile(kernel, size))
    return matrix


def _gradient_magnitude(x):
    """[..., h, w, c] to [..., h, w]: length of the gradient over all channels together."""
    dy, dx = np.gradient(x, axis=(-3, -2))
    return np.sqrt((np.square(dy) + np.square(dx)).sum(axis=-1))


def edge_agreement(y: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Do colours stop where things stop? Per image, in [-1, 1]: y [..., h, w, 1], chroma [..., h, w, 2] to [...].

    Correlation over the pixels between the gradient magnitudes of Y and of (U, V), both blurred by 1.5 pixels first.
    y may lack chroma's leading axes (k colourings of one photo). Without any edge in either the answer is 0.
    """
    things = _gradient_magnitude(gaussian_smooth(np.asarray(y, np.float64), EDGE_SIGMA))
    colours = _gradient_magnitude(gaussian_smooth(np.asarray(chroma, np.float64), EDGE_SIGMA))
    things = things - things.mean(axis=(-2, -1), keepdims=True)
    colours = colours - colours.mean(axis=(-2, -1), keepdims=True)
    covariance = (things * colours).mean(axis=(-2, -1))
    scale = np.sqrt(np.square(things).mean(axis=(-2, -1)) * np.square(colours).mean(axis=(-2, -1)))
    # A gradient below 1e-9 of the range everywhere is rounding, and correlating rounding means nothing.
    return np.where(scale > 1e-18, covariance / np.maximum(scale, 1e-18), 0.0)


def roughness(y: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Blotches on even surfaces, per image, 0-255: y [..., h, w, 1] and chroma [..., h, w, 2] to [...].

    RMS length of (U, V) minus the mean of its four neighbours (pixels off the border only), over the 40 % of these
    pixels with the smallest luminance gradient. y may lack chroma's leading axes. Over many pictures pool the squares,
    sqrt(mean(r^2)): val bedrooms give 1.6.
    """
    chroma = 255.0 * np.asarray(chroma, np.float64)
    neighbours = (
        chroma[..., :-2, 1:-1, :] + chroma[..., 2:, 1:-1, :] + chroma[..., 1:-1, :-2, :] + chroma[..., 1:-1, 2:, :]
    )
    residual = np.square(chroma[..., 1:-1, 1:-1, :] - 0.25 * neighbours).sum(axis=-1)
    gradient = _gradient_magnitude(np.asarray(y, np.float64))[..., 1:-1, 1:-1]
    residual = residual.reshape(*residual.shape[:-2], -1)
    gradient = gradient.reshape(*gradient.shape[:-2], -1)
    count = max(1, round(SMOOTH_SHARE * gradient.shape[-1]))
    surface = np.argsort(gradient, axis=-1, kind="stable")[..., :count]
    surface = np.broadcast_to(surface, (*residual.shape[:-1], count))
    return np.sqrt(np.take_along_axis(residual, surface, axis=-1).mean(axis=-1))


def luminance_drift(y: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """max |Gray(rgb) - y|, per image, in [0, 1]: [..., h, w, 1] and [..., h, w, 3] to [...]."""
    return np.abs(luminance(as_float(rgb)) - y).max(axis=(-3, -2, -1))


def luminance_l1(y: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """mean |Gray(rgb) - y|, per image, in [0, 1]; twice this is Eq. 6's L1 term, which lives in [-1, 1]."""
    return np.abs(luminance(as_float(rgb)) - y).mean(axis=(-3, -2, -1))


def psnr(truth: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio in dB over all channels, per image; infinite where the two are equal."""
    error = np.square(as_float(truth) - as_float(rgb)).mean(axis=(-3, -2, -1))
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def best_of_k_psnr_curve(truth: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """truth [h, w, 3] and k colourings [k, h, w, 3] to [k]: entry j is the best PSNR among the first j + 1."""
    return np.maximum.accumulate(psnr(truth, rgb))


def best_of_k_psnr(truth: np.ndarray, rgb: np.ndarray) -> float:
    """The last entry of `best_of_k_psnr_curve`: the colouring nearest to truth, in dB."""
    return float(best_of_k_psnr_curve(truth, rgb)[-1])


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Squared Frechet distance between two Gaussians: |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    The trace of the root is that of (S1^(1/2) S2 S1^(1/2))^(1/2), which is symmetric: real eigenvalues, no complex
    rounding, and singular covariances (fewer pictures than features) are no special case.
    """
    values, vectors = np.linalg.eigh(np.asarray(cov1, np.float64))
    root = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ np.asarray(cov2, np.float64) @ root)
    trace = np.trace(cov1) + np.trace(cov2) - 2.0 * np.sqrt(np.clip(middle, 0.0, None)).sum()
    distance = np.square(np.asarray(mean1, np.float64) - mean2).sum() + trace
    return float(max(distance, 0.0))
