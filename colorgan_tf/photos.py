"""Decoding photos: any everyday file to upright sRGB, or to luminance at the file's own precision.

One place for what files bring along: EXIF rotation, colour profiles, palettes, CMYK, alpha, 16 bits, and damage. Every
failure is a ValueError of one line; where the photo was given as a path, the line begins with it.
"""

import contextlib
import dataclasses
import io
import os

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from . import color

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp")
MIN_SIDE, MAX_SIDE = 16, 12_000  # pixels

_STRIP_PIXELS = 1 << 20  # whole float pictures of 144 megapixels would not fit
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What is still true of a recoloured, upright picture. Thumbnails, maker notes, sizes and file offsets are not.
_KEPT_TAGS = (
    *("ImageDescription", "Make", "Model", "DateTime", "Artist", "Copyright", "HostComputer"),
    *("DateTimeOriginal", "DateTimeDigitized", "OffsetTime", "OffsetTimeOriginal", "OffsetTimeDigitized"),
    *("SubsecTime", "SubsecTimeOriginal", "SubsecTimeDigitized", "ExposureTime", "FNumber", "ExposureProgram"),
    *("ISOSpeedRatings", "ExposureBiasValue", "MeteringMode", "Flash", "FocalLength", "FocalLengthIn35mmFilm"),
    *("LensMake", "LensModel"),
)
_KEPT = frozenset(ExifTags.Base[name].value for name in _KEPT_TAGS)


@dataclasses.dataclass(frozen=True)
class Photo:
    """An upright photo without its colour."""

    luminance: np.ndarray  # uint8 or uint16 [height, width], full range: Gray(x) of Eq. 5
    alpha: np.ndarray | None = None  # uint8 [height, width]
    exif: Image.Exif | None = None  # what is still true of a recoloured picture: dates, camera, place
    dpi: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.luminance.shape[1], self.luminance.shape[0]

    def gray(self, top: int = 0, bottom: int | None = None) -> np.ndarray:
        """Luminance of the rows from `top` to before `bottom` as float32 [rows, width] in [0, 1]."""
        return self.luminance[top:bottom] * np.float32(1.0 / np.iinfo(self.luminance.dtype).max)


def open_photo(source: str | os.PathLike | bytes, max_side: int = MAX_SIDE) -> Image.Image:
    """A photo (a path, or a file's bytes) as an upright 8-bit sRGB picture, mode RGB, or RGBA where it has alpha.

    ValueError where the file is no photo, damaged, or has a side of more than `max_side` pixels.
    """
    with _named(source):
        image = _decode(source, 1, max_side)[0]
        if isinstance(image, np.ndarray):
            image = Image.fromarray((image >> 8).astype(np.uint8))
        alpha = "RGBA" if image.mode in ("LA", "RGBA") else "RGB"
        return image if image.mode == alpha else image.convert(alpha)


