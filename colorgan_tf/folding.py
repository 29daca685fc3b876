"""A trained generator without its batch norm: the same function in fewer steps.

At test time batch norm is x * scale + shift with constants per channel. Every batch norm of our generators follows a
sum of linear layers, so the scale can go into their weights and the shift into the bias of one of them.
"""

import keras
import numpy as np
from keras import layers

from colorgan_tf.layers import AddCoarse, GuidedFilter

_WEIGHTED = (layers.Conv2D, layers.Conv2DTranspose, layers.Dense)


class _Folded(layers.Layer):
    """Stands where a batch norm was, and does nothing."""

    def call(self, inputs, training=None, mask=None):
        return inputs


def fold_batch_norm(generator: keras.Model, precision: str = "float32") -> keras.Model:
    """A copy of a functional generator [gray, noise] -> colour in which no batch norm is left.

    precision: float32; or bfloat16, in which all but the dense layers and the output then compute.
    Equal to the original with moving averages up to the rounding of that precision. ValueError where a batch norm
    follows something its constants cannot be moved into. Layers that need no change are shared with the original.
    """
    scales, shifts = {}, {}  # layer name -> float64 [filters]
    for norm in generator.layers:
        if isinstance(norm, layers.BatchNormalization):
            mean, variance, gamma, beta = (
                np.asarray(weight, np.float64)
                for weight in (norm.moving_mean, norm.moving_variance, norm.gamma, norm.beta)
            )
            scale = gamma / np.sqrt(variance + norm.epsilon)
            _push(_producers(norm), scale, beta - mean * scale, norm, scales, shifts)

    def clone(layer):
        exact = isinstance(layer, layers.Dense | GuidedFilter) or layer.name == "color"
        lower = precision != "float32" and not exact
        dtype = f"mixed_{precision}" if lower else layer.dtype_policy
        if isinstance(layer, layers.BatchNormalization):
            return _Folded(name=layer.name, dtype=dtype)
        if layer.name not in scales and not lower:
            return layer
        config = layer.get_config() | {"dtype": dtype}
        if layer.name in shifts:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    folded = keras.models.clone_model(generator, clone_function=clone)
    for layer in generator.layers:
        if not isinstance(layer, _WEIGHTED):
            continue
        new, scale = folded.get_layer(layer.name), scales.get(layer.name, np.ones(1))
        kernel, *bias = (weight.astype(np.float64) for weight in layer.get_weights())
        # A transposed conv has its filters on the last axis but one.
        kernel = kernel * (scale[:, None] if isinstance(new, layers.Conv2DTranspose) else scale)
        if new.use_bias:
            bias = [np.broadcast_to((bias[0] if bias else 0.0) * scale + shifts.get(layer.name, 0.0), new.bias.shape)]
        if new is not layer:
            new.set_weights([kernel, *bias])
    return folded


def _producers(layer):
    """The layers whose outputs `layer` takes."""
    return [node.operation for node in layer._inbound_nodes[0].parent_nodes]


def _push(producers, scale, shift, norm, scales, shifts):
    """Moves x * scale + shift into the weighted layers behind `producers`, whose sum x is; the shift into the first."""
    for i, layer in enumerate(producers):
        if isinstance(layer, _WEIGHTED) and layer.activation is keras.activations.linear:
            scales[layer.name] = scale
            if shift is not None:
                shifts[layer.name] = shift
        elif isinstance(layer, layers.Add | AddCoarse | layers.Reshape):
            _push(_producers(layer), scale, shift if i == 0 else None, norm, scales, shifts)
        else:
            raise ValueError(f"{norm.name} follows {layer.name}, a {type(layer).__name__}: cannot fold it")
        shift = None
