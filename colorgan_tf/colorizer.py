"""Colourings of photos at their own size: the Python way in.

    from colorgan_tf import Colorizer
    c = Colorizer("exports/colorgan")
    images = c("photo.jpg", n=4)

Same photo, seed and export give the same bytes, alone or among others: the noise comes from the seed alone, and the
generator always runs on `BATCH` colourings of one photo, since the last bits of its sums may depend on a batch's shape.
"""

import dataclasses
import os
import threading

import cv2
import numpy as np
from PIL import Image

from . import color, inference, upsample
from .photos import Photo, read_photo
from .spread import calmest, spread, vividness

DRAWS = 16
# The share of the draws to choose from, the calmer ones: looking for difference alone finds every exaggerated one.
CALM = 0.75
# Times the size the generator was trained at, where it takes any (figures in docs/colorize.md): colourings are chosen
# from small ones, and painted larger, where colours follow edges better.
CHOOSING, PAINTING = 0.5, 1.5
MAX_ASPECT = 4
BATCH = 4
_STRIP_PIXELS = 1 << 16  # small enough for the processor's cache
# color.yuv_to_rgb as a matrix: what it makes of Y, U and V alone.
_TO_RGB = np.concatenate([color.yuv_to_rgb(one[:1], one[1:])[:, None] for one in np.eye(3, dtype=np.float32)], axis=1)
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@dataclasses.dataclass(frozen=True)
class Coloring:
    """One colouring of one photo, small; `Colorizer.render` makes the picture."""

    noise: np.ndarray  # float32 [noise_size]
    chroma: upsample.ChromaMap


def default_model() -> str:
    """The export shipped with the project, else the newest local one; ValueError where there is neither."""
    shipped = os.path.join(_ROOT, "pretrained", "colorgan")
    if os.path.isdir(shipped):
        return shipped
    folder = os.path.join(_ROOT, "exports")
    exports = [entry.path for entry in os.scandir(folder) if entry.is_dir()] if os.path.isdir(folder) else []
    found = []
    for path in exports:
        try:
            found.append(inference.version_folder(path))
        except ValueError:
            continue
    if not found:
        raise ValueError(f"no model: none in {shipped} and none in {folder}; name one, or make one with export.py")
    return max(found, key=lambda path: os.path.getmtime(os.path.join(path, inference.MODEL_FILE)))


def draw_noise(seed: int, count: int, size: int) -> np.ndarray:
    """`count` noise vectors, float32 [count, size], uniform in [-1, 1] in steps of 1e-4 (short and exact as text).

    The first vectors of a seed are the same for every count.
    """
    # RandomState's streams are promised never to change, those of default_rng are not.
    return np.round(np.random.RandomState(seed).uniform(-1.0, 1.0, (count, size)), 4).astype(np.float32)


