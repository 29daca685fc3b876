"""Algorithm 1 written out by hand: plain tf ops on plain lists of arrays, float64, no line shared with the package.

For the paper's generator (noise map, multi-layer noise and condition, YUV) and discriminator (batch norm), Adam.
"""

import numpy as np
import tensorflow as tf


def batch_norm(x, gamma, beta):
    axes = list(range(len(x.shape) - 1))
    mean = tf.reduce_mean(x, axes)
    variance = tf.reduce_mean((x - mean) ** 2, axes)
    return gamma * (x - mean) / tf.sqrt(variance + 1e-5) + beta


def conv(x, kernel, stride=1):
    return tf.nn.conv2d(x, kernel, strides=stride, padding="SAME")


def generator(w, y, z):
    """w: by the names that `names_of` gives."""
    s = y.shape[1]
    n = tf.reshape(z @ w["noise_dense/kernel"] + w["noise_dense/bias"], [-1, s, s, 1])
    n = tf.maximum(batch_norm(n, w["noise_bn/gamma"], w["noise_bn/beta"]), 0)
    h = None
    for i in range(5):
        parts = ([h] if i else []) + [y] + ([n] if i < 3 else [])
        h = conv(tf.concat(parts, -1), w[f"conv_{i}/kernel"])
        h = tf.maximum(batch_norm(h, w[f"bn_{i}/gamma"], w[f"bn_{i}/beta"]), 0)
    return tf.tanh(conv(tf.concat([h, y], -1), w["color_conv/kernel"]) + w["color_conv/bias"])


def discriminator(w, x):
    h = x
    for i in range(4):
        h = conv(h, w[f"conv_{i}/kernel"], stride=2)
        h = h + w["conv_0/bias"] if i == 0 else batch_norm(h, w[f"bn_{i}/gamma"], w[f"bn_{i}/beta"])
        h = tf.maximum(h, 0.2 * h)
    h = tf.reshape(h, [h.shape[0], -1])
    return (h @ w["dense/kernel"] + w["dense/bias"]) @ w["score/kernel"] + w["score/bias"]


def split(rgb):
    """RGB in [0, 1] to (y, x): both in [-1, 1], x = (Y, U, V)."""
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    y = 0.299 * r + 0.587 * g + 0.114 * b
    u, v = (b - y) / (1 - 0.114), (r - y) / (1 - 0.299)  # twice U and V
    return (2 * y - 1)[..., None], np.stack([2 * y - 1, u, v], -1)


def adam(weights, gradients, rate, beta1=0.5, beta2=0.999, epsilon=1e-5):
    """The first step of Adam from zero moments."""
    after = {}
    for name, w in weights.items():
        g = gradients[name]
        m, v = (1 - beta1) * g / (1 - beta1), (1 - beta2) * g**2 / (1 - beta2)
        # Keras adds epsilon before the bias correction of v is undone, as in section 2 of Kingma & Ba.
        after[name] = w - rate * m / (np.sqrt(v) + epsilon / np.sqrt(1 - beta2))
    return after


def gradient(loss, weights):
    variables = {name: tf.constant(w, tf.float64) for name, w in weights.items()}
    with tf.GradientTape() as tape:
        tape.watch(variables)
        value = loss(variables)
    return {name: g.numpy() for name, g in tape.gradient(value, variables).items()}


def algorithm_1(d, g, minibatches, noises, k_d, k_g, d_rate, g_rate):
    """One iteration on dicts of float64 weights; each update is the network's first (so k_d = k_g = 1)."""
    assert k_d == k_g == 1
    y, x = split(minibatches[0])
    fake = generator(g, y, noises[0])

    def d_objective(d):
        real_p, fake_p = tf.sigmoid(discriminator(d, x)), tf.sigmoid(discriminator(d, tf.concat([y, fake], -1)))
        return -tf.reduce_mean(tf.math.log(real_p) + tf.math.log(1 - fake_p))

    d = adam(d, gradient(d_objective, d), d_rate)
    y, _ = split(minibatches[1])

    def g_objective(g):
        return tf.reduce_mean(
            tf.math.log(1 - tf.sigmoid(discriminator(d, tf.concat([y, generator(g, y, noises[1])], -1))))
        )

    return d, adam(g, gradient(g_objective, g), g_rate)
