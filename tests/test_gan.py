"""One Algorithm-1 step against a transcription by hand; replicas against one device; loss scaling; EMA; WGAN's clip."""

import dataclasses
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import transcription

from colorgan_tf.gan import ColorGAN
from colorgan_tf.models import ModelSettings

SETTINGS = ModelSettings(image_size=16, noise_size=6, generator_filters=(8, 6, 6, 6, 4), discriminator_filters=4)


def make_gan(
    settings=SETTINGS, optimizer=keras.optimizers.Adam, rate=2e-3, ema_decay=0.0, **compile_options
) -> ColorGAN:
    keras.utils.set_random_seed(1)
    gan = ColorGAN(settings, seed=3, ema_decay=ema_decay)
    # An epsilon well above float32's rounding: Adam divides tiny gradients by their own size, noise and all.
    options = {"beta_1": 0.5, "epsilon": 1e-5} if optimizer is keras.optimizers.Adam else {}
    gan.compile(optimizer(rate, **options), optimizer(rate / 2, **options), **compile_options)
    return gan


def photos(batch=4, updates=2, size=16, seed=0):
    return np.random.default_rng(seed).uniform(size=(batch, updates, size, size, 3)).astype(np.float32)


def named_weights(network):
    """{layer/kind: float64 array} of the trainable weights."""
    return {"/".join(w.path.split("/")[-2:]): w.numpy().astype(np.float64) for w in network.trainable_weights}


def spread(network):
    """Weights of ordinary size: at the tiny initial ones a sign error could hide below the tolerance."""
    rng = np.random.default_rng(5)
    for w in network.trainable_weights:
        scale = 0.3 if "kernel" in w.path else 0.1
        w.assign(w + rng.normal(scale=scale, size=w.shape))


def test_one_step_is_algorithm_1_written_by_hand():
    gan = make_gan(objective="gan")
    spread(gan.generator)
    spread(gan.discriminator)
    batch = photos()
    noises = [gan.sample_noise(i, 4).numpy().astype(np.float64) for i in range(2)]
    before_d, before_g = named_weights(gan.discriminator), named_weights(gan.generator)

    tf.function(gan.train_step)(tf.constant(batch))

    minibatches = [batch[:, i].astype(np.float64) for i in range(2)]
    d, g = transcription.algorithm_1(before_d, before_g, minibatches, noises, 1, 1, d_rate=2e-3, g_rate=1e-3)
    for network, before, after in ((gan.discriminator, before_d, d), (gan.generator, before_g, g)):
        ours = named_weights(network)
        assert ours.keys() == after.keys()
        for name in ours:
            assert np.abs(after[name] - before[name]).max() > 1e-4, f"{name} does not move: the test would not see it"
            np.testing.assert_allclose(ours[name], after[name], atol=1e-5, err_msg=name)
    assert int(gan.step) == 1


def test_every_update_gets_its_own_minibatch_and_noise():
    """Changing the third minibatch of k_D = 2, k_G = 1 leaves D as it is and moves G."""
    steps = {}
    for changed in (None, 0, 1, 2):
        gan = make_gan(k_d=2, k_g=1)
        batch = photos(updates=3)
        if changed is not None:
            batch[:, changed] = photos(updates=1, seed=9)[:, 0]
        gan.train_step(tf.constant(batch))
        steps[changed] = [
            np.concatenate([w.numpy().ravel() for w in n.weights]) for n in (gan.discriminator, gan.generator)
        ]
    for changed in (0, 1):
        assert not np.array_equal(steps[changed][0], steps[None][0])
    assert not np.array_equal(steps[2][1], steps[None][1])

    gan = make_gan(k_d=2)
    draws = [gan.sample_noise(i, 4).numpy() for i in range(3)]
    gan.step.assign_add(1)
    draws.append(gan.sample_noise(0, 4).numpy())
    for i, a in enumerate(draws):
        assert np.abs(a).max() <= 1 and a.min() < -0.5 and a.max() > 0.5
        for b in draws[:i]:
            assert np.abs(a - b).min() > 0


