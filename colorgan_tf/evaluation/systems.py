"""The systems that are measured: each gives k colourings of every photo of a batch."""

import hashlib
import os
import re
from typing import Any, Protocol

import numpy as np
from PIL import Image

from colorgan_tf import color, inference, sampling
from colorgan_tf.evaluation.sources import Batch, list_pictures, read_picture


class System(Protocol):
    """What the measuring loop needs to know of a system."""

    name: str
    k: int  # colourings of each photo
    about: dict[str, Any]  # what the report says about where it came from

    def paint(self, batch: Batch) -> np.ndarray:
        """rgb float32 [b, k, s, s, 3] in [0, 1]."""


class Model:
    """A generator under Algorithm 2, from an export or a run directory."""

    def __init__(self, name: str, generator: sampling.Generator, noise_size: int, k: int, seed: int, about: dict):
        self.name, self.k, self.about = name, k, about
        self._generator, self._noise_size, self._seed = generator, noise_size, seed

    def paint(self, batch: Batch) -> np.ndarray:
        """See `System`."""
        return sampling.sample(self._generator, batch.gray, batch.keys, self.k, self._noise_size, self._seed)[0]


class Grey:
    """Yardstick: no colour at all. Two rounds, so that its diversity is measured to be 0 and not assumed."""

    name, about = "grey", {"yardstick": "luminance alone"}

    def __init__(self, k: int):
        self.k = min(k, 2)

    def paint(self, batch: Batch) -> np.ndarray:
        """See `System`."""
        return np.broadcast_to(batch.gray[:, None], (len(batch.keys), self.k, *batch.rgb.shape[1:]))


class Shuffled:
    """Yardstick: every photo with the chroma of others, scaled into the gamut. Right colours, wrong places.

    Donors are the other photos of the batch, another one in each round while there are that many.
    """

    name, about = "shuffled", {"yardstick": "chroma of other photos of the same batch, scaled into the gamut"}

    def __init__(self, k: int):
        self.k = k

    def paint(self, batch: Batch) -> np.ndarray:
        """See `System`."""
        y, chroma = color.rgb_to_yuv(batch.rgb)
        rounds = []
        for r in range(self.k):
            donor = np.roll(chroma, 1 + r % max(len(y) - 1, 1), axis=0)
            rounds.append(color.yuv_to_rgb(y, color.fit_chroma(y, donor)))
        return np.clip(np.stack(rounds, axis=1), 0.0, 1.0).astype(np.float32)


class Pictures:
    """A folder of another system's pictures: NAME.png, or NAME-1.png ... NAME-k.png, for a truth called NAME."""

    def __init__(self, name: str, directory: str, truth: dict[str, str], k: int, image_size: int):
        """truth: `list_pictures` of the true photos. ValueError where nothing there pairs with them."""
        self.name, self._truth, self._image_size = name, truth, image_size
        self._files = pair(directory, truth)
        least = min(len(files) for files in self._files.values())
        self.k = min(k, least)
        self.about = {"pictures": directory, "paired": len(self._files), "colourings_of_each": least}

    @property
    def keys(self) -> set[str]:
        """Names of the true photos that have a picture here."""
        return set(self._files)

    def paint(self, batch: Batch) -> np.ndarray:
        """See `System`; ValueError where a picture cannot be read or has other proportions than its truth."""
        rgb = np.empty((len(batch.keys), self.k, *batch.rgb.shape[1:]), np.float32)
        for i, key in enumerate(batch.keys):
            with Image.open(self._truth[key]) as truth:  # its header only; a rotated one has its sides swapped
                short, long = sorted(truth.size)
            for r, path in enumerate(self._files[key][: self.k]):
                rgb[i, r], own = read_picture(path, self._image_size)
                if abs(min(own) * long - max(own) * short) > max(long, *own):
                    raise ValueError(
                        f"{path}: {own[0]} x {own[1]} pixels; expected its truth's proportions, {short} to {long}"
                    )
        return rgb


def pair(directory: str, truth: dict[str, str]) -> dict[str, list[str]]:
    """Name of a true photo -> its colourings' paths in order, for those that have any."""
    found = list_pictures(directory)
    pairs: dict[str, dict[int, str]] = {}
    for stem, path in found.items():
        numbered = re.fullmatch(r"(.+)-(\d+)", stem)
        if stem in truth:
            pairs.setdefault(stem, {})[0] = path
        elif numbered and numbered[1] in truth:
            pairs.setdefault(numbered[1], {})[int(numbered[2])] = path
    if not pairs:
        wanted = next(iter(truth))
        raise ValueError(
            f"{directory}: no picture there pairs with a true photo; expected names as {wanted}.png or {wanted}-1.png"
        )
    return {key: [path for _, path in sorted(paths.items())] for key, paths in pairs.items()}


def load_models(
    name: str, path: str, k: int, seed: int, normalization: str = "moving", step: int | None = None
) -> tuple[list[Model], int, bool]:
    """([the model], its image size, whether it takes any size) from an export or a run directory.

    normalization: "moving", "batch" (of runs only, as the paper has it) or "both", which gives two systems, the second
    called NAME_batch. step: which checkpoint of a run. ValueError in one line for what is neither export nor run.
    """
    from colorgan_tf.runs import FLAGS_FILE, load_generator

    if not os.path.isfile(os.path.join(path, FLAGS_FILE)):
        if normalization != "moving":
            raise ValueError(f"{path}: batch statistics need a run directory; an export has moving averages only")
        if step is not None:
            raise ValueError(f"{path}: an export has no checkpoints to choose from; expected a run directory")
        export = inference.load_export(path)
        about = {"export": path, "checksum": export.checksum, "normalization": "moving", **export.info}
        return [Model(name, export, export.noise_size, k, seed, about)], export.image_size, export.any_size

    model, settings, found_step = load_generator(path, step)
    about = {"run": path, "step": found_step, "checksum": weights_checksum(model), "color_space": settings.color_space}
    models = []
    for mode in ("moving", "batch") if normalization == "both" else (normalization,):
        own_name = f"{name}_batch" if normalization == "both" and mode == "batch" else name
        generator = sampling.keras_generator(model, batch_statistics=mode == "batch")
        models.append(Model(own_name, generator, settings.noise_size, k, seed, {**about, "normalization": mode}))
    return models, settings.image_size, settings.any_size


def weights_checksum(model) -> str:
    """SHA-256 (hex) over a Keras model's weights in their order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
