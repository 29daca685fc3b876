"""Colours grey photos, each in several believable ways, at their own size.

    python colorize.py photo.jpg --output=coloured                       photo-1.png ... photo-4.png, photo-sheet.png
    python colorize.py album/ 'scans/*.tif' --output=coloured --n=6      folders and wildcards
    python colorize.py other.jpg --output=coloured --noise=coloured/photo-3.png        the same colours once more

Exit status 0: all photos done; 1: some failed (listed at the end), or the command was wrong. docs/colorize.md.
"""

import itertools
import os
import sys
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# `import tensorflow` would load Keras 3, and often matplotlib with it: a quarter of this program's start. An
# export needs neither. Told that the older Keras is wanted, which is not installed, TensorFlow goes without.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

from absl import app, flags

MODEL = flags.DEFINE_string("model", None, "Export to use; by default the shipped one, else the newest in exports/.")
OUTPUT = flags.DEFINE_string("output", None, "Directory for the results.")
N = flags.DEFINE_integer("n", 4, "Colourings of each photo.", 1, 100)
SEED = flags.DEFINE_integer("seed", 0, "Another seed, other colourings; the same, the same bytes.", 0, 2**32 - 1)
DRAWS = flags.DEFINE_integer(
    "draws", 16, "Colourings drawn for each photo; of the calmer ones the --n that differ are kept.", 1, 1024
)
NOISE = flags.DEFINE_multi_string(
    "noise", [], "A colouring made before, or an .npy file: colour with its noise instead of drawn ones. Repeatable."
)
FORMAT = flags.DEFINE_enum("format", "png", ["png", "jpeg", "webp"], "Of the colourings; sheets are png.")
QUALITY = flags.DEFINE_integer("quality", 92, "Of jpeg and webp.", 1, 100)
SHEET = flags.DEFINE_bool("sheet", True, "Write a contact sheet of each photo too.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace results that are there.")
RESUME = flags.DEFINE_bool("resume", False, "Skip photos whose results are all there.")
WORKERS = flags.DEFINE_integer("workers", None, "Photos worked on at once; by default as many as cores.", 1, 256)

flags.register_validator("output", bool, "expected a folder for the results, as in --output=coloured")
flags.register_validator("model", lambda value: value != "", "expected an export's folder")
flags.register_validator("noise", all, "expected a colouring or an .npy file")
flags.register_multi_flags_validator(
    ["overwrite", "resume"], lambda v: not all(v.values()), "--overwrite and --resume exclude each other"
)
flags.register_multi_flags_validator(
    ["n", "draws"], lambda v: v["draws"] >= v["n"], "--draws is the number of colourings to choose --n from"
)
flags.register_multi_flags_validator(
    ["quality", "format"],
    lambda v: v["format"] != "png" or not flags.FLAGS["quality"].present,
    "--quality is for --format=jpeg and webp; png loses nothing",
)
flags.register_multi_flags_validator(
    ["noise", "n", "seed", "draws"],
    lambda v: not v["noise"] or not any(flags.FLAGS[name].present for name in ("n", "seed", "draws")),
    "--noise says which colourings: one each; expected none of --n, --seed and --draws beside it",
)

_MEMORY = 768 << 20  # bytes for the photos under way; one that needs more is done alone
_BYTES_PER_PIXEL = 20


class Progress:
    """Photos done, speed and time left: on one line of a terminal, now and then a line elsewhere."""

    def __init__(self, total: int):
        self._total, self._start = total, time.monotonic()
        self._terminal = sys.stderr.isatty()
        self._next = self._start

    def __call__(self, done: int, failed: int) -> None:
        now = time.monotonic()
        if now < self._next and done < self._total:
            return
        self._next = now + (0.2 if self._terminal else 30.0)
        speed = done / max(now - self._start, 1e-9)
        left = int((self._total - done) / max(speed, 1e-9))
        text = f"{done:,}/{self._total:,} photos  {speed:.2f} photos/s  {left // 60}:{left % 60:02d} left"
        text += f"  {failed:,} failed" if failed else ""
        end = "\n" if not self._terminal or done == self._total else ""
        print(("\r\033[K" if self._terminal else "") + text, end=end, file=sys.stderr, flush=True)


