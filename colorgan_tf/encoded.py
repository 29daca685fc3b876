"""Encoded photos inside a TensorFlow graph: bytes to luminance, luminance and chroma to PNG.

What a server gets from strangers: every photo's header is checked before its pixels are decoded, and large photos are
worked on in strips, so that memory is bounded by `max_pixels`. Bad bytes raise InvalidArgument.
"""

import tensorflow as tf

from colorgan_tf import color

_STRIP_PIXELS = 1 << 18
_PNG_MAGIC, _JPEG_MAGIC = b"\x89PNG", b"\xff\xd8\xff"
_PNG_HEADER = 33  # bytes, up to the end of the IHDR chunk


def decode_luminance(image_bytes: tf.Tensor, max_pixels: int) -> tf.Tensor:
    """One PNG or JPEG (scalar string) to its luminance, float32 [height, width, 1] in [0, 1].

    Grey, palette, RGB and CMYK; alpha is dropped, 16 bits are kept, EXIF rotation is not looked at.
    InvalidArgument for what is neither, is damaged, or has more than `max_pixels` by its header.
    """

    def png():
        with tf.control_dependencies([_require(tf.strings.length(image_bytes) >= _PNG_HEADER, "a PNG cut short")]):
            size = tf.io.decode_raw(tf.strings.substr(image_bytes, 16, 8), tf.int32, little_endian=False)
        with tf.control_dependencies([_require_size(size[1], size[0], max_pixels)]):
            # As 16 bits, whatever the file has: 8 bits become v * 257, the same fraction of white.
            return _luminance(tf.io.decode_png(image_bytes, dtype=tf.uint16), 65535.0)

    def jpeg():
        size = tf.io.extract_jpeg_shape(image_bytes)
        with tf.control_dependencies([_require_size(size[0], size[1], max_pixels)]):
            pixels = tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")
            return _luminance(pixels, 255.0)

    def neither():
        with tf.control_dependencies([_require(False, "neither a PNG nor a JPEG")]):
            return tf.zeros([1, 1, 1])

    luminance = tf.case(
        [
            (tf.strings.substr(image_bytes, 0, 4) == _PNG_MAGIC, png),
            (tf.strings.substr(image_bytes, 0, 3) == _JPEG_MAGIC, jpeg),
        ],
        default=neither,
    )
    return tf.ensure_shape(luminance, [None, None, 1])


def encode_png(y: tf.Tensor, chroma: tf.Tensor) -> tf.Tensor:
    """A photo's luminance [height, width, 1] and a small chroma [s, s, 2] to the bytes of a PNG of the photo's size.

    Chroma is enlarged bilinearly and gives way where no displayable colour has it together with the luminance.
    """
    height, width = tf.shape(y)[0], tf.shape(y)[1]
    wide = tf.image.resize(chroma, [tf.shape(chroma)[0], width])  # here across, in the strips down

    def paint(strip, rows):
        place = (tf.cast(rows, tf.float32) + 0.5) * tf.cast(tf.shape(wide)[0], tf.float32) / tf.cast(height, tf.float32)
        place = tf.clip_by_value(place - 0.5, 0.0, tf.cast(tf.shape(wide)[0] - 1, tf.float32))
        above = tf.cast(place, tf.int32)
        part = (place - tf.cast(above, tf.float32))[:, None, None]
        below = tf.minimum(above + 1, tf.shape(wide)[0] - 1)
        uv = tf.gather(wide, above) * (1.0 - part) + tf.gather(wide, below) * part
        rgb = tf.clip_by_value(color.yuv_to_rgb(strip, color.fit_chroma(strip, uv)), 0.0, 1.0)
        return tf.cast(tf.round(255.0 * rgb), tf.uint8)

    picture = _by_strips(paint, y, tf.TensorSpec([None, None, 3], tf.uint8))
    return tf.io.encode_png(picture, compression=1)  # level 6 takes most of the time, for a tenth of the bytes


def _require(condition, problem):
    return tf.debugging.Assert(condition, [f"image_bytes: {problem}; expected a whole PNG or JPEG"])


def _require_size(height, width, max_pixels):
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    fits = (height > 0) & (width > 0) & (pixels <= max_pixels)
    return tf.debugging.Assert(
        fits, [f"image_bytes: expected at most {max_pixels} pixels; the header says height, width", height, width]
    )


def _luminance(pixels, white):
    def strip_luminance(strip, _):
        channels = tf.shape(strip)[-1]
        strip = tf.cast(strip, tf.float32) / white
        return tf.cond(channels < 3, lambda: strip[..., :1], lambda: color.luminance(strip))

    return _by_strips(strip_luminance, pixels, tf.TensorSpec([None, None, 1], tf.float32))


def _by_strips(function, picture, spec):
    """function(strip, its row numbers) over strips of [height, width, channels], joined: the memory is one strip's."""
    height, width = tf.shape(picture)[0], tf.shape(picture)[1]
    rows = tf.maximum(1, tf.minimum(height, _STRIP_PIXELS // width))
    count = -(-height // rows)

    def one(i):
        # Strips are equally high, so the last one may begin inside the one before.
        top = tf.minimum(i * rows, height - rows)
        return function(picture[top : top + rows], tf.range(top, top + rows))

    strips = tf.map_fn(one, tf.range(count), fn_output_signature=spec, parallel_iterations=1)
    whole = tf.reshape(strips[:-1], [(count - 1) * rows, width, spec.shape[-1]])
    return tf.concat([whole, strips[-1, count * rows - height :]], axis=0)
