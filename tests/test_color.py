"""RGB <-> YUV against BT.601 written as a matrix in float64, and against Pillow's JPEG YCbCr."""

import keras
import numpy as np
from PIL import Image

from colorgan_tf import color

# ITU-T T.871 (JPEG), full range: rows Y, Cb, Cr over columns R, G, B.
MATRIX = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.299 / 1.772, -0.587 / 1.772, 0.886 / 1.772],
        [0.701 / 1.402, -0.587 / 1.402, -0.114 / 1.402],
    ]
)


def random_rgb(*shape):
    return np.random.default_rng(0).uniform(size=(*shape, 3))


def test_forward_and_back_match_the_matrix():
    rgb = random_rgb(5, 7)
    y, uv = color.rgb_to_yuv(rgb)
    np.testing.assert_allclose(np.concatenate([y, uv], -1), rgb @ MATRIX.T, atol=1e-12)
    np.testing.assert_allclose(color.yuv_to_rgb(y, uv), rgb, atol=1e-12)
    assert np.abs(uv).max() <= 0.5


def test_matches_pillow_to_its_rounding():
    rgb = np.round(random_rgb(40, 40) * 255).astype(np.uint8)
    y, uv = color.rgb_to_yuv(rgb / 255.0)
    ours = np.concatenate([y * 255, uv * 255 + 128], -1)
    theirs = np.asarray(Image.fromarray(rgb).convert("YCbCr"), np.float64)
    assert np.abs(ours - theirs).max() < 1.01  # Pillow cuts off its fractions


def test_tensors_and_arrays_agree():
    rgb = random_rgb(2, 4, 4).astype(np.float32)
    y, uv = color.rgb_to_yuv(rgb)
    ty, tuv = color.rgb_to_yuv(keras.ops.convert_to_tensor(rgb))
    np.testing.assert_allclose(np.asarray(tuv), uv, atol=1e-6)
    wild = np.float32(3.0) * uv
    twild = color.fit_chroma(ty, keras.ops.convert_to_tensor(wild))
    np.testing.assert_allclose(np.asarray(twild), color.fit_chroma(y, wild), atol=1e-6)


def test_fit_chroma_keeps_luminance_and_hue_and_moves_only_what_is_out_of_gamut():
    rng = np.random.default_rng(1)
    y = rng.uniform(size=(4000, 1))
    y[:2] = [[0.0], [1.0]]
    uv = rng.uniform(-0.5, 0.5, (4000, 2))
    fitted = color.fit_chroma(y, uv)
    rgb = color.yuv_to_rgb(y, fitted)
    assert rgb.min() >= -2e-6 and rgb.max() <= 1 + 2e-6
    np.testing.assert_allclose(color.luminance(rgb), y, atol=1e-12)
    inside = ((color.yuv_to_rgb(y, uv) >= 0) & (color.yuv_to_rgb(y, uv) <= 1)).all(-1)
    assert 0.1 < inside.mean() < 0.9
    np.testing.assert_allclose(fitted[inside], uv[inside], atol=1e-9)
    cross = fitted[:, 0] * uv[:, 1] - fitted[:, 1] * uv[:, 0]
    np.testing.assert_allclose(cross, 0.0, atol=1e-12)
    # No more is given up than must be: what was out of gamut ends on its border.
    border = np.minimum(np.abs(rgb), np.abs(1 - rgb)).min(-1)
    assert border[~inside].max() < 1e-5


def test_network_range_round_trip():
    y, uv = color.rgb_to_yuv(random_rgb(3))
    ny, nuv = color.to_network(y, uv)
    assert ny.min() >= -1 and ny.max() <= 1 and np.abs(nuv).max() <= 1
    for ours, expected in zip(color.from_network(ny, nuv), (y, uv), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-12)


def test_pictures_clips_rgb_models_and_keeps_luminance_of_yuv_models():
    rng = np.random.default_rng(2)
    y = rng.uniform(size=(6, 6, 1))
    rgb, chroma = color.pictures(y, rng.uniform(-1, 1, (6, 6, 2)))
    np.testing.assert_allclose(color.luminance(rgb), y, atol=1e-5)
    assert np.abs(chroma).max() <= 0.5
    painted = rng.uniform(-1, 1, (6, 6, 3))
    rgb, chroma = color.pictures(y, painted)
    np.testing.assert_allclose(rgb, (painted + 1) / 2)
    np.testing.assert_allclose(chroma, (rgb @ MATRIX.T)[..., 1:], atol=1e-12)
