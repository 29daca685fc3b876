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

import tensorflow as tf

INFO_FILE = "dataset.json"
SPLITS = ("train", "val")

_SCHEMA = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/key": tf.io.FixedLenFeature([], tf.string),
}


def shard_name(name: str, split: str, index: int, count: int) -> str:
    """`bedroom-train-00000-of-00048.tfrecord`."""
    return f"{name}-{split}-{index:05d}-of-{count:05d}.tfrecord"


def encode_example(encoded: bytes, image_format: str, height: int, width: int, key: str) -> bytes:
    """One record of the schema above, serialized."""

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
            info = cls(**fields)
            _check_types(info)
            for shard in (shard for shards in info.splits.values() for shard in shards):
                _check_types(shard)
                if os.path.basename(shard.file) != shard.file or shard.count < 0:
                    raise ValueError(f"no shard is called {shard.file!r} and has {shard.count} records")
            return info
        except FileNotFoundError:
            raise ValueError(
                f"{directory}: no {INFO_FILE} there; expected a directory written by `python -m data.convert`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a dataset description ({error})") from None


def _check_types(entry: Shard | DatasetInfo):
    """TypeError where a field of plain type holds something else, as in a file edited by hand."""
    for field in dataclasses.fields(entry):
        value, wanted = getattr(entry, field.name), (float, int) if field.type is float else field.type
        if field.type in (str, int, float) and (not isinstance(value, wanted) or isinstance(value, bool)):
            raise TypeError(f"{field.name} is {value!r}, expected {field.type.__name__}")


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of a data directory that has been looked at: its files are there and fit the asked-for image size."""

    directory: str
    split: str
    info: DatasetInfo
    files: tuple[str, ...]
    counts: tuple[int, ...]  # photos in each
    image_size: int  # of the pictures handed out

    @property
    def count(self) -> int:
        """Number of photos."""
        return sum(self.counts)


def open_split(
    directory: str, split: str, image_size: int, may_resize: bool = False, may_be_damaged: bool = False
) -> Source:
    """Checks a split before anything is built on it; ValueError in one line where it cannot serve.

    may_resize: whether larger pictures may be cropped and scaled down to `image_size`. may_be_damaged: whether a shard
    may have another size than it should.
    """
    info = DatasetInfo.read(directory)
    where = os.path.join(directory, INFO_FILE)
    if not info.count(split):
        raise ValueError(f"{where}: split {split!r} has no pictures")
    if info.image_size < image_size or (info.image_size != image_size and not may_resize):
        raise ValueError(
            f"{where}: pictures are {info.image_size} pixels a side, the model wants {image_size}; "
            + ("convert with a larger --image_size" if may_resize else f"convert with --image_size={image_size}")
        )
    files = []
    for shard in info.splits[split]:
        path = os.path.join(directory, shard.file)
        if not os.path.isfile(path):
            raise ValueError(f"{path}: missing; {where} lists it")
        if not may_be_damaged and os.path.getsize(path) != shard.bytes:
            raise ValueError(f"{path}: {os.path.getsize(path)} bytes, {where} says {shard.bytes}; convert it again")
        files.append(path)
    counts = tuple(shard.count for shard in info.splits[split])
    return Source(directory, split, info, tuple(files), counts, image_size)


def decode_record(serialized, size: int):
    """A serialized record to (rgb uint8 [h, h, 3], key); InvalidArgumentError where it is not a record of `size`."""
    record = tf.io.parse_single_example(serialized, _SCHEMA)
    rgb = tf.io.decode_png(record["image/encoded"], channels=3)
    rgb = tf.ensure_shape(rgb, [size, size, 3])
    return rgb, record["image/key"]


def photos(directory: str, split: str, image_size: int) -> tf.data.Dataset:
    """One pass in fixed order, for evaluation: dicts of rgb float32 [s, s, 3] in [0, 1] and key (string).

    Larger pictures are scaled down whole. Unbatched; `cardinality` is known.
    """
    return photos_of(open_split(directory, split, image_size, may_resize=True))


def photos_of(source: Source) -> tf.data.Dataset:
    """`photos` of a split that has been looked at."""

    def prepare(serialized):
        rgb, key = decode_record(serialized, source.info.image_size)
        return {"rgb": tf.cast(resize(rgb, source.image_size), tf.float32) / 255.0, "key": key}

    dataset = tf.data.TFRecordDataset(list(source.files)).map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.apply(tf.data.experimental.assert_cardinality(source.count)).prefetch(tf.data.AUTOTUNE)


def resize(rgb, size: int):
    """uint8 [h, h, 3] to [size, size, 3], antialiased; pictures of that size are handed through."""
    if rgb.shape[0] == size:
        return rgb
    scaled = tf.image.resize(rgb, [size, size], method="lanczos3", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(scaled), 0.0, 255.0), tf.uint8)
