"""Our own layers against their definitions, written out pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from colorgan_tf.layers import AddCoarse, FusedBatchNorm, GuidedFilter


def picture(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(6, 5), (4, 8, 8, 5)])
@pytest.mark.parametrize("policy, tolerance", [("float32", 2e-5), ("mixed_bfloat16", 0.02)])
def test_fused_batch_norm_is_keras_batch_norm(shape, policy, tolerance):
    x, upstream = picture(*shape) * 2 + 1, tf.constant(picture(*shape, seed=1))
    seen = []
    for kind in (layers.BatchNormalization, FusedBatchNorm):
        norm = kind(momentum=0.9, epsilon=1e-5, dtype=policy)
        norm.build(shape)
        norm.gamma.assign(picture(5, seed=2))
        norm.beta.assign(picture(5, seed=3))
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = norm(variable, training=True)
            score = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
        gradients = tape.gradient(score, [variable, norm.gamma.value, norm.beta.value])
        seen.append([tf.cast(v, tf.float32) for v in (y, norm(x, training=False), *gradients, *norm.weights)])
        assert y.dtype == norm.compute_dtype
    for ours, keras_own in zip(seen[1], seen[0], strict=True):
        np.testing.assert_allclose(ours, keras_own, atol=tolerance * max(1, np.abs(keras_own).max()))
    assert np.abs(seen[1][-2]).max() > 0.05  # the moving mean moved


@pytest.mark.parametrize("height, width", [(16, 24), (13, 7), (3, 5)])
def test_coarse_features_come_up_bilinearly(height, width):
    rows, columns = -(-height // 4), -(-width // 4)
    fine, coarse = picture(2, height, width, 3), picture(2, rows, columns, 3, seed=1)
    up = tf.image.resize(coarse, [4 * rows, 4 * columns])[:, :height, :width]
    np.testing.assert_allclose(AddCoarse(4)([fine, coarse]), fine + up, atol=1e-5)


def guided_by_definition(y, color, radius, epsilon):
    """He et al. 2013, Eq. 5, 6, 8 on one channel [h, w], windows cut off at the border; float64 and loops."""
    y, color = y.astype(np.float64), color.astype(np.float64)

    def windows(x):
        h, w = x.shape
        for i, j in np.ndindex(h, w):
            window = slice(max(0, i - radius), i + radius + 1), slice(max(0, j - radius), j + radius + 1)
            yield i, j, x[window], window

    slope, offset = np.zeros_like(y), np.zeros_like(y)
    for i, j, guide, window in windows(y):
        values = color[window]
        slope[i, j] = np.mean((guide - guide.mean()) * (values - values.mean())) / (guide.var() + epsilon)
        offset[i, j] = values.mean() - slope[i, j] * guide.mean()
    result = np.zeros_like(y)
    for i, j, slopes, window in windows(slope):
        result[i, j] = slopes.mean() * y[i, j] + offset[window].mean()
    return np.clip(result, -1, 1)


@pytest.mark.parametrize("radius, height, width", [(2, 12, 9), (4, 5, 16)])
def test_guided_filter_is_the_papers(radius, height, width):
    y, color = picture(1, height, width, 1), picture(1, height, width, 2, seed=1)
    ours = np.asarray(GuidedFilter(radius, epsilon=0.01)([y, color]))
    for channel in range(2):
        expected = guided_by_definition(y[0, ..., 0], color[0, ..., channel], radius, 0.01)
        np.testing.assert_allclose(ours[0, ..., channel], expected, atol=1e-5)


def test_guided_filter_moves_a_colours_border_to_the_things():
    """A colour that spills three pixels over an edge of y: afterwards it changes at the edge."""
    y = np.where(np.arange(32) < 16, -0.5, 0.5).astype(np.float32) * np.ones((32, 1), np.float32)
    color = np.where(np.arange(32) < 19, 0.4, -0.4).astype(np.float32) * np.ones((32, 1), np.float32)
    painted = np.asarray(GuidedFilter(4)([y[None, ..., None], color[None, ..., None]]))[0, 16, :, 0]
    assert np.abs(np.diff(painted)).argmax() == 15  # between pixels 15 and 16
