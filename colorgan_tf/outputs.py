"""Writing colourings: pictures with what made them in their metadata, contact sheets, and reading noise back."""

import json
import math
import os

import numpy as np
from PIL import ExifTags, Image

from .colorizer import Coloring, reduced, render
from .photos import Photo

SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
QUALITY = 92  # jpeg and webp
_PNG_LEVEL = 2  # of zlib's 9: photos get 15 % larger than at 6, in a quarter of its time
_COMMENT = b"ASCII\0\0\0"  # how EXIF marks the text of a UserComment
_TILE = 360  # pixels, the longer side of a picture on a sheet
_GAP = 8


def save(image: Image.Image, path: str, kind: str, photo: Photo, note: dict | None = None, quality: int = QUALITY):
    """Writes a picture aside and renames it, with the photo's EXIF and resolution, and `note` as EXIF UserComment.

    kind: a key of `SUFFIXES`. JPEG has no alpha: transparent parts become white. ValueError, in one line, where it
    cannot be written.
    """
    exif = Image.Exif()
    if photo.exif is not None:
        exif.load(photo.exif.tobytes())
    if note is not None:
        comment = _COMMENT + json.dumps(note, separators=(",", ":")).encode("ascii")
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    # As bytes: Pillow takes an Exif object with inner directories only for empty, and would not write it.
    options = {"exif": exif.tobytes()} | ({"dpi": photo.dpi} if photo.dpi and kind != "webp" else {})
    if kind == "png":
        options["compress_level"] = _PNG_LEVEL
    else:
        options["quality"] = quality
    if kind == "jpeg":
        options["subsampling"] = 0  # colour is the point of these pictures
        image = on_white(image)
    aside = f"{path}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        image.save(aside, kind.upper(), **options)
        os.replace(aside, path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        if os.path.exists(aside):
            os.remove(aside)


def on_white(image: Image.Image) -> Image.Image:
    """RGBA laid on white; RGB as it is."""
    if image.mode != "RGBA":
        return image
    white = Image.new("RGB", image.size, "white")
    white.paste(image, mask=image.getchannel("A"))
    return white


def describe(coloring: Coloring, info: dict, checksum: str) -> dict:
    """What is noted in a colouring: its noise, and the export (colorgan.json and checksum) that it belongs to."""
    noise = [round(float(value), 7) for value in coloring.noise]
    return {
        "program": "colorgan_tf",
        "run": info.get("run"),
        "step": info.get("step"),
        "model": checksum,
        "noise": noise,
    }


def read_noise(path: str, noise_size: int) -> np.ndarray:
    """Noise float32 [k, noise_size] from a colouring made before (k = 1), or an .npy file of one or more vectors.

    ValueError, in one line that names the file, for everything else.
    """
    try:
        if path.lower().endswith(".npy"):
            noise = np.atleast_2d(np.load(path, allow_pickle=False))
        else:
            with Image.open(path) as image:
                comment = image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment, b"")
            if not isinstance(comment, bytes) or not comment.startswith(_COMMENT):
                raise ValueError("no noise noted in it")
            noise = np.atleast_2d(json.loads(comment.removeprefix(_COMMENT).rstrip(b"\0"))["noise"])
        noise = noise.astype(np.float32)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except Exception as error:  # any file may be named here, and Pillow and NumPy raise nearly everything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path}: expected a colouring made by colorize.py, or noise as .npy ({reason})") from None
    if noise.ndim != 2 or noise.shape[1] != noise_size or not len(noise):
        raise ValueError(f"{path}: noise of shape {noise.shape}; the model takes [k, {noise_size}]")
    if not (np.abs(noise) <= 1.0).all():
        raise ValueError(f"{path}: noise outside [-1, 1]")
    return noise


def contact_sheet(photo: Photo, colorings: list[Coloring]) -> Image.Image:
    """The grey original and its colourings, reduced, in reading order on white."""
    width, height = photo.size
    scale = min(1.0, _TILE / max(width, height))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    alpha = None
    if photo.alpha is not None:
        alpha = np.asarray(Image.fromarray(photo.alpha).resize(small, Image.Resampling.BOX))
    thumbnail = Photo(np.round(reduced(photo, small[1], small[0]) * 255).astype(np.uint8), alpha)
    gray = Image.merge("RGB", [Image.fromarray(thumbnail.luminance)] * 3)
    if alpha is not None:
        gray.putalpha(Image.fromarray(alpha))
    tiles = [on_white(tile) for tile in (gray, *(render(thumbnail, coloring) for coloring in colorings))]
    columns = _columns(len(tiles), *small)
    rows = -(-len(tiles) // columns)
    step = small[0] + _GAP, small[1] + _GAP
    sheet = Image.new("RGB", (columns * step[0] + _GAP, rows * step[1] + _GAP), "white")
    for i, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP + i % columns * step[0], _GAP + i // columns * step[1]))
    return sheet


def _columns(count, width, height):
    """Columns that bring `count` tiles nearest to a page of 16 : 10, empty places counting against."""

    def badness(columns):
        rows = -(-count // columns)
        return abs(math.log(columns * width / (rows * height) / 1.6)) + (rows * columns - count) / count

    return min(range(1, count + 1), key=badness)
