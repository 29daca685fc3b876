"""Writing aside and renaming: the output directory appears whole or not at all, and finished shards are never lost.

While a conversion runs, everything lies in OUTPUT.partial:

    plan.json            what is being converted and which split has how many pictures and shards; written last, so a
                         plan that is there is complete
    train.keys val.keys  the chosen keys, one a line, in the order of the records
    shards/              finished shards; becomes OUTPUT in one rename
    state/SHARD.json     for each finished shard, its entry in dataset.json and the pictures it left out
    old/                 what --overwrite replaces, until it is replaced
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

# colorgan_tf.records imports TensorFlow; worker processes load this package without it.
INFO_FILE = "dataset.json"


class OutputError(Exception):
    """Output that cannot be written; the message is one line for the user."""


def write_json(path: str, value: Any) -> None:
    """Writes `value` to `path` so that the file is whole or absent, also after a power cut."""
    aside = path + ".tmp"
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
    _sync_directory(os.path.dirname(path))


def read_json(path: str) -> Any:
    """The value in `path`, or None where there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def _sync_directory(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Workspace:
    """OUTPUT.partial, held by one process at a time."""

    def __init__(self, output: str, overwrite: bool):
        self.output = os.path.normpath(output)
        self.partial = self.output + ".partial"
        self.shards = os.path.join(self.partial, "shards")
        self._state = os.path.join(self.partial, "state")
        self._old = os.path.join(self.partial, "old")
        self._plan = os.path.join(self.partial, "plan.json")
        self.overwrite = overwrite
        if os.path.basename(self.output) in ("", ".", ".."):
            raise OutputError(f"{output!r}: expected the name of a directory to make")
        if not os.path.exists(self._plan):
            self._check_replaceable()

    def _check_replaceable(self) -> None:
        if not os.path.lexists(self.output):
            return
        if not os.path.isdir(self.output):
            raise OutputError(f"{self.output}: exists and is not a directory")
        entries = os.listdir(self.output)
        if entries and INFO_FILE not in entries:
            raise OutputError(
                f"{self.output}: holds files but no {INFO_FILE}; not touching what this program did not make"
            )
        if entries and not self.overwrite:
            with contextlib.suppress(OSError):
                os.rmdir(self.partial)  # all that is left when the very last step of a conversion was interrupted
            raise OutputError(f"{self.output}: exists already; --overwrite replaces it")

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Makes the directories and keeps other conversions out of them."""
        os.makedirs(self.partial, exist_ok=True)
        with open(os.path.join(self.partial, "lock"), "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutputError(f"{self.partial}: another conversion is writing there") from None
            yield

    def plan(self) -> dict[str, Any] | None:
        """The plan of an earlier, interrupted conversion."""
        if not os.path.exists(self.shards) and not self.published():
            return None  # what it made was taken away
        return read_json(self._plan)

    def start(self) -> None:
        """Throws away whatever an earlier conversion left behind here."""
        self._check_replaceable()
        if os.path.exists(self._plan):
            os.remove(self._plan)  # first: without a plan nothing else counts
        for folder in (self.shards, self._state):
            shutil.rmtree(folder, ignore_errors=True)
            os.makedirs(folder)

    def save_plan(self, plan: dict[str, Any]) -> None:
        write_json(self._plan, plan)

    def keys_file(self, split: str) -> str:
        return os.path.join(self.partial, f"{split}.keys")

    def finished(self, file: str) -> dict[str, Any] | None:
        """The state of shard `file`, when it is there with all its bytes."""
        state = read_json(os.path.join(self._state, file + ".json"))
        path = os.path.join(self.shards, file)
        if state is None or not os.path.exists(path) or os.path.getsize(path) != state["shard"]["bytes"]:
            return None
        return state

    def finish(self, file: str, state: dict[str, Any]) -> None:
        write_json(os.path.join(self._state, file + ".json"), state)

    def published(self) -> bool:
        """Whether the output of this very plan is in place already, and only cleaning up was interrupted."""
        return not os.path.exists(self.shards) and os.path.exists(os.path.join(self.output, INFO_FILE))

    def publish(self) -> None:
        """Puts the finished shards in the output's place."""
        _sync_directory(self.shards)
        if os.path.isdir(self.output):
            shutil.rmtree(self._old, ignore_errors=True)
            os.rename(self.output, self._old)
        os.rename(self.shards, self.output)
        _sync_directory(os.path.dirname(os.path.abspath(self.output)))

    def discard(self) -> None:
        """Removes OUTPUT.partial; the plan last, so that until then the same command can tell what is left to do."""
        with contextlib.suppress(OSError):
            for entry in os.scandir(self.partial):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                elif entry.path != self._plan:
                    os.remove(entry.path)
            if os.path.exists(self._plan):
                os.remove(self._plan)
            os.rmdir(self.partial)


class ShardWriter:
    """One TFRecord file, written aside; `close` makes it count."""

    def __init__(self, directory: str, file: str):
        import tensorflow as tf

        self._file, self._path = file, os.path.join(directory, file)
        self._errors = tf.errors.OpError
        self._aside = self._path + ".tmp"
        self._count = 0
        self._writer = tf.io.TFRecordWriter(self._aside)

    def write(self, record: bytes) -> None:
        with self._clear_errors():
            self._writer.write(record)
        self._count += 1

    def close(self) -> dict[str, Any]:
        """Brings the file to the disk under its own name; returns its entry (`records.Shard`) as a dict."""
        from colorgan_tf.records import Shard

        with self._clear_errors():
            self._writer.close()
            with open(self._aside, "rb") as file:
                os.fsync(file.fileno())
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size = file.tell()
            os.replace(self._aside, self._path)
        return dataclasses.asdict(Shard(file=self._file, count=self._count, bytes=size, sha256=digest))

    @contextlib.contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            reason = error.message.split("; ")[-1]  # TensorFlow puts the path in front
            raise OutputError(f"{self._aside}: cannot be written: {reason}; finished shards are kept") from None
