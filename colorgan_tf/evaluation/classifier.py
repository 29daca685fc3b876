"""Realism without people: can a fresh small classifier learn to tell truth from generated?

It is trained on one half of the photos and asked about the other; 50 % means it cannot tell. What keeps it honest:

* Truth and colouring of one photo are always in the same half, one of each: content is no cue, guessing gives 50 %.
* Both are rounded to 8 bits and seen as the photo's own luminance with their U and V, so only colour can be a cue.
* Nothing is chosen by the test half: the network, its number of steps and its seed are fixed beforehand.
"""

import dataclasses
import math

import numpy as np

from colorgan_tf.color import rgb_to_yuv

STEPS = 300  # of training, whatever the number of photos
BATCH_PAIRS = 24  # truth and generated, so 48 pictures
MIN_PHOTOS = 16  # below this a number would be noise
_CHROMA_SCALE = 8.0  # brings U and V, mostly within 0.1, to the spread of luminance


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Accuracy on the unseen half, in [0, 1], and how sure one can be of it."""

    accuracy: float
    interval: tuple[float, float]  # 95 %, binomial (Wilson)
    train_accuracy: float
    train_pictures: int
    test_pictures: int


def wilson_interval(correct: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial share."""
    share = correct / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = ((middle + side) / (1 + z * z / count) for side in (-spread, spread))
    return max(low, 0.0), min(high, 1.0)


def to_bytes(rgb: np.ndarray) -> np.ndarray:
    """[0, 1] to uint8, as a picture file would have it."""
    return np.round(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)


def features(truth: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Luminance of `truth` with the chroma of `shown`, both uint8 [n, s, s, 3]; float32 [n, s, s, 3], about [-1, 1]."""
    y = rgb_to_yuv(truth.astype(np.float32) / np.float32(255.0))[0]
    chroma = rgb_to_yuv(shown.astype(np.float32) / np.float32(255.0))[1]
    return np.concatenate([2.0 * y - 1.0, _CHROMA_SCALE * chroma], axis=-1).astype(np.float32)


def build(seed: int):
    """Four convs of stride 2 and an average over the picture, of any size, to one logit; initialized by the seed."""
    import keras
    from keras import layers

    x = inputs = keras.Input((None, None, 3))
    for i, filters in enumerate((32, 48, 64, 96)):
        initializer = keras.initializers.HeNormal(seed=seed + i)
        x = layers.Conv2D(filters, 3, strides=2, padding="same", kernel_initializer=initializer)(x)
        x = layers.GroupNormalization(groups=8)(x)
        x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3, seed=seed)(x)
    return keras.Model(inputs, layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 9))(x))


def tell_apart(
    train: tuple[np.ndarray, np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray, np.ndarray],
    seed: int,
) -> Verdict:
    """Trains on one half, judges the other.

    train, test: (photos, shown, label): uint8 [n, s, s, 3] whose luminance, and whose chroma, is seen; 0 (truth) or 1.
    """
    import keras
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    model = build(seed)
    optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(2e-3, STEPS), weight_decay=1e-3)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(x, label):
        with tf.GradientTape() as tape:
            logit = model(x, training=True)[:, 0]
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(label, logit))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def infer(x):
        return model(x, training=False)[:, 0]

    photos, shown, labels = train
    order = _minibatches(rng, labels)
    for _ in range(STEPS):
        chosen = next(order)
        x = _crops(rng, photos[chosen], shown[chosen])
        step(tf.constant(x), tf.constant(labels[chosen], tf.float32))

    def right(data):
        logits = [
            infer(tf.constant(features(data[0][i : i + 64], data[1][i : i + 64]))).numpy()
            for i in range(0, len(data[2]), 64)
        ]
        return int(((np.concatenate(logits) > 0) == (data[2] == 1)).sum())

    correct, count = right(test), len(test[2])
    return Verdict(correct / count, wilson_interval(correct, count), right(train) / len(labels), len(labels), count)


def _minibatches(rng, labels):
    """Index arrays without end: as many of either label in each, every picture of a label once before any twice."""
    queues = {value: [] for value in (0, 1)}
    while True:
        chosen = []
        for value, queue in queues.items():
            while len(queue) < BATCH_PAIRS:
                queue.extend(rng.permutation(np.flatnonzero(labels == value)).tolist())
            chosen += queue[:BATCH_PAIRS]
            del queue[:BATCH_PAIRS]
        yield np.asarray(chosen)


def _crops(rng, photos, shown):
    """`features` of a random 7/8 of each picture, half of them mirrored, so that few photos go further."""
    size = photos.shape[1]
    crop = size - size // 8
    places = rng.integers(0, size - crop + 1, (len(photos), 2))
    flips = np.where(rng.random(len(photos)) < 0.5, -1, 1)

    def cut(pictures):
        return np.stack(
            [
                picture[top : top + crop, left : left + crop][:, ::flip]
                for picture, (top, left), flip in zip(pictures, places, flips, strict=True)
            ]
        )

    return features(cut(photos), cut(shown))


def paired(truth: np.ndarray, shown: np.ndarray, in_train: np.ndarray, seed: int) -> Verdict:
    """Truth against one colouring of each photo: uint8 [n, s, s, 3] twice, and bool [n], the half to train on."""

    def both(chosen):
        photos, label = truth[chosen], np.repeat([0, 1], int(chosen.sum()))
        return np.concatenate([photos, photos]), np.concatenate([photos, shown[chosen]]), label

    return tell_apart(both(in_train), both(~in_train), seed)


def halves(truth: np.ndarray, in_b: np.ndarray, in_train: np.ndarray, seed: int) -> Verdict:
    """Yardstick: truth half A against truth half B, bool [n] says who is in B. There is nothing to learn: 50 %."""

    def chosen(of):
        return truth[of], truth[of], in_b[of].astype(int)

    return tell_apart(chosen(in_train), chosen(~in_train), seed)