def test_every_update_of_d_has_its_own_alpha(monkeypatch):
    gan = make_gan(dataclasses.replace(SETTINGS, discriminator_norm="layer"), k_d=3, objective="wgan_gp")
    draw, drawn = ColorGAN.uniform, []

    def uniform(*arguments, **named):
        drawn.append(draw(*arguments, **named))
        return drawn[-1]

    monkeypatch.setattr(ColorGAN, "uniform", uniform)
    gan.train_step(tf.constant(photos(updates=4)))
    beginnings = {tuple(np.round(numbers.numpy().ravel()[:2], 6)) for numbers in drawn}
    assert len(drawn) == len(beginnings) == 7  # four noises, three alphas


def test_d_update_leaves_g_alone_and_the_other_way_round():
    gan = make_gan()
    y, x = gan.see(tf.constant(photos()[:, 0]))
    z = gan.sample_noise(0, 4)
    g_before = named_weights(gan.generator)
    gan.update_discriminator(y, x, z)
    for name, w in named_weights(gan.generator).items():
        np.testing.assert_array_equal(w, g_before[name])
    d_before = named_weights(gan.discriminator)
    gan.update_generator(y, x, z)
    for name, w in named_weights(gan.discriminator).items():
        np.testing.assert_array_equal(w, d_before[name])


