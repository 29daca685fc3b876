"""What a source of pictures is, and the small jobs that sources hand to the worker processes."""

import dataclasses
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from data.pictures import Unusable, decode_square


class InputError(Exception):
    """Input that cannot be converted; the message is one line for the user."""


class Job(Protocol):
    """One picture still to be made. Pickled to a worker process, so it is small or holds the encoded photo itself."""

    def picture(self, size: int) -> np.ndarray:
        """uint8 [size, size, 3]; raises `pictures.Unusable` with the reason to leave it out."""


class Source(Protocol):
    """Where pictures come from. A key names one picture for good: where it lies among others does not matter."""

    def fingerprint(self) -> str:
        """Changes when the input does, so that an interrupted conversion is not continued with other photos."""

    def keys(self) -> Iterator[str]:
        """Every key once, in the order in which `jobs` wants to be asked; one pass, without reading any picture."""

    def lost(self) -> list[dict[str, str]]:
        """{"key", "reason"} of what could not even be listed, such as the rest of a truncated tar."""

    def jobs(self, keys: Sequence[str]) -> list[Job]:
        """One job per key."""


@dataclasses.dataclass(frozen=True)
class EncodedPhoto:
    """A photo whose bytes are at hand."""

    data: bytes

    def picture(self, size: int) -> np.ndarray:
        return decode_square(self.data, size)


@dataclasses.dataclass(frozen=True)
class StoredPhoto:
    """A photo that the worker reads itself: a file, or `length` bytes of one (a tar) from `offset`."""

    path: str
    offset: int = 0
    length: int = -1

    def picture(self, size: int) -> np.ndarray:
        try:
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise Unusable("not a file")  # reading a pipe might never end
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(self.length)
        except OSError as error:
            raise Unusable(f"cannot be read: {error.strerror}") from None
        if len(data) < self.length:
            raise Unusable(f"cut off: {len(data):,} of {self.length:,} bytes are there")
        return decode_square(data, size)
