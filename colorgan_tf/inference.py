"""An exported generator, loaded for use: the only module that knows what lies in an export directory.

    exports/colorgan/1/saved_model.pb   the SavedModel with its `serving_default` signature
                       variables/
                       colorgan.json    image_size, noise_size, any_size, color_space, step, run

Nothing of training is imported, and TensorFlow only inside `load_export`, so that importing this module is free.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

INFO_FILE = "colorgan.json"
MODEL_FILE = "saved_model.pb"
SIGNATURE = "serving_default"
GUARD = ".sha256"  # 1.sha256 beside 1/: the checksum of a shipped export
_EXPECTED = f"expected an export, a directory with {MODEL_FILE} and {INFO_FILE}, or the folder of its versions"


@dataclasses.dataclass(frozen=True)
class Generator:
    """One exported generator; `load_export` makes it."""

    path: str  # the version folder
    checksum: str  # SHA-256 (hex) over names and contents of the export's files
    image_size: int  # pixels, the square it was trained at
    noise_size: int
    any_size: bool  # takes any height and width, not only image_size x image_size
    color_space: str  # yuv | rgb
    info: dict[str, Any]  # colorgan.json as it is
    _signature: Callable = dataclasses.field(repr=False)
    _model: Any = dataclasses.field(repr=False)  # owns the signature's variables, which would vanish without it

    def __call__(self, gray: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours luminance.

        gray: float32 [b, h, w, 1] in [0, 1]; noise: float32 [b, noise_size] in [-1, 1].
        Returns (rgb, chroma): float32 [b, h, w, 3] in [0, 1] and [b, h, w, 2] in [-0.5, 0.5] (U, V).
        ValueError where a shape does not fit.
        """
        gray, noise = np.asarray(gray, np.float32), np.asarray(noise, np.float32)
        if gray.ndim != 4 or gray.shape[-1] != 1:
            raise ValueError(f"gray has the shape {gray.shape}; expected [batch, height, width, 1]")
        if not self.any_size and gray.shape[1:3] != (self.image_size, self.image_size):
            raise ValueError(f"gray is {gray.shape[2]} x {gray.shape[1]}; this export takes {self.image_size} square")
        if noise.shape != (len(gray), self.noise_size):
            raise ValueError(f"noise has the shape {noise.shape}; expected {(len(gray), self.noise_size)}")
        import tensorflow as tf

        outputs = self._signature(gray=tf.constant(gray), noise=tf.constant(noise))
        return outputs["rgb"].numpy(), outputs["chroma"].numpy()


def version_folder(path: str) -> str:
    """`path` itself if it is a version folder, else its numerically highest version; ValueError if it has neither."""
    if os.path.isfile(os.path.join(path, MODEL_FILE)):
        return path
    if not os.path.isdir(path):
        raise ValueError(f"{path}: no such directory; {_EXPECTED}")
    versions = [
        name for name in os.listdir(path) if name.isdecimal() and os.path.isfile(os.path.join(path, name, MODEL_FILE))
    ]
    if not versions:
        raise ValueError(f"{path}: no exported model there; {_EXPECTED}")
    return os.path.join(path, max(versions, key=int))


def read_info(folder: str) -> dict[str, Any]:
    """A version folder's colorgan.json, checked; ValueError in one line where a field is missing or wrong."""
    path = os.path.join(folder, INFO_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            info = json.load(file)
    except FileNotFoundError:
        raise ValueError(f"{folder}: no {INFO_FILE} there; {_EXPECTED}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from None
    if not isinstance(info, dict):
        raise ValueError(f"{path}: expected a JSON object")

    def check(field, fits, expected):
        if field not in info or not fits(info[field]):
            raise ValueError(f"{path}: {field} is {info.get(field)!r}; expected {expected}")

    for field in ("image_size", "noise_size"):
        check(field, lambda value: type(value) is int and value > 0, "a whole number above 0")
    check("any_size", lambda value: isinstance(value, bool), "true or false")
    check("color_space", lambda value: value in ("yuv", "rgb"), "yuv or rgb")
    return info


def checksum(folder: str) -> str:
    """SHA-256 (hex) over the names and contents of every file under `folder`, in the order of their names."""
    names = sorted(
        os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")
        for parent, _, files in os.walk(folder)
        for name in files
    )
    digest = hashlib.sha256()
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def _fits(spec, shape):
    """Whether a TensorShape leaves free what `shape` has as None, and has no other number than `shape` elsewhere."""
    if spec.rank is None:
        return True
    return spec.rank == len(shape) and all(
        have is None or have == want for have, want in zip(spec.as_list(), shape, strict=True)
    )


def load_export(path: str | os.PathLike) -> Generator:
    """Loads an export: a version folder (`exports/colorgan/1`), or the folder of versions, whose highest is taken.

    ValueError, in one line that names the path, for everything that is not a generator's export.
    """
    folder = version_folder(os.fspath(path))
    info = read_info(folder)
    digest = checksum(folder)
    guard = os.path.normpath(folder) + GUARD
    if os.path.isfile(guard):
        with open(guard, encoding="utf-8") as file:
            if file.read().strip() != digest:
                raise ValueError(
                    f"{folder}: not as it was shipped (its checksum is not that of {guard}); fetch it anew"
                )
    import tensorflow as tf

    try:
        model = tf.saved_model.load(folder)
    except Exception as error:  # a damaged protobuf or variables file fails in too many ways to list
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{folder}: TensorFlow cannot load this model ({reason})") from None
    signatures = getattr(model, "signatures", {})
    if SIGNATURE not in signatures:
        raise ValueError(f"{folder}: the model has no signature {SIGNATURE}; {_EXPECTED}")
    signature = signatures[SIGNATURE]
    size = None if info["any_size"] else info["image_size"]
    inputs = {"gray": [None, size, size, 1], "noise": [None, info["noise_size"]]}
    outputs = {"rgb": [None, size, size, 3], "chroma": [None, size, size, 2]}
    for specs, expected in ((signature.structured_input_signature[1], inputs), (signature.structured_outputs, outputs)):
        for name, shape in expected.items():
            if name not in specs:
                raise ValueError(f"{folder}: signature {SIGNATURE} has no {name}, only {', '.join(sorted(specs))}")
            if specs[name].dtype != tf.float32 or not _fits(specs[name].shape, shape):
                raise ValueError(f"{folder}: {name} is {specs[name]}; {INFO_FILE} makes it float32 {shape}")
    return Generator(
        path=folder,
        checksum=digest,
        image_size=info["image_size"],
        noise_size=info["noise_size"],
        any_size=info["any_size"],
        color_space=info["color_space"],
        info=info,
        _signature=signature,
        _model=model,
    )
