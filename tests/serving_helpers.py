"""Small generators with batch norm that does something, their exports, and photos as bytes."""

import io
import struct
import zlib

import keras
import numpy as np
from PIL import Image

from colorgan_tf import serving
from colorgan_tf.models import ModelSettings, build_generator

SMALL = {"image_size": 32, "generator_filters": (8, 8, 8, 8, 8)}
MAP = ModelSettings(**SMALL)
CODE = ModelSettings(**SMALL, noise_form="code", context_filters=8, guided_radius=2)


def make_generator(settings, seed=0):
    """As after training: batch norm's moving averages are those of its inputs, its gain and offset something."""
    keras.utils.set_random_seed(seed)
    generator = build_generator(settings)
    rng = np.random.default_rng(seed)
    for layer in generator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.normal(1, 0.3, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
            layer.momentum = 0.0
    gray, noise = inputs(8, settings.image_size, seed=99)
    for _ in range(8):  # once a layer, since each one's statistics follow from the one before
        generator([2 * gray - 1, noise], training=True)
    color = generator.get_layer("color_conv")
    color.kernel.assign(3.0 * color.kernel)
    return generator


def export(folder, settings, options=None, finish=None):
    """Writes the next version under `folder`; gives back its path."""
    description = serving.describe(settings, 7, "test")
    options = options or serving.Options(max_pixels=1_000_000)
    return serving.save(make_generator(settings), settings, description, str(folder), options, finish)


def inputs(batch, height, width=None, seed=0):
    """(gray, noise) of the right ranges; gray is smooth."""
    rng = np.random.default_rng(seed)
    width = width or height
    gray = np.stack(
        [
            np.asarray(Image.fromarray(rng.uniform(0, 1, (5, 5)).astype(np.float32)).resize((width, height)))
            for _ in range(batch)
        ]
    )
    return np.clip(gray, 0, 1)[..., None].astype(np.float32), rng.uniform(-1, 1, (batch, 100)).astype(np.float32)


def picture(height=45, width=70, seed=0):
    """A soft colour picture, uint8 [h, w, 3]."""
    blocks = np.random.default_rng(seed).integers(20, 236, (6, 6, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


def encode(array, kind="png", **options):
    """An array, or a PIL picture, as a file's bytes."""
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, kind, **options)
    return file.getvalue()


def huge_png(width=10_000, height=10_000):
    """A sound PNG header that claims so many pixels, and hardly anything behind it."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def huge_jpeg(side=10_000):
    """A JPEG whose frame header claims side x side pixels."""
    content = bytearray(encode(picture(), "jpeg"))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(content)


def bad_images():
    """name -> (bytes, a word of the documented error)."""
    png, jpeg = encode(picture()), encode(picture(), "jpeg")
    broken = bytearray(png)
    broken[len(png) // 2] ^= 0xFF
    return {
        "empty": (b"", "neither a PNG nor a JPEG"),
        "text": (b"hello, this is no picture at all", "neither a PNG nor a JPEG"),
        "gif": (encode(Image.new("P", (9, 9)), "gif"), "neither a PNG nor a JPEG"),
        "png_header_only": (png[:20], "cut short"),
        "png_truncated": (png[: len(png) // 2], "Invalid PNG data"),
        "png_corrupt": (bytes(broken), "Invalid PNG data"),
        "jpeg_header_only": (jpeg[:100], "Invalid JPEG data"),
        "jpeg_truncated": (jpeg[: len(jpeg) // 2], "Invalid JPEG data"),
        "png_huge": (huge_png(), "expected at most 1000000 pixels"),
        "png_overflow": (huge_png(2**31 - 1, 2**31 - 1), "expected at most 1000000 pixels"),
        "jpeg_huge": (huge_jpeg(), "expected at most 1000000 pixels"),
    }