def read_photo(source: str | os.PathLike | bytes | Image.Image | np.ndarray) -> Photo:
    """A photo without its colour, from a path, a file's bytes, a PIL picture or an array.

    Arrays are uint8, uint16 or float [0, 1], [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]. Sides are `MIN_SIDE` to
    `MAX_SIDE` pixels. Grey of 16 bits and the luminance of colours are kept to 1/65535, grey of 8 bits as it is.
    ValueError as for `open_photo`.
    """
    with _named(source):
        if isinstance(source, np.ndarray):
            return _from_array(source)
        image, exif, dpi, tone = _decode(source, MIN_SIDE, MAX_SIDE)
        if isinstance(image, np.ndarray):
            luminance, alpha = image, None
        else:
            alpha = np.asarray(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
            luminance = _luminance(image)
        if tone is not None:
            luminance = _apply_tone(luminance, tone)
        return Photo(luminance, alpha, exif, dpi)


def pixels(path: str | os.PathLike) -> int:
    """Pixels of a photo by its header alone; 0 where there is none to read."""
    if not os.path.isfile(path):
        return 0
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # `read_photo` will say what is wrong with it
        return 0


@contextlib.contextmanager
def _named(source):
    """Turns whatever a file's damage raises into one line that names the file."""
    name = f"{os.fspath(source)}: " if isinstance(source, str | os.PathLike) else ""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{name}no such file") from None
    except UnidentifiedImageError:
        raise ValueError(f"{name}not a photo; expected {', '.join(FORMATS)}") from None
    except MemoryError:
        raise ValueError(f"{name}not enough memory for it") from None
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{name}{reason}") from None


def _decode(source, min_side, max_side):
    """(upright picture of mode L, LA, RGB or RGBA, or a uint16 array; EXIF to keep; dpi; the grey profile's curve)."""
    if isinstance(source, Image.Image):
        opened = contextlib.nullcontext(source)
    else:
        if not isinstance(source, bytes) and os.path.exists(source) and not os.path.isfile(source):
            raise ValueError("not a file")  # reading a pipe might never end
        opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
    with opened as image:
        if not min_side <= min(image.size) <= max(image.size) <= max_side:
            raise ValueError(f"{image.width} x {image.height} pixels; expected {min_side} to {max_side} on each side")
        image.load()
        orientation, exif = _metadata(image)
        dpi, profile = image.info.get("dpi"), image.info.get("icc_profile")
        white_is_zero = getattr(image, "tag_v2", {}).get(ExifTags.Base.PhotometricInterpretation) == 0
        image = _plain(image, profile)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    tone = _tone(profile) if profile and image.mode in ("L", "LA", "I;16") else None
    if image.mode == "I;16":
        image = np.asarray(image)
        image = 65535 - image if white_is_zero else image  # Pillow heeds that tag for 8 bits only
    return image, exif, dpi, tone


def _metadata(image):
    """(orientation, EXIF worth keeping or None); damaged EXIF counts as none, the picture may be fine."""
    try:
        found = image.getexif()
        orientation = found.get(ExifTags.Base.Orientation)
        kept = Image.Exif()
        kept.update({tag: value for tag, value in found.items() if tag in _KEPT})
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            for tag, value in found.get_ifd(ifd).items():
                if tag in _KEPT or ifd == ExifTags.IFD.GPSInfo:
                    kept.get_ifd(ifd)[tag] = value
        kept.tobytes()  # a value that cannot be written must not surface only when the result is saved
    except Exception:
        return None, None
    return orientation, kept


def _plain(image, profile):
    """Any mode to L, LA, I;16, RGB or RGBA, colours in sRGB."""
    mode, transparent = image.mode, "transparency" in image.info
    if mode == "1":
        return image.convert("L")
    if mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("grey of 32 bits; expected 8 or 16")
        return Image.fromarray(values.astype(np.uint16))
    if mode == "F":
        raise ValueError("grey in floating point; expected 8 or 16 bits")
    if mode in ("L", "La", "LA"):
        return image.convert("LA") if transparent or mode == "La" else image
    if mode == "LAB":
        return _convert_profile(image, ImageCms.createProfile("LAB")) or image.convert("RGB")
    if mode == "CMYK":
        return (profile and _convert_profile(image, profile)) or image.convert("RGB")
    wanted = "RGBA" if transparent or mode in ("PA", "RGBa", "RGBA") else "RGB"
    image = image if mode == wanted else image.convert(wanted)
    return (profile and _convert_profile(image, profile)) or image


def _convert_profile(image, profile):
    """The picture in sRGB, or None where the profile is sRGB already, damaged, or for another kind of picture."""
    try:
        if isinstance(profile, bytes):
            profile = ImageCms.getOpenProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return None  # converting would only round
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _tone(profile):
    """A grey profile as a curve: float64 [256] in [0, 1], sRGB luminance at v / 255; None where there is none."""
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    converted = _convert_profile(ramp, profile)
    return None if converted is None else color.luminance(np.asarray(converted) / 255.0)[0, :, 0]


def _apply_tone(luminance, tone):
    if luminance.dtype == np.uint8:
        return np.round(tone * 65535).astype(np.uint16)[luminance]
    return np.round(np.interp(np.arange(65536) / 257.0, np.arange(256), tone * 65535)).astype(np.uint16)[luminance]


def _luminance(image):
    """Mode L, LA: uint8 as it is. Mode RGB, RGBA: Gray(x), uint16."""
    if image.mode in ("L", "LA"):
        return np.asarray(image.getchannel("L"))
    width, height = image.size
    result = np.empty((height, width), np.uint16)
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        strip = np.asarray(image.crop((0, top, width, min(top + step, height))))
        result[top : top + step] = _to_uint16(color.luminance(strip[..., :3] * np.float32(1 / 255))[..., 0])
    return result


def _to_uint16(values):
    return (np.clip(values, 0.0, 1.0) * 65535 + 0.5).astype(np.uint16)


def _from_array(array):
    """`read_photo` for an array."""
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        raise ValueError(f"an array of shape {array.shape}; expected [h, w], [h, w, 1], [h, w, 3] or [h, w, 4]")
    if not MIN_SIDE <= min(array.shape[:2]) <= max(array.shape[:2]) <= MAX_SIDE:
        raise ValueError(f"{array.shape[1]} x {array.shape[0]} pixels; expected {MIN_SIDE} to {MAX_SIDE} on each side")
    if array.dtype not in (np.uint8, np.uint16):
        if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0.0 and array.max() <= 1.0):
            raise ValueError(f"an array of {array.dtype}; expected uint8, uint16, or floating point in [0, 1]")
        array = _to_uint16(array)
    if array.shape[2] == 1:
        return Photo(array[..., 0])
    full = np.float32(np.iinfo(array.dtype).max)
    alpha = None
    if array.shape[2] == 4:
        alpha = np.round(array[..., 3] / full * 255).astype(np.uint8)
    return Photo(_to_uint16(color.luminance(array[..., :3] / full)[..., 0]), alpha)
