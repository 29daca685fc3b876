"""The one place where a study's pictures are encoded, so that truth and colourings take the very same path.

PNG with stored (not compressed) data: the length of a compressed file tells smooth colourings from photos, the length
of a stored one only the size in pixels.
"""

import io
import os
import secrets

import numpy as np
from PIL import Image

FOLDER = "pictures"
SUFFIX = ".png"
FILE_TIME = 946684800  # seconds; one date for every file, 2000-01-01 UTC


def to_uint8(rgb: np.ndarray) -> np.ndarray:
    """Float RGB [s, s, 3] in [0, 1] to uint8, rounded and clipped to the range. ValueError if not finite."""
    rgb = np.asarray(rgb)
    if not np.isfinite(rgb).all():
        raise ValueError("a picture has values that are not numbers; expected RGB in [0, 1]")
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)


def encode(pixels: np.ndarray) -> bytes:
    """uint8 RGB [h, w, 3] to a PNG without metadata whose length depends on h and w alone."""
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode="RGB").save(buffer, format="PNG", compress_level=0)
    return buffer.getvalue()


def random_name() -> str:
    """A picture's name: from the system's randomness, since names drawn from a study's seed could be drawn again."""
    return secrets.token_hex(12)


def path(directory: str, name: str) -> str:
    """Where picture `name` of the study in `directory` lies."""
    return os.path.join(directory, FOLDER, name + SUFFIX)


def write(directory: str, encoded: dict[str, bytes]) -> None:
    """Writes {name: PNG} to the study in `directory`, in the order of the names, all with one date."""
    os.makedirs(os.path.join(directory, FOLDER))
    for name in sorted(encoded):
        with open(path(directory, name), "wb") as file:
            file.write(encoded[name])
        os.utime(path(directory, name), (FILE_TIME, FILE_TIME))
