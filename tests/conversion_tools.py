"""What the tests of the converter share: small inputs, and reading what came out without the project's reader."""

import hashlib
import io
import json
import pathlib

import numpy as np
from PIL import Image

from data.conversion import Settings, convert
from data.shards import Workspace


def settings(**changes) -> Settings:
    """Small defaults."""
    fields = {
        "source": "folder",
        "name": "photos",
        "image_size": 16,
        "max_images": 0,
        "val_fraction": 0.2,
        "seed": 0,
        "min_chroma": 0.0,
        "shard_mib": 100,
    }
    return Settings(**{**fields, **changes})


def photo(index: int, height: int = 24, width: int = 32, file_format: str = "PNG") -> bytes:
    """A colourful photo that no other index gives."""
    low = np.random.default_rng(index).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    image = Image.fromarray(low).resize((width, height), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, file_format)
    return buffer.getvalue()


def write_photos(folder: pathlib.Path, count: int, first: int = 0) -> None:
    """Photos p000.png, p001.png, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + count):
        (folder / f"p{index:03d}.png").write_bytes(photo(index))


def run(pictures, output, workers: int = 1, overwrite: bool = False, on_progress=lambda progress: None, **changes):
    """Converts with small defaults."""
    return convert(pictures, settings(**changes), Workspace(str(output), overwrite), workers, on_progress)


def digests(folder: pathlib.Path) -> dict[str, str]:
    """File name -> SHA-256, of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(pathlib.Path(folder).iterdir())}


def records(folder: pathlib.Path) -> dict[str, list[tuple[str, np.ndarray]]]:
    """split -> (key, uint8 [size, size, 3]) of every record, in the order of dataset.json."""
    import tensorflow as tf

    info = json.loads((pathlib.Path(folder) / "dataset.json").read_text())
    result = {}
    for split, shards in info["splits"].items():
        for shard in shards:
            for raw in tf.data.TFRecordDataset(str(pathlib.Path(folder) / shard["file"])).as_numpy_iterator():
                feature = tf.train.Example.FromString(raw).features.feature
                picture = np.asarray(Image.open(io.BytesIO(feature["image/encoded"].bytes_list.value[0])))
                assert feature["image/format"].bytes_list.value[0] == b"png"
                assert feature["image/height"].int64_list.value[0] == picture.shape[0]
                assert feature["image/width"].int64_list.value[0] == picture.shape[1]
                result.setdefault(split, []).append((feature["image/key"].bytes_list.value[0].decode(), picture))
    return result
