"""Is a data directory what its dataset.json says?

    python -m data.verify datasets/bedroom

Checks of every shard the size, the checksum and the number of records, and of every record that it is whole, has a key
and decodes to a picture of the right size. Names what is broken, one line each; exit status 1 if anything is.
"""

import hashlib
import io
import os
import sys
from collections.abc import Iterator

from absl import app
from PIL import Image


def problems(directory: str) -> Iterator[str]:
    """One line for each thing that is wrong in `directory`; none when all is well.

    Raises ValueError, one line, where dataset.json is missing or cannot be read.
    """
    from colorgan_tf.records import INFO_FILE, DatasetInfo

    info = DatasetInfo.read(directory)
    named = {INFO_FILE}
    for split, shards in info.splits.items():
        for shard in shards:
            named.add(shard.file)
            for problem in _shard_problems(os.path.join(directory, shard.file), shard, info.image_size):
                yield f"{shard.file} ({split}): {problem}"
    for file in sorted(set(os.listdir(directory)) - named):
        if file.endswith(".tfrecord"):
            yield f"{file}: not in {INFO_FILE}"


def _shard_problems(path: str, shard, image_size: int) -> Iterator[str]:
    import tensorflow as tf

    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        yield f"cannot be read: {error.strerror}"
        return
    if size != shard.bytes:
        yield f"{size} bytes, expected {shard.bytes}"
    elif digest != shard.sha256:
        yield "its SHA-256 is not that of dataset.json"
    count = 0
    try:
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
            problem = _record_problem(record, image_size)
            if problem:
                yield f"record {count}: {problem}"
            count += 1
    except tf.errors.OpError:
        yield f"damaged at record {count}; what follows cannot be read"
        return
    if count != shard.count:
        yield f"{count} records, expected {shard.count}"


def _record_problem(record: bytes, image_size: int) -> str | None:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(record).features.feature
    except DecodeError:
        return "not a tf.train.Example"
    keys, encoded = features["image/key"].bytes_list.value, features["image/encoded"].bytes_list.value
    if not keys or not encoded:
        return "has no image/key or no image/encoded"
    key = keys[0].decode(errors="replace")
    try:
        with Image.open(io.BytesIO(encoded[0]), formats=("PNG",)) as image:
            image.load()
    except Exception as error:  # damaged bytes make Pillow raise nearly anything
        return f"{key}: the picture cannot be decoded ({type(error).__name__})"
    sizes = [tuple(features[f"image/{side}"].int64_list.value) for side in ("height", "width")]
    if image.size != (image_size, image_size) or sizes != [(image_size,), (image_size,)] or image.mode != "RGB":
        return f"{key}: {image.mode} {image.width} x {image.height}, expected RGB {image_size} x {image_size}"
    return None


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        print("verify: expected one data directory, as in: python -m data.verify datasets/rooms", file=sys.stderr)
        return 2
    broken = 0
    try:
        for problem in problems(argv[1]):
            print(f"verify: {os.path.join(argv[1], problem)}", file=sys.stderr)
            broken += 1
    except ValueError as error:
        print(f"verify: {error}", file=sys.stderr)
        return 1
    print(f"{argv[1]}: {f'{broken} problems' if broken else 'all as dataset.json says'}")
    return int(broken > 0)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    app.run(main)