class Colorizer:
    """An export and how to use it on photos. Threads may share one."""

    def __init__(self, model: str | os.PathLike | None = None):
        """model: an export's folder; without it `default_model`. ValueError where it is no export."""
        self.generator = inference.load_export(default_model() if model is None else model)
        self._lock = threading.Lock()

    def __call__(self, photo, n: int = 4, seed: int = 0, noise: np.ndarray | None = None) -> list[Image.Image]:
        """Colours one photo in `n` ways that differ, from calm to vivid, at the photo's own size.

        photo: whatever `photos.read_photo` takes (a path, a file's bytes, a PIL picture, an array), or a Photo.
        noise: float32 [k, noise_size], to say the colourings instead of drawing them; the result has one picture a row,
        in their order. Returns PIL pictures, mode RGB, or RGBA where the photo has alpha. ValueError for what is no
        photo.
        """
        photo = photo if isinstance(photo, Photo) else read_photo(photo)
        return [render(photo, coloring) for coloring in self.propose(photo, n, seed, noise)]

    def propose(
        self, photo: Photo, n: int = 4, seed: int = 0, noise: np.ndarray | None = None, draws: int = DRAWS
    ) -> list[Coloring]:
        """The colourings of `__call__`, small: `n` of the calmer (`CALM`) of `draws`, or those of `noise`.

        Where `draws` is less than n, or its calmer ones are, as many as it takes.
        """
        if noise is None:
            if n < 1:
                raise ValueError(f"n is {n}; expected at least 1")
            noise = draw_noise(seed, max(n, draws), self.generator.noise_size)
            small = self.predict_small(photo, noise)
            calm = calmest(small, max(n, round(CALM * len(noise))))
            noise = noise[calm[spread(small[calm], n)]]
            painted, middle = self._paint(photo, noise)
            order = np.argsort(vividness(painted), kind="stable")
        else:
            noise = np.asarray(noise, np.float32)
            if noise.ndim != 2 or noise.shape[1] != self.generator.noise_size or not len(noise):
                raise ValueError(f"noise has the shape {noise.shape}; expected [k, {self.generator.noise_size}]")
            painted, middle = self._paint(photo, noise)
            order = range(len(noise))
        return [Coloring(noise[i], upsample.fit(middle, painted[i])) for i in order]

    def predict_small(self, photo: Photo, noise: np.ndarray) -> np.ndarray:
        """Chroma float32 [k, h, w, 2] at the size colourings are chosen at, for noise [k, noise_size]."""
        return self._predict(reduced(photo, *self._size(photo, CHOOSING)), noise)

    def _paint(self, photo, noise):
        """Displayable chroma float32 [k, h, w, 2] at the painting size, and the luminance that `upsample.fit` wants."""
        size = self._size(photo, PAINTING)
        gray = reduced(photo, *size)
        chroma = self._predict(gray, noise)
        chroma = color.fit_chroma(np.broadcast_to(gray[..., None], (*chroma.shape[:3], 1)), chroma)
        return chroma, reduced(photo, *upsample.middle_size(photo.size[::-1], size))

    def _size(self, photo, scale):
        """(height, width) for the generator, `scale` times what it was trained at; exports for one size get that."""
        trained = self.generator.image_size
        if not self.generator.any_size:
            return trained, trained
        return working_size(photo.size[1], photo.size[0], round(scale * trained))

    def _predict(self, gray, noise):
        """Chroma float32 [k, h, w, 2] for luminance [h, w] and noise [k, noise_size], always in batches of `BATCH`."""
        full = -(-len(noise) // BATCH) * BATCH
        padded = np.concatenate([noise, np.zeros((full - len(noise), noise.shape[1]), np.float32)])
        batch = np.ascontiguousarray(np.broadcast_to(gray[None, ..., None], (BATCH, *gray.shape, 1)))
        with self._lock:  # one at a time: each uses all cores
            parts = [self.generator(batch, padded[start : start + BATCH])[1] for start in range(0, full, BATCH)]
        return np.concatenate(parts)[: len(noise)]


def working_size(height: int, width: int, side: int) -> tuple[int, int]:
    """The (height, width) at which the generator sees a photo: the whole frame, its shorter side `side`.

    Photos longer than `MAX_ASPECT` times their shorter side are squeezed to that.
    """
    scale = side / min(height, width)
    return min(MAX_ASPECT * side, round(height * scale)), min(MAX_ASPECT * side, round(width * scale))


def reduced(photo: Photo, height: int, width: int) -> np.ndarray:
    """A photo's luminance at another size: float32 [height, width] in [0, 1], antialiased as in training (Lanczos)."""
    if (width, height) == photo.size:
        return photo.gray()
    # By area first, as far as four times the size: Lanczos on all of a large photo would be slow and change nothing.
    rough = (min(photo.size[0], 4 * width), min(photo.size[1], 4 * height))
    gray = photo.luminance if rough == photo.size else cv2.resize(photo.luminance, rough, interpolation=cv2.INTER_AREA)
    gray = Image.fromarray(gray * np.float32(1.0 / np.iinfo(gray.dtype).max))
    return np.clip(np.asarray(gray.resize((width, height), Image.Resampling.LANCZOS)), 0.0, 1.0)


def render(photo: Photo, coloring: Coloring) -> Image.Image:
    """A colouring at the photo's own size: RGB, or RGBA with the photo's alpha.

    Luminance is the photo's within 0.5/255 (the rounding to 8 bits) everywhere; where no displayable colour has it
    together with the chroma, chroma gives way. Works in strips, so memory is the result's.
    """
    width, height = photo.size
    image = Image.new("RGB", (width, height))
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        gray = photo.gray(top, top + step)
        image.paste(Image.fromarray(to_rgb8(gray, *coloring.chroma.rows(gray, top, height))), (0, top))
    if photo.alpha is not None:
        image.putalpha(Image.fromarray(photo.alpha))
    return image


def to_rgb8(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Luminance [h, w] in [0, 1] and chroma (float32) to uint8 RGB [h, w, 3] of that luminance, to within 0.5/255.

    Rounding moves each channel by 0.5/255 at most, so their weighted mean too.
    """
    rgb = cv2.transform(cv2.merge([y, u, v]), _TO_RGB)
    inside = cv2.inRange(rgb, (0.0,) * 3, (1.0,) * 3)
    if cv2.countNonZero(inside) != inside.size:
        outside = inside == 0
        gray, chroma = y[outside][:, None], np.stack([u[outside], v[outside]], axis=-1)
        rgb[outside] = np.clip(color.yuv_to_rgb(gray, color.fit_chroma(gray, chroma)), 0.0, 1.0)
    return cv2.convertScaleAbs(rgb, alpha=255.0)
