"""Objectives against closed forms in float64, at known logits and on critics whose gradients are known."""

import numpy as np
import pytest
import tensorflow as tf

from colorgan_tf import losses

REAL = np.array([[2.0], [-1.0], [0.3], [40.0]])
FAKE = np.array([[-0.5], [1.5], [0.0], [-40.0]])


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def tensor(x):
    return tf.constant(x, tf.float64)


def value_and_gradient(function, *arguments):
    arguments = [tensor(a) for a in arguments]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return value.numpy(), [g.numpy() for g in tape.gradient(value, arguments)]


# value, and d value / d argument, in the paper's words; n is the number of logits.
CLOSED_FORMS = [
    (
        losses.gan_d_loss,
        (REAL, FAKE),
        lambda r, f: -np.mean(np.log(sigmoid(r))) - np.mean(np.log(1 - sigmoid(f))),
        lambda r, f: [(sigmoid(r) - 1) / len(r), sigmoid(f) / len(f)],
    ),
    (
        losses.saturating_g_loss,
        (FAKE,),
        lambda f: np.mean(np.log(1 - sigmoid(f))),
        lambda f: [-sigmoid(f) / len(f)],
    ),
    (
        losses.non_saturating_g_loss,
        (FAKE,),
        lambda f: -np.mean(np.log(sigmoid(f))),
        lambda f: [(sigmoid(f) - 1) / len(f)],
    ),
    (
        losses.critic_d_loss,
        (REAL, FAKE),
        lambda r, f: f.mean() - r.mean(),
        lambda r, f: [np.full_like(r, -1 / len(r)), np.full_like(f, 1 / len(f))],
    ),
    (losses.critic_g_loss, (FAKE,), lambda f: -f.mean(), lambda f: [np.full_like(f, -1 / len(f))]),
    (
        losses.l2_loss,
        (REAL, FAKE),
        lambda t, p: np.mean((t - p) ** 2),
        lambda t, p: [2 * (t - p) / t.size, -2 * (t - p) / t.size],
    ),
    (
        losses.l1_loss,
        (REAL, FAKE),
        lambda y, g: np.mean(np.abs(y - g)),
        lambda y, g: [np.sign(y - g) / y.size, -np.sign(y - g) / y.size],
    ),
]


@pytest.mark.parametrize("function, arguments, value, gradient", CLOSED_FORMS, ids=lambda x: getattr(x, "__name__", ""))
def test_value_and_gradient_match_the_closed_form(function, arguments, value, gradient):
    ours, our_gradients = value_and_gradient(function, *arguments)
    np.testing.assert_allclose(ours, value(*arguments), rtol=1e-9)
    for g, expected in zip(our_gradients, gradient(*arguments), strict=True):
        np.testing.assert_allclose(g, expected, rtol=1e-9, atol=1e-17)


def test_extreme_logits_stay_finite():
    far = tf.constant([[1e4], [-1e4]])
    for function in (losses.saturating_g_loss, losses.non_saturating_g_loss):
        assert np.isfinite(function(far))
    assert np.isfinite(losses.gan_d_loss(far, far))


def linear_critic(weight):
    """D(x) = <w, x>: its gradient is w at every sample."""
    return lambda images, training: tf.reduce_sum(images * weight, axis=[1, 2, 3])[:, None]


def test_gradient_penalty_of_a_linear_critic_is_its_norm_minus_one_squared():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(1, 6, 6, 3)).astype(np.float32)
    real, fake = tf.unstack(tf.constant(rng.normal(size=(2, 5, 6, 6, 3)), tf.float32))
    penalty = losses.gradient_penalty(linear_critic(weight), real, fake, np.full((5, 1, 1, 1), 0.3, np.float32))
    np.testing.assert_allclose(penalty, (np.linalg.norm(weight) - 1) ** 2, rtol=1e-5)


def test_gradient_penalty_of_a_quadratic_critic_depends_on_each_samples_own_alpha():
    """D(x) = |x|^2 / 2 has gradient x, so the penalty is the mean of (|x^_i| - 1)^2."""
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(2, 4, 3, 3, 3)).astype(np.float32)
    alpha = np.array([0.0, 0.25, 0.6, 1.0], np.float32).reshape(4, 1, 1, 1)

    def critic(images, training):
        return tf.reduce_sum(images**2, axis=[1, 2, 3])[:, None] / 2

    mixed = (alpha * real + (1 - alpha) * fake).reshape(4, -1)
    expected = np.mean((np.linalg.norm(mixed, axis=1) - 1) ** 2)
    np.testing.assert_allclose(losses.gradient_penalty(critic, tf.constant(real), fake, alpha), expected, rtol=1e-5)


def test_r1_of_a_linear_critic_is_half_its_squared_norm():
    weight = np.random.default_rng(2).normal(size=(1, 4, 4, 3)).astype(np.float32)
    real = tf.zeros((3, 4, 4, 3))
    np.testing.assert_allclose(losses.r1_penalty(linear_critic(weight), real), 0.5 * np.sum(weight**2), rtol=1e-5)


def test_mode_seeking_is_the_ratio_of_mean_distances_and_ignores_tints():
    z1, z2 = tf.constant([[1.0, 0.0]]), tf.constant([[0.0, 0.5]])
    painted1, painted2 = tf.constant([[[[0.2, 0.4], [0.0, 0.4]]]]), tf.constant([[[[0.1, 0.4], [0.1, 0.4]]]])
    # The first picture's U is 0.1 off its mean, to both sides; nothing else is off any mean.
    np.testing.assert_allclose(losses.mode_seeking_loss(painted1, painted2, z1, z2), 0.75 / 0.05, rtol=1e-3)
    np.testing.assert_allclose(losses.mode_seeking_loss(painted1 + 0.3, painted2, z1, z2), 0.75 / 0.05, rtol=1e-3)
