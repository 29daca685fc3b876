"""TensorBoard's event files on disks that fill up and in runs that are killed."""

import contextlib
import glob
import logging
import os
import struct

import tensorflow as tf

_logger = logging.getLogger(__name__)


class EventLog:
    """A summary writer that notices when its file no longer takes what is written.

    TensorFlow's own writer drops events on a full disk, often without a word, and stays dumb when there is room again.
    Here a torn event is cut off, one warning is given, and the next events go into a new file.
    """

    def __init__(self, directory: str):
        self.directory = directory
        self._writer = None
        self._complaining = False

    @contextlib.contextmanager
    def as_default(self, step: int):
        """Within it, tf.summary writes to this log, for iteration `step`."""
        if self._writer is None and not self._open():
            yield  # tf.summary does nothing without a writer
            return
        with self._writer.as_default(step=step):
            yield
        end, size = whole_events(self._path, self._end)
        if end == size and end > self._end:
            self._end = end
            self._complaining = False
        else:
            self._give_up(end)

    def close(self):
        """Closes the file; what comes afterwards goes into a new one."""
        if self._writer is not None:
            with contextlib.suppress(tf.errors.OpError):
                self._writer.close()
        self._writer = None

    def _open(self) -> bool:
        before = set(_event_files(self.directory))
        try:
            os.makedirs(self.directory, exist_ok=True)
            self._writer = tf.summary.create_file_writer(self.directory)
            self._writer.flush()
            # TensorFlow flushes at the end of as_default(), and where that fails it leaves the dead writer in place for
            # whoever writes next. So flushing must not fail; whether the events arrived, the file itself tells.
            self._writer.flush = _quiet(self._writer.flush)
        except (OSError, tf.errors.OpError):
            self._complain()
            return False
        new = set(_event_files(self.directory)) - before
        if len(new) != 1:
            self.close()
            self._complain()
            return False
        self._path, self._end = new.pop(), 0
        return True

    def _give_up(self, end: int):
        self.close()
        with contextlib.suppress(OSError):
            os.truncate(self._path, end)
        self._complain()

    def _complain(self):
        if not self._complaining:
            _logger.warning("%s: cannot write the log (is the disk full?); training goes on", self.directory)
        self._complaining = True


def whole_events(path: str, start: int = 0) -> tuple[int, int]:
    """(where the last whole event behind offset `start` ends, size of the file), both in bytes."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            end = start
            while end + 12 <= size:
                file.seek(end)
                (length,) = struct.unpack("<Q", file.read(8))
                if end + length + 16 > size:
                    break
                end += length + 16
    except OSError:
        return start, -1
    return end, size


def drop_events_after(directory: str, step: int):
    """Takes events of later iterations out of TensorBoard's files, so that a resumed run's curves do not overlap.

    A file cut off in mid-event by a crash keeps its whole events. Where the disk is too full to rewrite one, it stays
    as it was, with a warning.
    """
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for path in glob.glob(os.path.join(directory, "*.partial")):
        os.remove(path)
    for path in _event_files(directory):
        partial = path + ".partial"
        try:
            with tf.io.TFRecordWriter(partial) as writer:
                for serialized in RawEventFileLoader(path).Load():
                    if Event.FromString(serialized).step <= step:
                        writer.write(serialized)
            os.replace(partial, path)
        except (OSError, tf.errors.OpError):
            with contextlib.suppress(OSError):
                os.remove(partial)
            _logger.warning("%s: cannot rewrite it (is the disk full?); its curve overlaps with the new one", path)


def _quiet(call):
    """`call` without the errors TensorFlow raises for files."""

    def quiet():
        with contextlib.suppress(tf.errors.OpError):
            return call()

    return quiet


def _event_files(directory: str) -> list[str]:
    files = glob.glob(os.path.join(glob.escape(directory), "events.out.tfevents.*"))
    return [path for path in files if not path.endswith(".partial")]
