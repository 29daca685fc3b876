"""From a data directory to the minibatches of training.

The order of photos is a function of the seed alone. Every epoch shuffles anew and shows each photo once; a minibatch
may straddle two epochs. A resumed run goes on at its place in that endless stream, with the same augmentation.

Several workers share every epoch out between them. Where there are files enough, each reads a stretch of the epoch's
files of its own; a file on the border of two stretches is read by both, each its part of the records. Otherwise each
reads everything and keeps its rows of every global batch.
"""

import dataclasses

import tensorflow as tf

from colorgan_tf.records import Source, decode_record, resize

AUGMENTATIONS = ("none", "flip", "flip_crop")
_SMALLEST_CROP = 0.6  # of the side, in flip_crop
_FILES_A_WORKER = 2  # with fewer, workers divide rows instead of files


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of every global batch this process trains on."""

    worker: int = 0
    workers: int = 1
    replicas: int = 1  # of this worker; its part of a batch is cut into so many

    def divides_files(self, source: Source) -> bool:
        """Whether workers read files of their own, instead of rows of their own out of all files."""
        return self.workers > 1 and len(source.files) >= _FILES_A_WORKER * self.workers


def training_batches(
    source: Source,
    batch_size: int,
    updates: int,
    seed: int,
    start_step: int = 0,
    augmentation: str = "none",
    shuffle_buffer: int = 16384,
    deterministic: bool = True,
    share: Share | None = None,
) -> tf.data.Dataset:
    """Endless uint8 batches [batch_size, updates, s, s, 3]: one minibatch for each update of `ColorGAN.train_step`.

    start_step: iterations already taken with the same arguments; the stream goes on behind the photos they saw.
    shuffle_buffer: records held (still encoded) to shuffle among; files are shuffled and read several at once besides.
    share: of one worker among several; batches are then [batch_size / workers / replicas, ...], one for each replica of
    the worker in turn. Errors while reading: tf.errors.OpError; `salvage.first_problem` says which record it was.
    """
    share = share or Share()
    rows = batch_size * updates
    by_files = share.divides_files(source)
    # A stream divided by files is W streams, the worker's own being the records w, w + W, w + 2 W, ... of the whole.
    readers, reader = (share.workers, share.worker) if by_files else (1, 0)
    first = start_step * rows + reader
    epoch = first // source.count
    position = len(range(epoch * source.count + (reader - epoch * source.count) % readers, first, readers))
    stream = tf.data.Dataset.counter(epoch).flat_map(
        lambda epoch: _one_epoch(source, epoch, seed, min(shuffle_buffer, source.count), deterministic, reader, readers)
    )
    stream = stream.skip(position).enumerate()
    if share.workers > 1 and not by_files:
        part = rows // share.workers
        mine = slice(share.worker * part, (share.worker + 1) * part)
        stream = stream.batch(rows).map(lambda index, record: (index[mine], record[mine])).unbatch()

    def prepare(index, serialized):
        rgb, _ = decode_record(serialized, source.info.image_size)
        place = first + index * readers  # in the whole stream, so that no two photos are augmented alike
        return _augment(rgb, source.image_size, augmentation, seed=tf.stack([tf.cast(seed, tf.int64), place]))

    dataset = (
        stream.map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)
        .batch(updates, drop_remainder=True)
        .batch(batch_size // share.workers // share.replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
    options = tf.data.Options()
    # What a worker gets is settled above; a mirrored strategy cuts the batches into its replicas' parts.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = deterministic
    return dataset.with_options(options)


def _one_epoch(source: Source, epoch, seed: int, shuffle_buffer: int, deterministic: bool, reader: int, readers: int):
    """The reader's share of the records, each once, in an order that depends on seed and epoch.

    Files are shuffled and read several at once; then windows of `shuffle_buffer` records are shuffled. Unlike
    `Dataset.shuffle` this needs no state and no global seed. An epoch of another length than it should be is an error.
    """

    def shuffled(values, stream):
        return tf.random.experimental.stateless_shuffle(
            values, seed=tf.stack([seed * 2 + stream, tf.cast(epoch, tf.int32)])
        )

    order = shuffled(tf.range(len(source.files)), 0)
    counts = tf.gather(tf.constant(source.counts, tf.int64), order)
    ends = tf.cumsum(counts)
    starts = ends - counts
    # Of the places in the whole stream that lie in this epoch, reader r has those that leave r when divided by readers.
    begin = epoch * source.count
    places = [_multiples(begin + source.count - r, readers) - _multiples(begin - r, readers) for r in range(reader + 1)]
    low = tf.add_n(places[:reader]) if reader else tf.constant(0, tf.int64)
    high = low + places[reader]
    skip = tf.clip_by_value(low - starts, 0, counts)
    take = tf.clip_by_value(high - starts, 0, counts) - skip
    files = tf.gather(tf.constant(source.files), order)
    return (
        tf.data.Dataset.from_tensor_slices(tuple(tf.boolean_mask(x, take > 0) for x in (files, skip, take)))
        .interleave(
            lambda file, skip, take: tf.data.TFRecordDataset(file).skip(skip).take(take),
            cycle_length=min(16, len(source.files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        )
        .apply(tf.data.experimental.assert_cardinality(places[reader]))
        .batch(shuffle_buffer)
        .flat_map(lambda window: tf.data.Dataset.from_tensor_slices(shuffled(window, 1)))
    )


def _multiples(end, step: int):
    """How many multiples of `step` lie in [0, end), for int64 tensors; counted below 0 as well."""
    return -(-end // step)


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
