"""Photos out of a tar, for the benchmarks."""

import io
import tarfile

import numpy as np
from PIL import Image


def read_tar(path: str, count: int) -> list[np.ndarray]:
    """At most `count` evenly spaced photos, uint8 RGB. OSError or tarfile.TarError where it is no tar."""
    with tarfile.open(path) as tar:
        members = [member for member in tar if member.isfile()]
        chosen = members[:: max(1, len(members) // count)][:count]
        return [np.asarray(Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")) for m in chosen]