def todo(jobs, files_of):
    """The jobs to do, by --overwrite and --resume; ValueError where neither says what to do with results there.

    And where a result would take a photo's place: `*.png --output=.` finds the results of yesterday too.
    """
    there = {job: [path for path in files_of(job) if os.path.exists(path)] for job in jobs}
    photos = {os.path.realpath(job.source) for job in jobs}
    for job, paths in there.items():
        for path in paths:
            if os.path.realpath(path) in photos:
                raise ValueError(f"{path}: a photo to colour and a result of {job.source} too; name another --output")
    if OVERWRITE.value:
        return jobs
    if RESUME.value:
        return [job for job in jobs if len(there[job]) < len(files_of(job))]
    for path in itertools.chain(*there.values()):
        raise ValueError(f"{path}: is there already; --overwrite replaces results, --resume skips finished photos")
    return jobs


def run(inputs: list[str]) -> int:
    """Colours what `inputs` name; ValueError and OSError for what a user can mend."""
    from colorgan_tf import folders

    found = folders.collect(inputs, OUTPUT.value)
    jobs = found.jobs
    try:
        os.makedirs(OUTPUT.value, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--output={OUTPUT.value}: not a folder, and cannot be made one ({error.strerror})") from None
    if not os.access(OUTPUT.value, os.W_OK | os.X_OK):
        raise ValueError(f"--output={OUTPUT.value}: may not be written to")

    from colorgan_tf import outputs, photos, pipeline
    from colorgan_tf.colorizer import Colorizer, render

    def files_of(job):
        return job.results(N.value if noise is None else len(noise), outputs.SUFFIXES[FORMAT.value], SHEET.value)

    noise = None
    if not NOISE.value:
        jobs = todo(jobs, files_of)
    colorizer = Colorizer(MODEL.value)
    generator = colorizer.generator
    if NOISE.value:
        import numpy as np

        noise = np.concatenate([outputs.read_noise(path, generator.noise_size) for path in NOISE.value])
        jobs = todo(jobs, files_of)

    def work(job):
        photo = photos.read_photo(job.source)
        colorings = colorizer.propose(photo, N.value, SEED.value, noise, DRAWS.value)
        files = files_of(job)
        for coloring, path in zip(colorings, files, strict=False):
            note = outputs.describe(coloring, generator.info, generator.checksum)
            outputs.save(render(photo, coloring), path, FORMAT.value, photo, note, QUALITY.value)
        if SHEET.value:
            outputs.save(outputs.contact_sheet(photo, colorings), files[-1], "png", photo)

    def cost(job):
        return photos.pixels(job.source) * _BYTES_PER_PIXEL

    if found.passed_over:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.passed_over.most_common(5))
        more = ", ..." if len(found.passed_over) > 5 else ""
        print(f"passed over, no photos by their extension: {kinds}{more}", file=sys.stderr)
    if len(jobs) < len(found.jobs):
        done_before = len(found.jobs) - len(jobs)
        print(f"{done_before:,} of {len(found.jobs):,} photos were done before", file=sys.stderr)
    failures = []
    workers = WORKERS.value or len(os.sched_getaffinity(0))
    progress = Progress(len(jobs))
    for done, (job, failure) in enumerate(pipeline.run(jobs, work, cost, workers, _MEMORY), 1):
        if failure is not None:
            failures.append(failure if job.source in failure else f"{job.source}: {failure}")
        progress(done, len(failures))
    if found.unreadable:
        print(f"colorize.py: {len(found.unreadable):,} folders could not be read", file=sys.stderr)
        for line in found.unreadable:
            print(f"  {line}", file=sys.stderr)
    if failures:
        print(f"colorize.py: {len(failures):,} of {len(jobs):,} photos failed", file=sys.stderr)
        for failure in sorted(failures):
            print(f"  {failure}", file=sys.stderr)
    return 1 if failures or found.unreadable else 0


def main(argv):
    if len(argv) < 2:
        raise app.UsageError("expected photos: files, folders or wildcards")
    warnings.simplefilter("ignore")  # Pillow's, about damaged files; what matters is raised
    try:
        return run(argv[1:])
    except (ValueError, OSError) as error:
        print(f"colorize.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ncolorize.py: interrupted; the same command with --resume goes on", file=sys.stderr)
        return 130


if __name__ == "__main__":
    app.run(main)