def test_uint8_photos_are_what_floats_are():
    gan = make_gan()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    for a, b in zip(gan.see(tf.constant(pixels)), gan.see(tf.constant(pixels / np.float32(255))), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_rgb_adds_lambda_times_l1():
    settings = ModelSettings(
        image_size=16, noise_size=6, generator_filters=(8, 6, 6, 6, 4), discriminator_filters=4, color_space="rgb"
    )
    moved = {}
    for weight in (0.0, 10.0):
        gan = make_gan(settings, optimizer=keras.optimizers.SGD, l1_weight=weight)
        before = named_weights(gan.generator)
        y, x = gan.see(tf.constant(photos()[:, 0]))
        logs = gan.update_generator(y, x, gan.sample_noise(0, 4))
        moved[weight] = {n: w - before[n] for n, w in named_weights(gan.generator).items()}
    with tf.GradientTape() as tape:  # SGD's step is linear in the loss, so the difference is lambda times L1's own
        gan = make_gan(settings)
        painted = gan.generator([y, gan.sample_noise(0, 4)], training=True)
        gray = 0.299 * painted[..., 0:1] + 0.587 * painted[..., 1:2] + 0.114 * painted[..., 2:3]
        l1 = tf.reduce_mean(tf.abs(y - gray))
    np.testing.assert_allclose(logs["l1_loss"], l1, rtol=1e-5)
    gradients = tape.gradient(l1, gan.generator.trainable_variables)
    for w, g in zip(gan.generator.trainable_variables, gradients, strict=True):
        name = "/".join(w.path.split("/")[-2:])
        np.testing.assert_allclose(moved[10.0][name] - moved[0.0][name], -1e-3 * 10 * g.numpy(), atol=1e-6)


def test_wgan_keeps_d_inside_the_clip():
    gan = make_gan(optimizer=keras.optimizers.RMSprop, rate=0.05, objective="wgan", k_d=5)
    for _ in range(3):
        logs = gan.train_step(tf.constant(photos(updates=6)))
    weights = np.concatenate([w.numpy().ravel() for w in gan.discriminator.trainable_weights])
    assert np.abs(weights).max() <= 0.01 + 1e-9 and (np.abs(weights) > 0.0099).mean() > 0.1
    assert np.isfinite(float(logs["d_loss"]))


@pytest.mark.parametrize(
    "options", [{"r1_weight": 1.0}, {"mode_seeking_weight": 1.0}, {"objective": "wgan_gp"}], ids=str
)
def test_terms_of_ours_train_and_count(options):
    settings = ModelSettings(
        image_size=16,
        noise_size=6,
        generator_filters=(8, 6, 6, 6, 4),
        discriminator_filters=4,
        discriminator_norm="layer",
    )
    gan = make_gan(settings, **options)
    logs = tf.function(gan.train_step)(tf.constant(photos()))
    counted = logs["mode_seeking_loss"] if "mode_seeking_weight" in options else logs["d_penalty"]
    assert float(counted) > 0 and all(np.isfinite(float(v)) for v in logs.values())


@pytest.mark.parametrize("batch, pairs", [(4, 2), (5, 2)])
def test_mode_seeking_compares_two_noises_on_the_same_photo(batch, pairs):
    gan = make_gan(mode_seeking_weight=1.0)
    seen, full_color = [], gan.full_color
    gan.full_color = lambda y, painted: seen.append((y.numpy(), painted.numpy())) or full_color(y, painted)
    z = gan.sample_noise(0, batch)
    logs = gan.update_generator(*gan.see(tf.constant(photos(batch)[:, 0])), z)
    [(y, painted)] = seen
    assert len(y) == batch
    np.testing.assert_array_equal(y[:pairs], y[pairs : 2 * pairs])
    local = painted - painted.mean(axis=(1, 2), keepdims=True)
    distances = [np.abs(values[:pairs] - values[pairs : 2 * pairs]).mean() for values in (z.numpy(), local)]
    np.testing.assert_allclose(logs["mode_seeking_loss"], distances[0] / (distances[1] + 1e-5), rtol=1e-5)


def test_regression_has_no_adversary_and_forgets_the_noise():
    gan = make_gan(objective="regression", rate=2e-2)
    assert gan.updates == 1
    step = tf.function(gan.train_step)
    d_before = named_weights(gan.discriminator)
    losses = [float(step(tf.constant(photos(batch=8, updates=1)))["g_loss"]) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    for name, w in named_weights(gan.discriminator).items():
        np.testing.assert_array_equal(w, d_before[name])


def test_ema_is_the_ramped_mean_of_all_of_gs_weights():
    gan = make_gan(ema_decay=0.9, rate=0.02)
    mean = [w.numpy() for w in gan.generator.weights]
    for step in range(4):
        gan.train_step(tf.constant(photos(seed=step)))
        decay = min(0.9, (1 + step) / (10 + step))
        mean = [decay * m + (1 - decay) * w.numpy() for m, w in zip(mean, gan.generator.weights, strict=True)]
    for ours, expected in zip(gan.ema_generator.weights, mean, strict=True):
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-6)


def run_replicas(tmp_path, replicas, mode):
    """Logical CPUs must be made before TensorFlow starts, so each case is a process of its own."""
    out = tmp_path / f"{mode}-{replicas}"
    script = os.path.join(os.path.dirname(__file__), "replica_steps.py")
    command = [sys.executable, script, str(replicas), mode, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(f"{out}.npz")), json.loads((tmp_path / f"{mode}-{replicas}.json").read_text())


def test_two_replicas_take_the_step_one_takes(tmp_path):
    one, one_logs = run_replicas(tmp_path, 1, "float32")
    two, two_logs = run_replicas(tmp_path, 2, "float32")
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-5, err_msg=name)
    for name in ("d_loss", "g_loss", "d_real"):
        assert two_logs[name] == pytest.approx(one_logs[name], abs=1e-5)
    noise = two["noise"]  # both replicas' rows
    assert np.abs(noise[:2] - noise[2:]).min() > 0


def test_an_inf_on_one_replica_makes_all_skip_and_halves_the_scale(tmp_path):
    weights, logs = run_replicas(tmp_path, 2, "mixed_float16")
    assert logs["scale_after"] == logs["scale_before"] / 2
    assert logs["scale_of_d"] == logs["scale_before"]
    for name in weights:
        if name.startswith("before:"):
            assert np.isfinite(weights[name]).all()
            np.testing.assert_array_equal(weights[name], weights["after:" + name[7:]], err_msg=name)
    assert logs["moved_without_inf"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_bfloat16_trains(tmp_path, replicas):
    weights, logs = run_replicas(tmp_path, replicas, "mixed_bfloat16")
    assert all(np.isfinite(w).all() for w in weights.values())
    assert logs["d_loss_last"] < logs["d_loss_first"]
