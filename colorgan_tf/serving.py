"""The generator as a SavedModel that TF Serving loads, with its two signatures. docs/serving.md is the user's view."""

import dataclasses
import json
import os
import shutil

import keras
import numpy as np
import tensorflow as tf

from colorgan_tf import color, encoded
from colorgan_tf.folding import fold_batch_norm
from colorgan_tf.inference import INFO_FILE
from colorgan_tf.models import ModelSettings

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)  # what requests are padded to; as in examples/tf_serving/batching_parameters.txt
CHUNK = 4  # pictures: 8 MB of features in the widest layer, which a processor's cache holds
SLACK = 1e-3  # by which luminance and noise may leave their ranges: the rounding of resizing and of 16-bit floats


@dataclasses.dataclass(frozen=True)
class Options:
    """How a servable is made.

    fold: batch norm goes into the convs, which is the same function, faster. precision: what the convs compute in,
        float32 or bfloat16; inputs, outputs and weights are float32 either way.
    batching: requests that arrive together go through the network together, after each was checked by itself, so that a
        bad one harms only itself. Without it TF Serving may batch, or nobody.
    max_pixels: of a photo that `colorize_png` takes.
    """

    fold: bool = True
    precision: str = "float32"
    batching: bool = False
    max_pixels: int = 16_000_000


def describe(settings: ModelSettings, step: int, run: str) -> dict:
    """What `colorgan.json` beside an export says: sizes, colour space, and which run and iteration it came from."""
    return {
        "image_size": settings.image_size,
        "noise_size": settings.noise_size,
        "any_size": settings.any_size,
        "color_space": settings.color_space,
        "generator": settings.generator,
        "step": step,
        "run": run,
    }


def colorizer(generator: keras.Model, options: Options = Options()):  # noqa: B008 frozen
    """colorize(gray, noise) -> (rgb, chroma), a TensorFlow function of the shapes and ranges of `serving_default`.

    The weights are constants in it: kernels are laid out once, and no variables need restoring.
    """
    if options.fold:
        generator = fold_batch_norm(generator, options.precision)
    elif options.precision != "float32":
        raise ValueError(f"precision={options.precision}: expected float32 without fold")
    trainable = [np.asarray(weight) for weight in generator.trainable_variables]
    fixed = [np.asarray(weight) for weight in generator.non_trainable_variables]

    @tf.function
    def colorize(gray, noise):
        weights = [[tf.constant(value) for value in values] for values in (trainable, fixed)]
        painted, _ = generator.stateless_call(*weights, [color.to_network(gray), noise], training=False)
        return color.pictures(gray, tf.cast(painted, tf.float32))

    return colorize


def in_chunks(colorize):
    """`colorize`, two small chunks of the batch at a time, each on its way through all layers.

    While the threads of one chunk's conv wait for their last, the other chunk's work fills in. docs/performance.md has
    the figures.
    """

    @tf.function
    def chunked(gray, noise):
        batch = tf.shape(gray)[0]
        size = tf.clip_by_value((batch + 1) // 2, 1, CHUNK)
        count = (batch + size - 1) // size

        def paint(i, rgb, chroma):
            rows = slice(i * size, (i + 1) * size)
            painted = colorize(gray[rows], noise[rows])
            return i + 1, rgb.write(i, painted[0]), chroma.write(i, painted[1])

        shape = gray.shape[1:3]
        rgb = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None, *shape, 3])
        chroma = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=[None, *shape, 2])
        _, rgb, chroma = tf.while_loop(lambda i, *_: i < count, paint, [0, rgb, chroma], parallel_iterations=2)
        return rgb.concat(), chroma.concat()

    return chunked


