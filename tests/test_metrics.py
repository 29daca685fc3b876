"""Every metric against its definition written out once more in plain loops, or against SciPy and scikit-image."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import skimage.metrics

from colorgan_tf import color, losses, metrics
from colorgan_tf.color import rgb_to_yuv, yuv_to_rgb

RNG = np.random.default_rng(7)
RGB = RNG.uniform(size=(3, 12, 10, 3))
CHROMA = RNG.uniform(-0.3, 0.3, size=(4, 12, 10, 2))
Y = RNG.uniform(size=(12, 10, 1))


def pixels(picture):
    """All pixels of one picture, one after another, as tuples of Python floats."""
    return [tuple(map(float, pixel)) for row in picture for pixel in row]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def std(values):
    values = list(values)
    middle = mean(values)
    return mean((value - middle) ** 2 for value in values) ** 0.5


def test_colorfulness_by_its_definition():
    for picture, measured in zip(RGB, metrics.colorfulness(RGB), strict=True):
        rg = [255 * (r - g) for r, g, b in pixels(picture)]
        yb = [255 * ((r + g) / 2 - b) for r, g, b in pixels(picture)]
        expected = (std(rg) ** 2 + std(yb) ** 2) ** 0.5 + 0.3 * (mean(rg) ** 2 + mean(yb) ** 2) ** 0.5
        assert measured == pytest.approx(expected, abs=1e-6)


def test_colorfulness_of_bytes_is_that_of_the_same_floats():
    picture = RNG.integers(0, 256, size=(2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(metrics.colorfulness(picture), metrics.colorfulness(picture / 255.0), atol=1e-9)


def test_grey_has_no_colorfulness_no_tint_and_no_drift():
    grey = np.repeat(Y, 3, axis=-1)
    y, chroma = rgb_to_yuv(grey)
    assert metrics.colorfulness(grey) == pytest.approx(0.0, abs=1e-9)
    assert metrics.mean_chroma(chroma) == pytest.approx(0.0, abs=1e-9)
    assert metrics.luminance_drift(Y, grey) == pytest.approx(0.0, abs=1e-12)


def test_diversity_by_its_definition():
    k, height, width, _ = CHROMA.shape
    expected = mean(
        255 * (std(CHROMA[:, i, j, 0]) ** 2 + std(CHROMA[:, i, j, 1]) ** 2) ** 0.5
        for i in range(height)
        for j in range(width)
    )
    assert metrics.diversity(CHROMA) == pytest.approx(expected, abs=1e-6)


def test_pairwise_rms_by_its_definition():
    distances = []
    for a, b in itertools.combinations(CHROMA, 2):
        squares = [(u - p) ** 2 + (v - q) ** 2 for (u, v), (p, q) in zip(pixels(a), pixels(b), strict=True)]
        distances.append(255 * mean(squares) ** 0.5)
    assert metrics.pairwise_rms(CHROMA) == pytest.approx(mean(distances), abs=1e-6)


def test_identical_colourings_have_no_diversity():
    same = np.repeat(CHROMA[:1], 5, axis=0)
    for measure in (metrics.diversity, metrics.local_diversity, metrics.pairwise_rms):
        assert measure(same) == pytest.approx(0.0, abs=1e-9)
        assert measure(CHROMA[:1]) == 0.0


def test_local_diversity_ignores_a_tint_and_sees_an_object():
    tints = np.array([[-0.1, 0.0], [0.0, 0.1], [0.1, -0.1]]).reshape(3, 1, 1, 2)
    tinted = CHROMA[:1] + tints
    assert metrics.diversity(tinted) > 20.0
    assert metrics.local_diversity(tinted) == pytest.approx(0.0, abs=1e-9)
    objects = np.zeros((2, 8, 8, 2))
    objects[0, :4, :, 0], objects[1, 4:, :, 0] = 0.2, 0.2  # the same mean, another thing coloured
    assert metrics.local_diversity(objects) == pytest.approx(metrics.diversity(objects), abs=1e-9)
    assert metrics.local_diversity(objects) == pytest.approx(255 * 0.1, abs=1e-6)


def test_truth_distance_by_its_definition():
    measured = metrics.truth_distance(CHROMA, CHROMA[1])
    squares = [(u - p) ** 2 + (v - q) ** 2 for (u, v), (p, q) in zip(pixels(CHROMA[0]), pixels(CHROMA[1]), strict=True)]
    assert measured[0] == pytest.approx(255 * mean(squares) ** 0.5, abs=1e-6)
    assert measured[1] == 0.0


def test_mean_chroma_of_a_known_tint():
    chroma = np.zeros((2, 6, 6, 2))
    chroma[1, ..., 0], chroma[1, :3, :, 1] = 0.1, 0.2
    np.testing.assert_allclose(metrics.mean_chroma(chroma), [[0, 0], [25.5, 25.5]], atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 10), (5, 4)])  # the second is smaller than the kernel: mirrored twice
def test_gaussian_smooth_is_scipys(shape):
    x = RNG.normal(size=(2, *shape, 3))
    expected = scipy.ndimage.gaussian_filter(x, sigma=1.5, axes=(1, 2), mode="reflect", truncate=4.0)
    np.testing.assert_allclose(metrics.gaussian_smooth(x, 1.5), expected, atol=1e-12)


def test_edge_agreement_by_scipy_and_numpy_corrcoef():
    def magnitude(x):
        smooth = scipy.ndimage.gaussian_filter(x, sigma=1.5, axes=(0, 1))
        parts = [np.gradient(smooth[..., c], axis=axis) for c in range(x.shape[-1]) for axis in (0, 1)]
        return np.sqrt(np.sum(np.square(parts), axis=0)).ravel()

    expected = [np.corrcoef(magnitude(Y), magnitude(chroma))[0, 1] for chroma in CHROMA]
    np.testing.assert_allclose(metrics.edge_agreement(Y, CHROMA), expected, atol=1e-6)


def test_edge_agreement_at_the_ends():
    step = np.zeros((16, 16, 1))
    step[:, 8:] = 0.5
    agrees = np.concatenate([step, -0.5 * step], axis=-1)
    crosses = np.swapaxes(agrees, 0, 1)
    flat = np.full((16, 16, 2), 0.1)
    measured = metrics.edge_agreement(step, np.stack([agrees, crosses, flat]))
    assert measured[0] == pytest.approx(1.0, abs=1e-6)
    assert measured[1] < 0.1
    assert measured[2] == 0.0


def test_roughness_by_its_definition():
    gy, gx = np.gradient(Y[..., 0])
    inside = [(i, j) for i in range(1, 11) for j in range(1, 9)]
    inside.sort(key=lambda at: gy[at] ** 2 + gx[at] ** 2)
    surface = inside[: round(0.4 * len(inside))]
    for chroma, measured in zip(CHROMA, metrics.roughness(Y, CHROMA), strict=True):
        squares = []
        for i, j in surface:
            around = (chroma[i - 1, j] + chroma[i + 1, j] + chroma[i, j - 1] + chroma[i, j + 1]) / 4
            squares.append(float(np.sum((255 * (chroma[i, j] - around)) ** 2)))
        assert measured == pytest.approx(mean(squares) ** 0.5, abs=1e-6)


def test_roughness_of_a_ramp_is_nothing():
    ramp = np.stack(np.meshgrid(np.linspace(-0.3, 0.3, 10), np.linspace(-0.2, 0.2, 12)), axis=-1)
    assert metrics.roughness(Y, ramp) == pytest.approx(0.0, abs=1e-9)


def test_drift_is_zero_in_yuv_and_the_l1_term_in_rgb():
    y = 0.3 + 0.4 * Y
    exact = yuv_to_rgb(y, 0.2 * CHROMA)
    assert metrics.luminance_drift(y, exact) == pytest.approx(0.0, abs=1e-12)
    # Eq. 6's term as training has it: both in [-1, 1].
    term = losses.l1_loss(2 * Y[None] - 1, color.luminance(2 * RGB[:1] - 1))
    assert 2 * metrics.luminance_l1(Y, RGB[0]) == pytest.approx(float(term), abs=1e-6)
    worst = np.abs(Y[..., 0] - RGB[0] @ [0.299, 0.587, 0.114]).max()
    assert metrics.luminance_drift(Y, RGB[0]) == pytest.approx(worst, abs=1e-6)


def test_psnr_is_scikit_images():
    expected = [skimage.metrics.peak_signal_noise_ratio(RGB[0], picture, data_range=1.0) for picture in RGB[1:]]
    np.testing.assert_allclose(metrics.psnr(RGB[0], RGB[1:]), expected, atol=1e-6)
    assert metrics.psnr(RGB[0], RGB[0]) == np.inf


def test_best_of_k_is_the_running_best():
    scores = [skimage.metrics.peak_signal_noise_ratio(RGB[0], np.clip(RGB[0] + d, 0, 1), data_range=1.0) for d in STEPS]
    colourings = np.stack([np.clip(RGB[0] + d, 0, 1) for d in STEPS])
    curve = metrics.best_of_k_psnr_curve(RGB[0], colourings)
    np.testing.assert_allclose(curve, [max(scores[: j + 1]) for j in range(len(scores))], atol=1e-6)
    assert metrics.best_of_k_psnr(RGB[0], colourings) == pytest.approx(max(scores), abs=1e-6)


STEPS = (0.2, 0.1, 0.3, 0.05)


def gaussian(size, seed, rank=None):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, rank or size + 3))
    return rng.normal(size=size), root @ root.T / size


def test_frechet_distance_is_scipys_sqrtm():
    (m1, s1), (m2, s2) = gaussian(6, 1), gaussian(6, 2)
    expected = np.sum((m1 - m2) ** 2) + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2)).real
    assert metrics.frechet_distance(m1, s1, m2, s2) == pytest.approx(expected, abs=1e-6)


def test_frechet_distance_in_one_dimension_and_to_itself():
    # N(m, s^2) and N(n, t^2): (m - n)^2 + (s - t)^2.
    measured = metrics.frechet_distance([1.0], [[4.0]], [3.0], [[9.0]])
    assert measured == pytest.approx(4.0 + 1.0, abs=1e-9)
    mean1, singular = gaussian(8, 3, rank=2)  # fewer pictures than features
    assert metrics.frechet_distance(mean1, singular, mean1, singular) == pytest.approx(0.0, abs=1e-6)


def test_training_can_import_the_metrics_without_anything_but_numpy():
    code = "import sys, colorgan_tf.metrics; print([m for m in ('tensorflow', 'keras', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
