"""Small pictures in the project's own schema, for whatever needs a data directory."""

import hashlib
import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import pytest
from PIL import Image

from colorgan_tf.records import DatasetInfo, Shard, encode_example, shard_name


def write_dataset(directory, image_size=16, counts=None, shards=2, seed=0) -> str:
    """Random blocks of colour: PNG records, shards and dataset.json, as the converter would leave them."""
    import tensorflow as tf

    counts = counts or {"train": 40, "val": 6}
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    splits = {}
    for split, count in counts.items():
        splits[split] = []
        for i in range(shards):
            path = directory / shard_name("test", split, i, shards)
            keys = range(i, count, shards)
            with tf.io.TFRecordWriter(str(path)) as writer:
                for k in keys:
                    blocks = rng.integers(40, 216, (4, 4, 3)).repeat(image_size // 4, 0).repeat(image_size // 4, 1)
                    file = io.BytesIO()
                    Image.fromarray(blocks.astype(np.uint8)).save(file, "png")
                    writer.write(encode_example(file.getvalue(), "png", image_size, image_size, f"{split}-{k:04d}"))
            content = path.read_bytes()
            splits[split].append(Shard(path.name, len(keys), len(content), hashlib.sha256(content).hexdigest()))
    DatasetInfo("test", "folder", image_size, seed, 0.1, 0.0, splits, []).write(str(directory))
    return str(directory)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> str:
    """40 train and 6 val pictures of 16 x 16."""
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny")
