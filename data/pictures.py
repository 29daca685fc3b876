"""Bytes of a photo in, a square RGB picture out; and a picture in, PNG bytes out.

Imports neither TensorFlow nor absl: worker processes load this module and start in a fraction of a second.
"""

import io
import re
import warnings

import numpy as np
from PIL import Image, ImageOps

from colorgan_tf import color

# What Pillow may try on a file. Formats that nobody asked for only give a hostile file more doors.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif")

# 89 megapixels, Pillow's own line between a photo and a decompression bomb; about 360 MB while it is decoded.
MAX_PIXELS = 89_478_485

# zlib's run-length strategy at level 1: on 64 x 64 photos 0.27 ms against 0.49 ms for Pillow's default, 0.2 % larger.
PNG_OPTIONS = {"compress_level": 1, "compress_type": 3}

# Large photos are first averaged to twice the wanted size (2 x 2 pixels, 3 x 3, ...), Lanczos does the rest: 0.22 ms
# instead of 0.50 ms from 256 to 64 pixels, and 46-51 dB from Lanczos alone on three test photos (bicubic: 40-46 dB).
REDUCING_GAP = 2.0

_EXIF_ORIENTATION = 0x0112


class Unusable(Exception):
    """A picture that is left out; the message is the reason, one line, the same for the same bytes."""


def decode_square(data: bytes, size: int) -> np.ndarray:
    """Decodes a photo, cuts the maximum centre square and resizes it with an antialiased (Lanczos) filter.

    EXIF rotation is applied; transparency is laid over white; of an animation the first frame counts; 16-bit grey is
    scaled to 8 bit; CMYK and palettes become RGB; embedded colour profiles are ignored.

    Returns: uint8 [size, size, 3]. Raises `Unusable` for whatever cannot be decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return np.asarray(_square(image, size))
    except Image.UnidentifiedImageError:
        raise Unusable("not a JPEG, PNG, WebP, BMP or GIF picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unusable(f"more than {MAX_PIXELS} pixels") from None
    # Damaged files make Pillow's plugins raise nearly anything (struct.error, IndexError, SyntaxError, ...), and one
    # bad photo must never end a conversion of three million.
    except Exception as error:
        message = re.sub(r"<[^>]*>", "file", str(error)).split("\n")[0]  # object addresses change from run to run
        raise Unusable(f"cannot be decoded: {type(error).__name__}: {message}") from None


def _square(image: Image.Image, size: int) -> Image.Image:
    # JPEG can be decoded at 1/2, 1/4 or 1/8 of its size. Twice the wanted size is left for the Lanczos filter.
    if image.format in ("JPEG", "MPO"):
        scale = 2 * size / min(image.size)
        image.draft("RGB", (round(image.width * scale), round(image.height * scale)))
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if image.mode != "RGB":
        image = _to_rgb(image.crop(box), size)
        box = (0, 0, *image.size)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a photo whose EXIF block is damaged is still a photo
        return 1


def _to_rgb(image: Image.Image, size: int) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit grey; convert("RGB") would clip instead of scale
        values = np.asarray(image).astype(np.float64) / 257.0
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS)  # weighs colours by their alpha
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def mean_chroma(rgb: np.ndarray) -> float:
    """Mean over the pixels of sqrt(U^2 + V^2) on a scale of 0-255, for uint8 [height, width, 3]; grey is 0."""
    _, uv = color.rgb_to_yuv(rgb.astype(np.float32))
    return float(np.sqrt(np.square(uv).sum(axis=-1)).mean())


def encode_png(rgb: np.ndarray) -> bytes:
    """uint8 [height, width, 3] to PNG, which is lossless; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", **PNG_OPTIONS)
    return buffer.getvalue()
