"""From a data directory to the minibatches of training.

The order of photos is a function of the seed alone. Every epoch shuffles anew and shows each photo once; a minibatch
may straddle two epochs. A resumed run goes on at its place in that endless stream, with the same augmentation.
"""

import tensorflow as tf

from colorgan_tf.records import Source, decode_record, resize

AUGMENTATIONS = ("none", "flip", "flip_crop")
_SMALLEST_CROP = 0.6  # of the side, in flip_crop


def training_batches(
    source: Source,
    batch_size: int,
    updates: int,
    seed: int,
    start_step: int = 0,
    augmentation: str = "none",
    shuffle_buffer: int = 16384,
    deterministic: bool = True,
) -> tf.data.Dataset:
    """Endless uint8 batches [batch_size, updates, s, s, 3]: one minibatch for each update of `ColorGAN.train_step`.

    start_step: iterations already taken with the same arguments; the stream goes on behind the photos they saw.
    shuffle_buffer: records held (still encoded) to shuffle among; files are shuffled and read several at once besides.
    """
    consumed = start_step * batch_size * updates
    epoch, position = divmod(consumed, source.count)
    stream = tf.data.Dataset.counter(epoch).flat_map(
        lambda epoch: _one_epoch(source.files, epoch, seed, min(shuffle_buffer, source.count), deterministic)
    )
    stream = stream.skip(position).enumerate(start=consumed)

    def prepare(index, serialized):
        rgb, _ = decode_record(serialized, source.info.image_size)
        return _augment(rgb, source.image_size, augmentation, seed=tf.stack([tf.cast(seed, tf.int64), index]))

    dataset = (
        stream.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)
        .batch(updates, drop_remainder=True)
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    options = tf.data.Options()
    # Every worker is handed the whole stream; sharing out is the strategy's business (`train.py`).
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = deterministic
    return dataset.with_options(options)


def _one_epoch(files, epoch, seed: int, shuffle_buffer: int, deterministic: bool):
    """Every record of every file once, in an order that depends on seed and epoch.

    Files are shuffled and read several at once; then windows of `shuffle_buffer` records are shuffled. Unlike
    `Dataset.shuffle` this needs no state and no global seed.
    """

    def shuffled(values, stream):
        return tf.random.experimental.stateless_shuffle(
            values, seed=tf.stack([seed * 2 + stream, tf.cast(epoch, tf.int32)])
        )

    order = shuffled(tf.constant(files), 0)
    return (
        tf.data.Dataset.range(len(files))
        .map(lambda i: order[i])
        .interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(16, len(files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        )
        .batch(shuffle_buffer)
        .flat_map(lambda window: tf.data.Dataset.from_tensor_slices(shuffled(window, 1)))
    )


def _augment(rgb, size: int, augmentation: str, seed):
    """none; flip: mirrored half of the time; flip_crop: a random square of 0.6 to 1 of the side besides."""
    if augmentation == "none":
        return resize(rgb, size)
    numbers = tf.random.stateless_uniform([4], seed=seed)
    if augmentation == "flip_crop":
        full = rgb.shape[0]
        low = max(_SMALLEST_CROP, size / full) if full > size else _SMALLEST_CROP
        side = tf.cast(tf.round(full * (low + (1.0 - low) * numbers[0])), tf.int32)
        room = tf.cast(full - side + 1, tf.float32)
        top, left = tf.cast(numbers[1] * room, tf.int32), tf.cast(numbers[2] * room, tf.int32)
        rgb = tf.image.crop_to_bounding_box(rgb, top, left, side, side)
        scaled = tf.image.resize(rgb, [size, size], method="bilinear", antialias=True)
        rgb = tf.cast(tf.clip_by_value(tf.round(scaled), 0.0, 255.0), tf.uint8)
    else:
        rgb = resize(rgb, size)
    return tf.cond(numbers[3] < 0.5, lambda: rgb, lambda: tf.reverse(rgb, axis=[1]))
