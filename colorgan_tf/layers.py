"""The layers of our generators that Keras does not have."""

import tensorflow as tf
from keras import layers, ops


class FusedBatchNorm(layers.BatchNormalization):
    """Keras' batch norm over the last axis of [b, c] or [b, h, w, c], in training as one operation of TensorFlow.

    Keras writes it out as a dozen passes over the features, in float32 whatever the precision; in mixed_bfloat16 that
    is a fifth of an iteration. Statistics are this replica's own.
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training)
        flat = len(inputs.shape) == 2
        features = inputs[:, None, None, :] if flat else inputs
        # The old name is the only one TensorFlow has for it.
        normalized, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            features, ops.cast(self.gamma, "float32"), ops.cast(self.beta, "float32"), epsilon=self.epsilon
        )
        # Its variance is divided by n - 1; a moving average is of the one that was normalized by, divided by n.
        count = tf.cast(tf.size(features) // features.shape[-1], tf.float32)
        variance *= (count - 1.0) / count
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1.0 - self.momentum))
        return normalized[:, 0, 0, :] if flat else normalized


class AddCoarse(layers.Layer):
    """fine [b, h, w, c] + coarse [b, ceil(h / scale), ceil(w / scale), c] brought up bilinearly."""

    def __init__(self, scale: int, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        fine, coarse = inputs
        shape = ops.shape(fine)
        up = self._enlarge(self._enlarge(coarse, 1), 2)
        return fine + up[:, : shape[1], : shape[2], :]

    def _enlarge(self, x, axis):
        """Linear interpolation along an axis, pixel centres aligned; UpSampling2D wants to know the size beforehand."""

        def part(start, stop):
            return x[(slice(None),) * axis + (slice(start, stop),)]

        before = ops.concatenate([part(None, 1), part(None, -1)], axis=axis)
        after = ops.concatenate([part(1, None), part(-1, None)], axis=axis)
        places = [(i + 0.5) / self.scale - 0.5 for i in range(self.scale)]
        parts = [(1 - abs(t)) * x + abs(t) * (before if t < 0 else after) for t in places]
        shape = list(ops.shape(x))
        shape[axis] *= self.scale
        return ops.reshape(ops.stack(parts, axis=axis + 1), shape)

    def compute_output_shape(self, input_shape):
        return input_shape[0]


class GuidedFilter(layers.Layer):
    """[grey y, colour] -> colour that is, around every pixel, a straight line in y: colours stop where things stop.

    The guided filter of He et al. 2013 (Eq. 5, 6 and 8) as the last layer of a network that trains through it (Wu et
    al. 2018). Windows are cut off at the border. In the network's units, where white - black = 2.
    """

    def __init__(self, radius: int, epsilon: float = 4e-3, **kwargs):
        """radius: windows are 2 radius + 1 pixels wide. epsilon: the variance of y below which a surface is even."""
        super().__init__(**kwargs)
        self.radius, self.epsilon = radius, epsilon

    def call(self, inputs):
        y, color = inputs
        means = self._box_mean(ops.concatenate([y, color, y * y, y * color], axis=-1))
        channels = color.shape[-1]
        mean_y, mean_color = means[..., :1], means[..., 1 : 1 + channels]
        mean_yy, mean_y_color = means[..., 1 + channels : 2 + channels], means[..., 2 + channels :]
        slope = (mean_y_color - mean_y * mean_color) / (mean_yy - mean_y * mean_y + self.epsilon)
        line = self._box_mean(ops.concatenate([slope, mean_color - slope * mean_y], axis=-1))
        return ops.clip(line[..., :channels] * y + line[..., channels:], -1.0, 1.0)

    def _box_mean(self, x):
        """The mean over each pixel's window, first along columns, then along rows."""
        width = 2 * self.radius + 1
        columns = ops.average_pool(x, (width, 1), strides=1, padding="same")
        return ops.average_pool(columns, (1, width), strides=1, padding="same")

    def compute_output_shape(self, input_shape):
        return input_shape[1]

    def get_config(self):
        return super().get_config() | {"radius": self.radius, "epsilon": self.epsilon}
