"""Algorithm 2: who gets which noise, in what order the results lie, and what batch statistics change."""

import keras
import numpy as np
import pytest
from keras import layers

from colorgan_tf import sampling
from colorgan_tf.color import luminance, rgb_to_yuv

RNG = np.random.default_rng(3)
GRAY = RNG.uniform(size=(5, 6, 6, 1)).astype(np.float32)
KEYS = ["bed", "hall", "desk", "lamp", "door"]


def traceable(gray, noise):
    """A generator whose answer says exactly which photo met which noise."""
    chroma = 0.1 * gray * noise[:, None, None, :2] + 0.2 * noise[:, None, None, 2:4]
    return np.repeat(gray, 3, axis=-1) + noise[:, None, None, :3], chroma


def test_result_i_r_is_photo_i_in_round_r():
    rgb, chroma = sampling.sample(traceable, GRAY, KEYS, k=4, noise_size=7, seed=11)
    assert rgb.shape == (5, 4, 6, 6, 3) and chroma.shape == (5, 4, 6, 6, 2)
    for i, key in enumerate(KEYS):
        for r in range(4):
            alone_rgb, alone_chroma = traceable(GRAY[i : i + 1], sampling.noise([key], r, 7, seed=11))
            np.testing.assert_array_equal(rgb[i, r], alone_rgb[0].astype(np.float32))
            np.testing.assert_array_equal(chroma[i, r], alone_chroma[0].astype(np.float32))


def test_a_photo_gets_the_same_results_whatever_the_batch_and_k():
    whole = sampling.sample(traceable, GRAY, KEYS, k=5, noise_size=7)[1]
    order = [3, 0, 4]
    part = sampling.sample(traceable, GRAY[order], [KEYS[i] for i in order], k=2, noise_size=7)[1]
    np.testing.assert_array_equal(part, whole[order, :2])
    np.testing.assert_array_equal(sampling.sample(traceable, GRAY[2:3], KEYS[2:3], k=5, noise_size=7)[1][0], whole[2])


def test_every_round_is_one_call_on_the_whole_mixed_batch():
    calls = []

    def generator(gray, noise):
        calls.append((gray.copy(), noise.copy()))
        return traceable(gray, noise)

    sampling.sample(generator, GRAY, KEYS, k=3, noise_size=7)
    assert len(calls) == 3
    for gray, _ in calls:
        np.testing.assert_array_equal(gray, GRAY)


def test_noise_is_uniform_and_never_the_same_twice():
    keys = [f"photo-{i}" for i in range(200)]
    drawn = np.stack([sampling.noise(keys, r, 100, seed) for seed in (0, 1) for r in (0, 1)])
    assert drawn.dtype == np.float32 and drawn.min() >= -1 and drawn.max() <= 1
    vectors = drawn.reshape(-1, 100)
    assert len(np.unique(vectors, axis=0)) == len(vectors) == 800
    # 80,000 draws of U(-1, 1): mean 0 +- 0.002, variance 1/3 +- 0.001 (one sigma), no correlation between vectors.
    assert abs(vectors.mean()) < 0.01 and abs(vectors.var() - 1 / 3) < 0.005
    neighbours = (vectors[1:] * vectors[:-1]).mean() * 3
    assert abs(neighbours) < 0.02


@pytest.mark.parametrize("k", [0, -2])
def test_fewer_than_one_round_is_refused(k):
    with pytest.raises(ValueError, match="k="):
        sampling.sample(traceable, GRAY, KEYS, k=k, noise_size=7)


def test_photos_without_keys_are_refused():
    with pytest.raises(ValueError, match="4 keys for 5 photos"):
        sampling.sample(traceable, GRAY, KEYS[:4], k=1, noise_size=7)


def small_model(channels):
    """y and z to tanh(BN(a mix of both)), with moving averages unlike any batch's statistics."""
    gray, noise = keras.Input((6, 6, 1)), keras.Input((7,))
    dense = layers.Dense(36, kernel_initializer=keras.initializers.RandomNormal(seed=1))
    spread = layers.Reshape((6, 6, 1))(dense(noise))
    mixed = layers.Conv2D(channels, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=2))(
        layers.Concatenate()([gray, spread])
    )
    norm = layers.BatchNormalization(epsilon=1e-5)
    model = keras.Model([gray, noise], layers.Activation("tanh")(norm(mixed)))
    norm.moving_mean.assign(np.linspace(-0.2, 0.3, channels))
    norm.moving_variance.assign(np.linspace(0.5, 2.0, channels))
    return model, keras.Model([gray, noise], mixed), norm


def test_moving_averages_make_a_photo_independent_of_its_companions():
    model, _, _ = small_model(2)
    generator = sampling.keras_generator(model)
    together = sampling.sample(generator, GRAY, KEYS, k=3, noise_size=7)[1]
    alone = sampling.sample(generator, GRAY[1:2], KEYS[1:2], k=3, noise_size=7)[1]
    np.testing.assert_allclose(together[1], alone[0], atol=1e-6)


def test_batch_statistics_are_those_of_the_minibatch_and_leave_no_trace():
    model, before_norm, norm = small_model(2)
    kept = [np.array(weight) for weight in model.get_weights()]
    generator = sampling.keras_generator(model, batch_statistics=True)
    rgb, chroma = sampling.sample(generator, GRAY, KEYS, k=2, noise_size=7)
    for r in range(2):
        mixed = before_norm.predict([2 * GRAY - 1, sampling.noise(KEYS, r, 7)], verbose=0).astype(np.float64)
        normal = (mixed - mixed.mean(axis=(0, 1, 2))) / np.sqrt(mixed.var(axis=(0, 1, 2)) + 1e-5)
        np.testing.assert_allclose(chroma[:, r], 0.5 * np.tanh(normal), atol=1e-5)
    for weight, was in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(weight, was)
    alone = sampling.sample(generator, GRAY[1:2], KEYS[1:2], k=2, noise_size=7)[1]
    assert np.abs(alone[0] - chroma[1]).max() > 1e-3  # which is why the paper mixes its batches
    assert rgb.min() >= 0 and rgb.max() <= 1


def test_yuv_keeps_the_luminance_and_rgb_gives_its_own_chroma():
    noise = sampling.noise(KEYS, 0, 7)
    model, _, _ = small_model(2)
    rgb, chroma = sampling.keras_generator(model)(GRAY, noise)
    np.testing.assert_allclose(luminance(rgb), GRAY, atol=1e-6)
    np.testing.assert_allclose(chroma, 0.5 * model.predict([2 * GRAY - 1, noise], verbose=0), atol=1e-6)

    model, _, _ = small_model(3)
    rgb, chroma = sampling.keras_generator(model)(GRAY, noise)
    np.testing.assert_allclose(rgb, (model.predict([2 * GRAY - 1, noise], verbose=0) + 1) / 2, atol=1e-6)
    np.testing.assert_allclose(rgb_to_yuv(rgb)[1], chroma, atol=1e-6)
