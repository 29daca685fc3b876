"""RGB <-> YUV: the only module that knows the matrix.

Full-range BT.601, the matrix of JPEG's YCbCr, which the paper's luminance (Eq. 5) belongs to:

    Y = 0.299 R + 0.587 G + 0.114 B        in [0, 1]
    U = (B - Y) / 1.772                    in [-0.5, 0.5]
    V = (R - Y) / 1.402                    in [-0.5, 0.5]

This is not `tf.image.rgb_to_yuv`, whose U and V have other ranges. Outside the network pictures are in those ranges;
inside it every channel is in [-1, 1], and `to_network` / `from_network` are the one place where that changes.

Every function takes NumPy arrays or Keras/TensorFlow tensors, channels last, and gives back the same kind.
"""

import numpy as np

KR, KG, KB = 0.299, 0.587, 0.114
U_SCALE = 2.0 * (1.0 - KB)  # 1.772
V_SCALE = 2.0 * (1.0 - KR)  # 1.402


def _library(array):
    """numpy or keras.ops, whichever `array` belongs to; NumPy users of this module do not load TensorFlow."""
    if isinstance(array, np.ndarray):
        return np
    from keras import ops

    return ops


def luminance(rgb):
    """Gray(x) of Eq. 5: float [..., 3] in [0, 1] to [..., 1] in [0, 1] (linear, so any affine range maps to itself)."""
    return KR * rgb[..., 0:1] + KG * rgb[..., 1:2] + KB * rgb[..., 2:3]


def rgb_to_yuv(rgb):
    """Float RGB [..., 3] in [0, 1] to (y, uv): [..., 1] in [0, 1] and [..., 2] in [-0.5, 0.5]."""
    y = luminance(rgb)
    u = (rgb[..., 2:3] - y) / U_SCALE
    v = (rgb[..., 0:1] - y) / V_SCALE
    return y, _library(rgb).concatenate([u, v], axis=-1)


def yuv_to_rgb(y, uv):
    """(y [..., 1] in [0, 1], uv [..., 2] in [-0.5, 0.5]) to RGB [..., 3]; not clipped, so luminance stays exact.

    A pair that no displayable colour has gives values outside [0, 1]; see `fit_chroma`.
    """
    r = y + V_SCALE * uv[..., 1:2]
    b = y + U_SCALE * uv[..., 0:1]
    g = (y - KR * r - KB * b) / KG
    return _library(y).concatenate([r, g, b], axis=-1)


def fit_chroma(y, uv):
    """Scales each pixel's chroma towards grey just enough that `yuv_to_rgb(y, uv)` lies in [0, 1] (up to rounding).

    Hue and luminance are kept, saturation gives way; clipping the channels instead would shift the luminance.
    Shapes and ranges as in `yuv_to_rgb`.
    """
    library, tiny = _library(y), 1e-6
    added = yuv_to_rgb(y, uv) - y  # what chroma adds to each channel
    excess = library.maximum(added / (1.0 - y + tiny), -added / (y + tiny))  # above 1: over the top, or below black
    return uv / library.maximum(library.max(excess, axis=-1, keepdims=True), 1.0)


def to_network(y, uv=None):
    """Luminance [0, 1] (and chroma [-0.5, 0.5]) to the network's [-1, 1]."""
    if uv is None:
        return 2.0 * y - 1.0
    return 2.0 * y - 1.0, 2.0 * uv


def from_network(y, uv=None):
    """The inverse of `to_network`."""
    if uv is None:
        return 0.5 * (y + 1.0)
    return 0.5 * (y + 1.0), 0.5 * uv


def pictures(y, painted):
    """What a generator painted on y, as (RGB [..., 3] in [0, 1], chroma [..., 2] in [-0.5, 0.5]).

    y: [..., 1] in [0, 1]. painted: in [-1, 1], U and V [..., 2] or R, G and B [..., 3]. With U and V the picture has
    luminance y exactly; chroma is as painted, before `fit_chroma`.
    """
    if painted.shape[-1] == 3:
        rgb = from_network(painted)
        return rgb, rgb_to_yuv(rgb)[1]
    chroma = 0.5 * painted
    rgb = yuv_to_rgb(y, fit_chroma(y, chroma))
    return _library(y).clip(rgb, 0.0, 1.0), chroma
