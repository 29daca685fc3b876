"""How fast is the converter, against the plain loop that everyone would write?

    python -m bench.convert [--images=6000] [--rounds=3]

Writes an LMDB of 341 x 256 WebP photos (drawn rooms with grain, 14 KB each like LSUN's) and makes 64 x 64 PNGs of
them: by a single-threaded Pillow loop (open, crop, LANCZOS, PNG) that reads with the lmdb package and keeps nothing,
and by the converter, which also writes TFRecord shards. Every figure is a process of its own, tied to its cores by
taskset; start-up (imports) is not counted, starting the workers is. The converter must reach 1.2 times the loop on one
core and 2.2 times on two, and its memory (of all its processes, without mapped files) must not grow with the images.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("images", 6000, "Photos in the LMDB.", lower_bound=100)
flags.DEFINE_integer("rounds", 3, "Measurements of each; the median counts.", lower_bound=1)
flags.DEFINE_enum("measure", None, ["loop", "converter"], "(used by the bench itself) Measure one, print images/s.")
flags.DEFINE_string("lmdb", None, "(used by the bench itself) The LMDB folder.")

TARGETS = {1: 1.2, 2: 2.2}
SIZE = 64


def write_lmdb(folder: str, images: int) -> float:
    """Writes the LMDB; returns the mean size of a photo in bytes."""
    import hashlib

    import lmdb
    import numpy as np
    from PIL import Image

    from data.rooms import draw_room

    distinct = []
    for index in range(min(images, 300)):
        room = draw_room(index, 0, 342).rgb[43:299, :341].astype(np.float32)
        # Drawn rooms are smoother than photos. Grain of five sizes makes the files as large, and as slow, as LSUN's.
        rng = np.random.default_rng(index)
        for step in (1, 2, 4, 8, 16):
            grain = rng.standard_normal((256 // step + 1, 341 // step + 1), dtype=np.float32)
            grain = Image.fromarray(grain).resize((341, 256), Image.Resampling.BICUBIC)
            room += 5.5 * step**0.5 * np.asarray(grain)[..., None]
        buffer = io.BytesIO()
        Image.fromarray(np.clip(room, 0, 255).astype(np.uint8)).save(buffer, "WEBP", quality=75)
        distinct.append(buffer.getvalue())
    with lmdb.open(folder, map_size=1 << 34) as env, env.begin(write=True) as transaction:
        for index in range(images):
            key = hashlib.sha1(str(index).encode()).hexdigest().encode()
            transaction.put(key, distinct[index % len(distinct)])
    return sum(map(len, distinct)) / len(distinct)


def measure_loop(folder: str) -> float:
    """Images/s of the plain loop."""
    import lmdb
    from PIL import Image

    start, count = time.perf_counter(), 0
    with lmdb.open(folder, readonly=True, lock=False) as env, env.begin() as transaction:
        for _, value in transaction.cursor():
            image = Image.open(io.BytesIO(value)).convert("RGB")
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            image.save(io.BytesIO(), "PNG")
            count += 1
    return count / (time.perf_counter() - start)


def _memory() -> float:
    """MiB of this process and its children, without the pages of mapped files."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        processes = [os.getpid(), *map(int, file.read().split())]
    total = 0
    for process in processes:
        with open(f"/proc/{process}/status") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
    return total / 1024


def measure_converter(folder: str) -> tuple[float, float, float]:
    """Images/s of the converter, with a worker for each core this process may use; MiB after a quarter, at the end."""
    import colorgan_tf.records  # noqa: F401  (imports TensorFlow)
    from data.conversion import Settings, convert
    from data.lsun import LsunSource
    from data.shards import Workspace

    source = LsunSource(folder)
    settings = Settings("lsun", "bedroom", SIZE, 0, 0.01, 0, 0.0, 100)
    memory: list[tuple[int, float]] = []

    def on_progress(progress):
        if len(memory) * progress.total < 4 * progress.done:  # at 0, 25, 50, 75 and 100 per cent
            memory.append((progress.done, _memory()))

    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        info = convert(source, settings, Workspace(os.path.join(out, "data"), False), cores, on_progress)
        speed = sum(map(info.count, info.splits)) / (time.perf_counter() - start)
    return speed, memory[1][1], memory[-1][1]


def _run(what: str, cores: int, folder: str) -> list[float]:
    cpus = ",".join(map(str, sorted(os.sched_getaffinity(0))[:cores]))
    command = ["taskset", "-c", cpus, sys.executable, "-m", "bench.convert", f"--measure={what}", f"--lmdb={folder}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


def main(argv: list[str]) -> int:
    if FLAGS.measure:
        print(*((measure_loop(FLAGS.lmdb),) if FLAGS.measure == "loop" else measure_converter(FLAGS.lmdb)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        size = write_lmdb(folder, FLAGS.images)
        print(f"{FLAGS.images} photos of 341 x 256, WebP, {size / 1024:.1f} KiB each; load {os.getloadavg()[0]:.1f}")
        rows: dict[tuple[str, int], list[float]] = {}
        memory: dict[int, list[float]] = {}
        cores = [n for n in TARGETS if n <= len(os.sched_getaffinity(0))]
        for _ in range(FLAGS.rounds):
            for what, n in [("loop", 1), *(("converter", n) for n in cores)]:
                speed, *memory[n] = _run(what, n, folder)
                rows.setdefault((what, n), []).append(speed)
    loop = statistics.median(rows["loop", 1])
    print(f"plain loop          {loop:6.0f} images/s  {[round(x) for x in rows['loop', 1]]}")
    missed = False
    for n in cores:
        speed = statistics.median(rows["converter", n])
        print(f"converter, {n} core(s) {speed:6.0f} images/s  {[round(x) for x in rows['converter', n]]}", end="")
        print(f"  ratio {speed / loop:.2f}, wanted {TARGETS[n]}", end="")
        print(f"; {memory[n][0]:.0f} MiB after a quarter, {memory[n][1]:.0f} MiB at the end")
        missed |= speed / loop < TARGETS[n]
    return int(missed)


if __name__ == "__main__":
    app.run(main)
