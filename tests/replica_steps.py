"""Steps of a tiny GAN on N logical CPUs: replica_steps.py N {float32,mixed_float16,mixed_bfloat16} OUT.

Writes weights to OUT.npz and figures to OUT.json; test_gan.py compares them. A program of its own because the number of
logical CPUs is settled before TensorFlow starts.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf

from colorgan_tf.gan import ColorGAN
from colorgan_tf.models import ModelSettings
from colorgan_tf.training import make_strategy

BATCH = 4


def main(replicas: int, precision: str, out: str):
    keras.mixed_precision.set_dtype_policy(precision)
    strategy = make_strategy("auto", replicas)
    keras.utils.set_random_seed(1)
    settings = ModelSettings(
        image_size=16,
        noise_size=6,
        generator_filters=(8, 6, 6, 6, 4),
        discriminator_filters=4,
        synchronized_bn=replicas > 1,
    )
    with strategy.scope():
        gan = ColorGAN(settings, seed=3, ema_decay=0.9)
        gan.compile(
            keras.optimizers.Adam(2e-3, beta_1=0.5, epsilon=1e-5), keras.optimizers.Adam(1e-3, beta_1=0.5, epsilon=1e-5)
        )

    photos = np.random.default_rng(0).uniform(size=(BATCH, 2, 16, 16, 3)).astype(np.float32)
    share = BATCH // replicas

    def mine(context):
        i = context.replica_id_in_sync_group
        return tf.constant(photos[i * share : (i + 1) * share])

    batch = strategy.experimental_distribute_values_from_function(mine) if replicas > 1 else tf.constant(photos)

    @tf.function
    def step(batch):
        return strategy.run(gan.train_step, args=(batch,))

    def local(value):
        return strategy.experimental_local_results(value)

    def first(logs):
        return {name: float(local(value)[0]) for name, value in logs.items()}

    def weights(prefix=""):
        everything = gan.generator.weights + gan.discriminator.weights
        if not prefix:
            everything = everything + gan.ema_generator.weights
        return {f"{prefix}{i}:{w.path}": w.numpy() for i, w in enumerate(everything)}

    if precision == "mixed_float16":
        arrays, figures = inf_on_one_replica(gan, strategy, batch, step, weights, replicas)
    elif precision == "mixed_bfloat16":
        losses = [first(step(batch))["d_loss"] for _ in range(15)]
        arrays, figures = weights(), {"d_loss_first": losses[0], "d_loss_last": losses[-1]}
    else:
        noise = strategy.run(lambda: gan.sample_noise(0, share))
        figures = first(step(batch))
        arrays = weights() | {"noise": np.concatenate([z.numpy() for z in local(noise)])}
    np.savez(out + ".npz", **arrays)
    with open(out + ".json", "w", encoding="utf-8") as file:
        json.dump(figures, file)


def inf_on_one_replica(gan, strategy, batch, step, weights, replicas):
    """G's update with an inf in the photos of the last replica alone, then a clean one."""
    step(batch)

    @tf.function
    def update(batch, poison):
        def replica_update(batch):
            y, x = gan.see(batch[:, 0])
            context = tf.distribute.get_replica_context()
            bad = tf.cast(context.replica_id_in_sync_group == replicas - 1, tf.float32) * poison
            # Only what the generator paints is poisoned, so that its batch-norm averages stay clean.
            gan.full_color = lambda y, painted: tf.concat([y, painted * (1.0 + bad)], axis=-1)
            gan.update_generator(y, x, gan.sample_noise(0, tf.shape(y)[0]))

        strategy.run(replica_update, args=(batch,))

    def scales():
        return [float(o.dynamic_scale.numpy()) for o in (gan.g_optimizer, gan.d_optimizer)]

    trainable = gan.generator.trainable_weights
    scale_before, _ = scales()
    before = {f"before:{w.path}": w.numpy() for w in trainable}
    update(batch, tf.constant(np.inf))
    scale_after, scale_of_d = scales()
    after = {f"after:{w.path}": w.numpy() for w in trainable}
    update(batch, tf.constant(0.0))
    moved = any(np.abs(w.numpy() - after[f"after:{w.path}"]).max() > 0 for w in trainable)
    figures = {
        "scale_before": scale_before,
        "scale_after": scale_after,
        "scale_of_d": scale_of_d,
        "moved_without_inf": bool(moved and all(np.isfinite(w.numpy()).all() for w in trainable)),
    }
    return before | after, figures


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
