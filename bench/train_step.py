"""How much of the machine train.py's own loop uses.

    python -m bench.train_step --data=datasets/photos64 --precision=float32

Three rates in one run, interleaved, medians of the repeats:
    loop    images/s of `training.train`'s own loop: reading, augmenting, callbacks, logging
    step    images/s of the bare train_step as a tf.function on one batch in memory
    matmul  multiply-adds x 2 per second of a large matrix product in the same precision
and the two ratios that count: loop / step (>= 0.95 is the aim), and step's FLOP rate / matmul.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

DATA = flags.DEFINE_string("data", None, "Directory written by data.convert.", required=True)
PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_float16", "mixed_bfloat16"], "Of the networks."
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Photos in a minibatch.", lower_bound=2)
STEPS = flags.DEFINE_integer("steps", 4, "Iterations in one measurement.", lower_bound=1)
REPEATS = flags.DEFINE_integer("repeats", 5, "Measurements of each kind.", lower_bound=1)
NOISE_FORM = flags.DEFINE_enum("noise_form", "map", ["map", "code"], "As in train.py.")


def conv_flops(network) -> float:
    """FLOP of one sample's forward pass: 2 x multiply-adds of its convs and dense layers."""
    import keras

    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += 2 * height * width * layer.kernel.shape.num_elements()
        elif isinstance(layer, keras.layers.Dense):
            total += 2 * layer.kernel.shape.num_elements()
    return total


def step_flops(gan) -> float:
    """FLOP of one image's share of an iteration with k_D = k_G = 1.

    D's update: G forward, D forward and backward (twice a forward) on a photo and a painted picture. G's update: G
    forward and backward, D forward and backward to its input (once a forward).
    """
    import dataclasses

    from colorgan_tf.models import build_discriminator, build_generator

    # A code generator has no height and width of its own; the same convs at the training size have.
    settings = dataclasses.replace(gan.settings, noise_form="map", context_filters=0)
    g, d = conv_flops(build_generator(settings)), conv_flops(build_discriminator(settings))
    return (g + 2 * 3 * d) + (3 * g + 2 * d)


def matmul_rate(precision: str, size: int = 2048) -> float:
    """FLOP/s of a size x size product."""
    import tensorflow as tf

    dtype = {"float32": "float32", "mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}[precision]
    a = tf.cast(tf.random.normal([size, size]), dtype)

    @tf.function
    def multiply(x):
        return tf.matmul(x, a) * tf.cast(1e-2, dtype)

    multiply(a)
    start = time.perf_counter()
    x = a
    for _ in range(8):
        x = multiply(x)
    tf.reduce_sum(tf.cast(x, tf.float32)).numpy()
    return 8 * 2 * size**3 / (time.perf_counter() - start)


def main(argv):
    del argv
    logging.set_verbosity(logging.WARNING)
    import keras
    import numpy as np
    import tensorflow as tf

    from colorgan_tf import monitoring, records, training
    from colorgan_tf.input_pipeline import training_batches
    from colorgan_tf.models import ModelSettings

    keras.mixed_precision.set_dtype_policy(PRECISION.value)
    keras.utils.set_random_seed(0)
    model = ModelSettings(noise_form=NOISE_FORM.value)
    settings = training.TrainingSettings(DATA.value, "", 1, batch_size=BATCH_SIZE.value, augmentation="flip_crop")
    gan = training.build(settings, model)
    source = records.open_split(DATA.value, "train", model.image_size, may_resize=True)
    batches = training_batches(source, BATCH_SIZE.value, gan.updates, 0, augmentation="flip_crop")
    writer = tf.summary.create_file_writer(os.path.join(os.environ.get("TMPDIR", "/tmp"), "bench_train_step"))

    in_memory = tf.constant(np.random.default_rng(0).integers(0, 256, (BATCH_SIZE.value, 2, 64, 64, 3), np.uint8))
    bare = tf.function(gan.train_step, jit_compile=False)

    def step_rate():
        start = time.perf_counter()
        for _ in range(STEPS.value):
            logs = bare(in_memory)
        logs["g_loss"].numpy()
        return BATCH_SIZE.value * STEPS.value / (time.perf_counter() - start)

    class Clock(keras.callbacks.Callback):
        """Times STEPS iterations behind a first one, which fills the input pipeline."""

        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                self.start = time.perf_counter()
            self.seconds = time.perf_counter() - self.start

    def loop_rate():
        clock = Clock()
        logger = monitoring.ScalarLogger(writer, BATCH_SIZE.value, every=2)
        gan.fit(batches, steps_per_epoch=STEPS.value + 1, epochs=1, callbacks=[logger, clock], verbose=0)
        return BATCH_SIZE.value * STEPS.value / clock.seconds

    step_rate(), loop_rate()  # compile
    rates = {"loop": [], "step": [], "matmul": []}
    for _ in range(REPEATS.value):
        rates["loop"].append(loop_rate())
        rates["step"].append(step_rate())
        rates["matmul"].append(matmul_rate(PRECISION.value))
    ratios = [loop / step for loop, step in zip(rates["loop"], rates["step"], strict=True)]
    flops = step_flops(gan)
    used = [step * flops / matmul for step, matmul in zip(rates["step"], rates["matmul"], strict=True)]
    print(f"precision {PRECISION.value}, batch {BATCH_SIZE.value}, {flops / 1e9:.1f} GFLOP an image and iteration")
    print(f"loop   {statistics.median(rates['loop']):8.1f} images/s")
    step = statistics.median(rates["step"])
    print(f"step   {step:8.1f} images/s = {step * flops / 1e9:.0f} GFLOP/s")
    print(f"matmul {statistics.median(rates['matmul']) / 1e9:8.0f} GFLOP/s")
    print(f"loop / step    {statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f})")
    print(f"step / matmul  {statistics.median(used):.3f}  ({min(used):.3f} to {max(used):.3f})")


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    app.run(main)
