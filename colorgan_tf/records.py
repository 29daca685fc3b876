"""The TFRecord schema: what the converter writes and what training reads.

A data directory holds `NAME-SPLIT-00000-of-00048.tfrecord` files and one `dataset.json` that says what is in them.
Each record is a tf.train.Example with

    image/encoded   bytes   the picture, lossless (PNG)
    image/format    bytes   b"png"
    image/height    int64   pixels
    image/width     int64   pixels
    image/key       bytes   where the picture came from: a file name, an LMDB key, "room-00000017"
"""

import dataclasses
import json
import os

INFO_FILE = "dataset.json"
SPLITS = ("train", "val")


def shard_name(name: str, split: str, index: int, count: int) -> str:
    """`bedroom-train-00000-of-00048.tfrecord`."""
    return f"{name}-{split}-{index:05d}-of-{count:05d}.tfrecord"


def encode_example(encoded: bytes, image_format: str, height: int, width: int, key: str) -> bytes:
    """One record of the schema above, serialized."""
    import tensorflow as tf

    def as_bytes(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def as_int(value):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    features = {
        "image/encoded": as_bytes(encoded),
        "image/format": as_bytes(image_format.encode()),
        "image/height": as_int(height),
        "image/width": as_int(width),
        "image/key": as_bytes(key.encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file: its name, number of records, size in bytes and SHA-256 (hex)."""

    file: str
    count: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """`dataset.json`: how the data came to be, and every shard of every split."""

    name: str
    source: str  # lsun | folder | rooms
    image_size: int  # pixels, square
    seed: int
    val_fraction: float
    min_chroma: float  # photos with a lower mean chroma (0-255) were left out
    splits: dict[str, list[Shard]]
    left_out: list[dict[str, str]]  # {"key": ..., "reason": ...}
    crop: str = "maximum centre square"
    resize_filter: str = "lanczos"
    version: int = 1

    def count(self, split: str) -> int:
        """Number of pictures in a split."""
        return sum(shard.count for shard in self.splits.get(split, []))

    def write(self, directory: str) -> None:
        """Writes `directory`/dataset.json."""
        with open(os.path.join(directory, INFO_FILE), "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)
            file.write("\n")

    @classmethod
    def read(cls, directory: str) -> "DatasetInfo":
        """Reads `directory`/dataset.json; ValueError in one line where it is missing or not what `write` writes."""
        path = os.path.join(directory, INFO_FILE)
        try:
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            fields["splits"] = {
                split: [Shard(**shard) for shard in shards] for split, shards in fields["splits"].items()
            }
            return cls(**fields)
        except FileNotFoundError:
            raise ValueError(
                f"{directory}: no {INFO_FILE} there; expected a directory written by `python -m data.convert`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a dataset description ({error})") from None
