"""colorize.py's throughput over the parts nobody can avoid: decoding, encoding, and the generator's arithmetic.

    python -m bench.colorize --model=exports/colorgan --photos=500

Draws photos of 2 megapixels (JPEG), colours the folder, and compares with the time that the same decoding, the same
encoding and the generator's multiplications at the rate of a large matrix product take alone. Prints where the rest
goes. On a machine that does other things too, compare processor time: it is counted beside the time on the clock.
"""

import math
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from PIL import Image

MODEL = flags.DEFINE_string("model", None, "Export to use; colorize.py's default without it.")
PHOTOS = flags.DEFINE_integer("photos", 500, "How many photos.", 1)
N = flags.DEFINE_integer("n", 4, "Colourings of each.", 1)
FORMAT = flags.DEFINE_enum("format", "png", ["png", "jpeg", "webp"], "Of the colourings.")

SIZE = (1632, 1224)
SAMPLE = 8  # photos by which the parts are timed
DRAWS = 16


class Clock:
    """Seconds on the clock and of the processor, this process with all its threads."""

    def __enter__(self):
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def draw_photos(folder: str, count: int) -> list[str]:
    """Drawn rooms, enlarged, with grain like a camera's."""
    from data.rooms import draw_room

    paths = []
    for i in range(count):
        path = os.path.join(folder, f"{i:04d}.jpg")
        if i >= SAMPLE:  # the content changes nothing; drawing would take longer than colouring
            os.link(paths[i % SAMPLE], path)
        else:
            room = Image.fromarray(draw_room(i, 3, 256).rgb).resize(SIZE, Image.Resampling.BICUBIC)
            grain = np.random.default_rng(i).normal(scale=3, size=(SIZE[1], SIZE[0], 1))
            Image.fromarray(np.uint8(np.clip(np.asarray(room) + grain, 0, 255))).save(path, quality=90)
        paths.append(path)
    return paths


def run_program(inputs: list[str], output: str) -> tuple[float, float]:
    """(seconds on the clock, of the processor) of the program on these inputs."""
    program = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "colorize.py")
    command = [sys.executable, program, *inputs, f"--output={output}", f"--n={N.value}", f"--draws={DRAWS}"]
    command += [f"--format={FORMAT.value}"] + ([f"--model={MODEL.value}"] if MODEL.value else [])
    start = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"bench.colorize: colorize.py failed: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime


def matmul_seconds() -> Clock:
    """Per floating-point operation, in a product of matrices of 2048."""
    import tensorflow as tf

    a = tf.random.normal([2048, 2048])
    for _ in range(3):
        tf.matmul(a, a).numpy()
    with Clock() as clock:
        for _ in range(10):
            tf.matmul(a, a).numpy()
    operations = 10 * 2 * 2048**3
    clock.wall, clock.cpu = clock.wall / operations, clock.cpu / operations
    return clock


def operations(generator, height: int, width: int) -> float:
    """Multiplications and additions of one colouring's convolutions, run once to see their sizes."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    @tf.function
    def color_one():
        gray, noise = tf.zeros([1, height, width, 1]), tf.zeros([1, generator.noise_size])
        return generator._signature(gray=gray, noise=noise)["chroma"]

    graph = convert_variables_to_constants_v2(color_one.get_concrete_function()).graph
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True  # which would fold it all into a constant
    config.graph_options.optimizer_options.opt_level = -1
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    trace = tf.compat.v1.RunMetadata()
    with tf.compat.v1.Session(graph=graph, config=config) as session:
        session.run(graph.outputs, options=options, run_metadata=trace)
    ran = {node.node_name: node for device in trace.step_stats.dev_stats for node in device.node_stats}
    total = 0.0
    for conv in graph.get_operations():
        if conv.type == "Conv2D":
            # Where oneDNN took a conv and the sum behind it together, they ran under the sum's name.
            name = next(op.name for op in (conv, *conv.outputs[0].consumers()) if op.name in ran)
            output = [axis.size for axis in ran[name].output[0].tensor_description.shape.dim]
            total += 2.0 * math.prod(conv.inputs[1].shape[:3]) * math.prod(output)
    return total


def main(argv):
    del argv
    from colorgan_tf import outputs, photos
    from colorgan_tf.colorizer import CHOOSING, PAINTING, Colorizer, render

    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.join(work, "in")
        os.mkdir(folder)
        paths = draw_photos(folder, PHOTOS.value)
        colorizer = Colorizer(MODEL.value)
        generator = colorizer.generator
        colorizer.propose(photos.read_photo(paths[0]), N.value, draws=DRAWS)  # the first call is slower
        stages = dict.fromkeys(["decode", "luminance", "generator and choice", "full size", "encode", "sheet"], 0.0)
        sample = paths[: min(SAMPLE, len(paths))]
        for path in sample:
            with Clock() as decode:
                Image.open(path).load()
            with Clock() as read:
                photo = photos.read_photo(path)
            with Clock() as propose:
                colorings = colorizer.propose(photo, N.value, draws=DRAWS)
            with Clock() as full:
                images = [render(photo, coloring) for coloring in colorings]
            with Clock() as encode:
                for image in images:
                    outputs.save(image, os.path.join(work, "encoded"), FORMAT.value, photo)
            with Clock() as sheets:
                sheet = outputs.contact_sheet(photo, colorings)
                outputs.save(sheet, os.path.join(work, "encoded"), "png", photo)
            for name, clock in zip(stages, (decode, read, propose, full, encode, sheets), strict=True):
                stages[name] += clock.cpu / len(sample)
        stages["luminance"] -= stages["decode"]
        sizes = [colorizer._size(photo, scale) for scale in (CHOOSING, PAINTING)]
        flop = DRAWS * operations(generator, *sizes[0]) + N.value * operations(generator, *sizes[1])
        rate = matmul_seconds()

        wall_start, cpu_start = run_program(paths[:1], os.path.join(work, "one"))
        wall, cpu = run_program([folder], os.path.join(work, "all"))

    count = PHOTOS.value
    floor_cpu = count * (stages["decode"] + stages["encode"] + flop * rate.cpu)
    floor_wall = count * ((stages["decode"] + stages["encode"]) / cores + flop * rate.wall)
    print(f"{count} photos of {SIZE[0]} x {SIZE[1]}, {N.value} {FORMAT.value} each, {cores} cores")
    print(f"generator: {flop / 1e9:.0f} GFLOP a photo; matmul {1e-9 / rate.wall:.0f} GFLOP/s on the clock")
    print(f"colorize.py: {wall:.1f} s, {cpu:.1f} s of the processor, {count / wall:.2f} photos/s")
    print(f"  of it start-up and first photo: {wall_start:.1f} s, {cpu_start:.1f} s of the processor")
    print(f"unavoidable: {floor_wall:.1f} s, {floor_cpu:.1f} s of the processor")
    print(f"ratio: {wall / floor_wall:.2f} on the clock, {cpu / floor_cpu:.2f} of the processor")
    print("processor milliseconds a photo:")
    for name, seconds in stages.items():
        print(f"  {name:20s} {1000 * seconds:6.0f}")
    print(f"  {'(matmuls alone)':20s} {1000 * flop * rate.cpu:6.0f}")


if __name__ == "__main__":
    app.run(main)
