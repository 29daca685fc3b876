"""The Frechet distance on InceptionV3's features, in running sums.

The weights are Keras' own ImageNet ones (2,048 features before the classifier). They are not those of the TensorFlow
graph that published FIDs use, and pictures of 64 x 64 are scaled up to 299 x 299, so the distances rank the systems of
one report and are not to be held against published ones. With fewer photos than features they are biased upwards.
"""

import dataclasses
import hashlib
import os
import warnings

import numpy as np

from colorgan_tf.metrics import frechet_distance

INPUT_SIZE = 299
_KNOWN = "bcbd6486424b2319ff4ef7d526e38f63"  # MD5 of inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5
_KNOWN_TOP = "9a0d58056eeedaa3f26cb7ebd46da564"  # the same with the classifier, ..._tf_kernels.h5


@dataclasses.dataclass
class Gaussian:
    """Running mean and covariance of feature vectors, in float64."""

    size: int
    count: int = 0

    def __post_init__(self):
        self._sum = np.zeros(self.size)
        self._products = np.zeros((self.size, self.size))

    def add(self, vectors: np.ndarray) -> None:
        """Counts vectors [n, size]."""
        vectors = np.asarray(vectors, np.float64)
        self.count += len(vectors)
        self._sum += vectors.sum(axis=0)
        self._products += vectors.T @ vectors

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean [size], unbiased covariance [size, size]); at least two vectors must have been added."""
        mean = self._sum / self.count
        return mean, (self._products - self.count * np.outer(mean, mean)) / (self.count - 1)

    def __add__(self, other: "Gaussian") -> "Gaussian":
        both = Gaussian(self.size, self.count + other.count)
        both._sum, both._products = self._sum + other._sum, self._products + other._products
        return both

    def distance(self, other: "Gaussian") -> float | None:
        """Squared Frechet distance; None where either has fewer than two vectors."""
        if min(self.count, other.count) < 2:
            return None
        return frechet_distance(*self.moments(), *other.moments())


class Inception:
    """InceptionV3's pooled features, from weights that are known to be there.

    weights: "download" for Keras' own (its cache, or its download), or a file: Keras' published .h5 with or without the
    classifier, or one saved from such a model. ValueError in one line where they cannot be had, do not fit or are
    untrained: no number is ever given from random weights.
    """

    size = 2048  # of a feature vector

    def __init__(self, weights: str):
        from keras.applications import InceptionV3

        shape = (INPUT_SIZE, INPUT_SIZE, 3)
        self.source, self.sha256, self.published = weights, None, True
        if weights == "download":
            try:
                model = InceptionV3(include_top=False, pooling="avg", input_shape=shape, weights="imagenet")
            except Exception as error:  # Keras passes on whatever urllib, h5py or a proxy raise
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ValueError(
                    f"Keras could not get InceptionV3's weights ({reason}); expected its download, or a file by "
                    "--feature_weights"
                ) from None
        else:
            digests = _digests(weights)
            self.sha256, self.published = digests[0], digests[1] in (_KNOWN, _KNOWN_TOP)
            model = _load(weights, shape)
        check_trained(model, weights)
        self._model = model

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """rgb [n, h, w, 3] in [0, 1] to float32 [n, 2048]; rounded to 8 bits first, as a picture file would be."""
        import tensorflow as tf

        x = np.round(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.float32)
        x = tf.image.resize(x, [INPUT_SIZE, INPUT_SIZE], method="bilinear")
        return self._features(x / 127.5 - 1.0).numpy()

    def _features(self, x):
        import tensorflow as tf

        if not hasattr(self, "_graph"):
            self._graph = tf.function(lambda x: self._model(x, training=False), reduce_retracing=True)
        return self._graph(x)


def check_trained(model, source: str) -> None:
    """ValueError unless every batch normalization has seen data.

    Keras only warns of layers that a file lacks, and leaves them as they were made; a fresh moving mean is all zeros.
    """
    means = [v for v in model.non_trainable_variables if v.path.endswith("moving_mean")]
    fresh = sum(not np.any(mean.numpy()) for mean in means)
    if fresh:
        raise ValueError(
            f"{source}: {fresh} of {len(means)} layers there were never trained; expected Keras' ImageNet weights"
        )


def _digests(path):
    if not os.path.isfile(path):
        raise ValueError(f"{path}: no such file; expected InceptionV3's weights (--feature_weights)")
    with open(path, "rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            raise ValueError(f"{path}: not an HDF5 file; expected InceptionV3's weights as Keras saves them")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        return sha256, hashlib.file_digest(file, "md5").hexdigest()


def _load(path, shape):
    """The model without its classifier, from a file with or without it."""
    import keras
    from keras.applications import InceptionV3

    reasons = []
    for include_top in (False, True):
        model = InceptionV3(
            include_top=include_top,
            pooling=None if include_top else "avg",
            input_shape=shape,
            weights=None,
            classifier_activation=None,
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about layers that the file lacks: check_trained's business
                model.load_weights(path)
        except Exception as error:  # h5py and Keras raise many kinds for a file that is something else
            reasons.append((str(error).strip() or type(error).__name__).splitlines()[0])
            continue
        return keras.Model(model.input, model.layers[-2].output) if include_top else model
    raise ValueError(f"{path}: not InceptionV3's weights as Keras saves them ({reasons[0]})")