def signatures(generator: keras.Model, settings: ModelSettings, options: Options) -> dict:
    """The servable's two tf.functions by name.

    serving_default: gray float32 [batch, s, s, 1] in [0, 1] (any height and width if `settings.any_size`) and noise
        float32 [batch, noise_size] in [-1, 1] to rgb [batch, s, s, 3] in [0, 1] and chroma [batch, s, s, 2] in
        [-0.5, 0.5].
    colorize_png: image_bytes string [batch] (PNG or JPEG) and seed int64 [batch] to png_bytes string [batch], each of
        its photo's own size, and noise float32 [batch, noise_size], which is a function of the seed alone.
    """
    size = None if settings.any_size else settings.image_size
    square = settings.image_size
    colorize = in_chunks(colorizer(generator, options))
    if options.batching:
        together = batched(colorize)
        if settings.any_size:  # only pictures of one size can share a batch
            alone, fits = colorize, lambda gray: tf.reduce_all(tf.shape(gray)[1:3] == square)
            colorize = lambda gray, noise: tf.cond(  # noqa: E731
                fits(gray), lambda: together(gray, noise), lambda: alone(gray, noise)
            )
        else:
            colorize = together

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, size, size, 1], tf.float32, name="gray"),
            tf.TensorSpec([None, settings.noise_size], tf.float32, name="noise"),
        ],
    )
    def serving_default(gray, noise):
        with tf.control_dependencies(_check(gray, noise, size, settings.noise_size)):
            rgb, chroma = colorize(tf.identity(gray), tf.identity(noise))
        return {
            "rgb": tf.ensure_shape(rgb, [None, size, size, 3]),
            "chroma": tf.ensure_shape(chroma, [None, size, size, 2]),
        }

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None], tf.string, name="image_bytes"),
            tf.TensorSpec([None], tf.int64, name="seed"),
        ],
    )
    def colorize_png(image_bytes, seed):
        same = tf.debugging.Assert(
            tf.size(image_bytes) == tf.size(seed), ["image_bytes and seed: expected as many of one as of the other"]
        )
        with tf.control_dependencies([same]):
            rows = tf.range(tf.size(image_bytes))

        def see(i, photos, small):
            y = encoded.decode_luminance(image_bytes[i], options.max_pixels)
            shown = tf.image.resize(y, [square, square], method="lanczos3", antialias=True)
            return i + 1, photos.write(i, y), small.write(i, tf.clip_by_value(shown, 0.0, 1.0))

        # A loop, since photos differ in size; the network sees all of them at once.
        photos = tf.TensorArray(tf.float32, tf.size(rows), infer_shape=False)
        small = tf.TensorArray(tf.float32, tf.size(rows), element_shape=[square, square, 1])
        _, photos, small = tf.while_loop(
            lambda i, *_: i < tf.size(rows), see, [0, photos, small], parallel_iterations=2
        )
        noise = draw_noise(seed, settings.noise_size)
        chroma = tf.ensure_shape(colorize(small.stack(), noise)[1], [None, square, square, 2])
        png_bytes = tf.map_fn(
            lambda i: encoded.encode_png(tf.ensure_shape(photos.read(i), [None, None, 1]), chroma[i]),
            rows,
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=2,
        )
        return {"png_bytes": png_bytes, "noise": noise}

    return {"serving_default": serving_default, "colorize_png": colorize_png}


def draw_noise(seed: tf.Tensor, noise_size: int) -> tf.Tensor:
    """int64 [batch] to float32 [batch, noise_size], uniform in [-1, 1]; every row from its seed alone."""

    def row(value):
        # Philox by name: the default may differ between devices.
        return tf.random.stateless_uniform([noise_size], tf.stack([value, 0]), -1.0, 1.0, alg="philox")

    return tf.map_fn(row, seed, fn_output_signature=tf.TensorSpec([noise_size], tf.float32))


def save(
    generator: keras.Model,
    settings: ModelSettings,
    description: dict,
    model_dir: str,
    options: Options = Options(),  # noqa: B008 frozen
    finish=None,
) -> str:
    """Writes `model_dir`/N/, N one above the highest there, aside first and then renamed; gives back that folder.

    The generator must be float32; batch norm goes by its moving averages. finish(folder): more to do before the folder
    gets its number; what it raises leaves nothing behind.
    """
    module = tf.Module()
    module.functions = signatures(generator, settings, options)
    os.makedirs(model_dir, exist_ok=True)
    target = os.path.join(model_dir, str(next_version(model_dir)))
    partial = os.path.join(model_dir, f".partial-{os.getpid()}")  # not a number, so that a server does not load it
    try:
        tf.saved_model.save(module, partial, signatures=module.functions)
        with open(os.path.join(partial, INFO_FILE), "w", encoding="utf-8") as file:
            json.dump(description, file, indent=1)
            file.write("\n")
        if finish:
            finish(partial)
        os.rename(partial, target)
    except tf.errors.OpError as error:
        raise OSError(f"{target}: cannot write the SavedModel ({str(error).splitlines()[0]})") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def next_version(model_dir: str) -> int:
    """One above the highest numbered folder; 1 where there is none."""
    return max((int(name) for name in os.listdir(model_dir) if name.isdecimal()), default=0) + 1


def batched(colorize):
    """`colorize` behind TensorFlow's batch scheduler, shared by all signatures and requests of a loaded model."""
    return tf.nondifferentiable_batch_function(
        num_batch_threads=2,
        max_batch_size=BATCH_SIZES[-1],
        batch_timeout_micros=2000,
        allowed_batch_sizes=list(BATCH_SIZES),
        max_enqueued_batches=1000,
    )(colorize)


def _check(gray, noise, size, noise_size):
    """Assertions that turn away what a client got wrong, with the name of the input and what was expected."""
    shape = f"[batch, {size or 'height'}, {size or 'width'}, 1]"
    sized = (tf.rank(gray) == 4) & (tf.shape(gray)[-1] == 1)
    if size:
        sized &= tf.reduce_all(tf.shape(gray)[1:3] == size)
    coded = (tf.rank(noise) == 2) & (tf.shape(noise)[-1] == noise_size)

    def within(x, low):
        flat = tf.reshape(x, [-1])  # reductions of a tensor rely on the rank it is declared with
        return tf.reduce_all((flat >= low - SLACK) & (flat <= 1.0 + SLACK))  # nan is not

    checks = [
        (sized, f"gray: expected the shape {shape}", tf.shape(gray)),
        (coded, f"noise: expected the shape [batch, {noise_size}]", tf.shape(noise)),
        (tf.shape(gray)[0] == tf.shape(noise)[0], "gray and noise: expected one batch size", tf.shape(noise)),
        (within(gray, 0.0), "gray: expected values in [0, 1]", gray),
        (within(noise, -1.0), "noise: expected values in [-1, 1]", noise),
    ]
    return [tf.debugging.Assert(good, [message, found]) for good, message, found in checks]
