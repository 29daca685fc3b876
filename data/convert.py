"""Photos or drawn rooms to TFRecord shards for training.

    python -m data.convert --source=rooms --max_images=20000 --output=datasets/rooms
    python -m data.convert --source=folder --input='photos/train-*.tar' --output=datasets/photos --image_size=96
    python -m data.convert --source=lsun --input=bedroom_train_lmdb --max_images=503900 --output=datasets/bedroom

The output directory holds the shards and a dataset.json that says what is in them and what was left out and why. It
appears whole or not at all. An interrupted conversion is continued by the same command.
"""

import os
import re
import signal
import sys
import time

from absl import app, flags

from colorgan_tf.flag_checks import require_finite
from data.conversion import Progress, Settings, convert
from data.shards import OutputError, Workspace
from data.sources import InputError, Source

FLAGS = flags.FLAGS

flags.DEFINE_enum("source", None, ["lsun", "folder", "rooms"], "Where the pictures come from.", required=True)
flags.DEFINE_list(
    "input",
    [],
    "folder: folders, .tar files, photos or wildcards, separated by commas. lsun: one LMDB folder. rooms: nothing.",
)
flags.DEFINE_string("output", None, "Directory to make.", required=True)
flags.DEFINE_string("name", None, "First part of the file names. Default: bedroom for lsun, else photos or rooms.")
flags.DEFINE_integer("image_size", 64, "Height and width of the pictures made.", lower_bound=8, upper_bound=1024)
flags.DEFINE_integer("max_images", 0, "How many pictures to choose at random; 0 takes all.", lower_bound=0)
flags.DEFINE_float("val_fraction", 0.01, "Share of the pictures that goes to `val`.", lower_bound=0.0, upper_bound=1.0)
flags.DEFINE_integer("seed", 0, "Decides which pictures are chosen, and what the drawn rooms look like.", lower_bound=0)
flags.DEFINE_float(
    "min_chroma", 2.0, "Leave out photos with a lower mean chroma (0-255).", lower_bound=0.0, upper_bound=128.0
)
flags.DEFINE_integer("shard_mib", 100, "About how large a shard may be, in MiB.", lower_bound=1, upper_bound=4096)
flags.DEFINE_integer("workers", 0, "Processes that make pictures; 0 means one a core.", lower_bound=0, upper_bound=1024)
flags.DEFINE_bool("overwrite", False, "Replace the output directory, and an unfinished conversion with other flags.")
require_finite("val_fraction", "min_chroma")
flags.register_validator(
    "name", lambda name: name is None or re.fullmatch(r"[\w.-]+", name), "expected letters, digits, dots and dashes"
)

DEFAULT_NAMES = {"lsun": "bedroom", "folder": "photos", "rooms": "rooms"}


def _source() -> Source:
    if FLAGS.source == "rooms":
        from data.rooms import RoomSource

        if FLAGS.input:
            raise InputError("--input: drawn rooms have none")
        if not FLAGS.max_images:
            raise InputError("--max_images: say how many rooms to draw")
        return RoomSource(FLAGS.max_images, FLAGS.seed)
    if not FLAGS.input:
        raise InputError(f"--input: say where the photos are (--source={FLAGS.source})")
    if FLAGS.source == "lsun":
        from data.lsun import LsunSource

        if len(FLAGS.input) != 1:
            raise InputError("--input: --source=lsun takes one LMDB folder")
        return LsunSource(FLAGS.input[0])
    from data.folder import FolderSource

    return FolderSource(FLAGS.input)


class _ProgressLine:
    """Pictures, images/s and time left, on one line of a terminal; a line every half minute elsewhere."""

    def __init__(self):
        self._start = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._next = self._start

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next and progress.done < progress.total:
            return
        self._next = now + (0.2 if self._terminal else 30.0)
        speed = progress.fresh / max(now - self._start, 1e-9)
        left = int((progress.total - progress.done) / speed)
        text = (
            f"{progress.done:,}/{progress.total:,} pictures  {speed:,.0f} images/s  {left // 60}:{left % 60:02d} left"
        )
        end = "\n" if not self._terminal or progress.done == progress.total else ""
        print(("\r\033[K" if self._terminal else "") + text, end=end, file=sys.stderr, flush=True)


_received = int(signal.SIGINT)


def _interrupt(number: int, frame) -> None:
    """SIGTERM ends a conversion as Ctrl-C does."""
    global _received
    _received = number
    raise KeyboardInterrupt


def main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    settings = Settings(
        source=FLAGS.source,
        name=FLAGS.name or DEFAULT_NAMES[FLAGS.source],
        image_size=FLAGS.image_size,
        max_images=FLAGS.max_images,
        val_fraction=FLAGS.val_fraction,
        seed=FLAGS.seed,
        min_chroma=FLAGS.min_chroma,
        shard_mib=FLAGS.shard_mib,
    )
    workers = FLAGS.workers or len(os.sched_getaffinity(0))
    try:
        workspace = Workspace(FLAGS.output, FLAGS.overwrite)
        info = convert(_source(), settings, workspace, workers, _ProgressLine())
    except (InputError, OutputError, RuntimeError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"convert: {error.filename or FLAGS.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("convert: interrupted; the same command goes on from the last finished shard", file=sys.stderr)
        return 128 + _received
    counts = ", ".join(f"{info.count(split):,} {split}" for split in info.splits)
    print(f"{FLAGS.output}: {counts}; {len(info.left_out):,} left out (reasons in dataset.json)")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    signal.signal(signal.SIGTERM, _interrupt)
    app.run(main)
