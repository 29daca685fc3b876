"""The generator in every runtime, side by side: one command, one table.

    python -m venv .venv-peers && .venv-peers/bin/pip install -r bench/peers/requirements.txt
    python -m bench.inference --peers=.venv-peers/bin/python                  about 5 minutes on two cores

The paper's generator at 64 x 64, the same weights everywhere, gray and noise in, RGB out. In every round each runtime
runs in turn; the table has medians over the rounds, and for ratios the median of the rounds' ratios, since only what
ran within the same seconds compares. `cpu` is images per second of processor time times the cores: what a busy machine
still measures fairly, though not for runtimes whose threads spin while they wait.
"""

import os
import statistics
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

PEERS = flags.DEFINE_string("peers", "", "Python of the peers' environment; empty: only this project and the limits.")
BATCHES = flags.DEFINE_list("batches", ["1", "8", "64"], "Batch sizes.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Interleaved rounds.", lower_bound=1)
IMAGES = flags.DEFINE_integer("images", 64, "Images a runtime colours in a round, at least one batch.", lower_bound=1)
PRECISIONS = flags.DEFINE_list("precisions", ["float32", "bfloat16"], "float32, bfloat16.")
FOLDER = flags.DEFINE_string("folder", "", "Keep the exports and weights there, and use them again.")
ONLY = flags.DEFINE_list("only", [], "Names of runtimes to run, with ours; all by default.")

GFLOP = 3.94  # of one image through the paper's generator: 2 x multiply-adds of its convs
MATRIX, COPY = 2048, 256  # rows; MiB
OURS = {"float32": "folded (the export)", "bfloat16": "bfloat16 export"}


def as_trained(generator):
    """The generator with batch norms as after training: fresh ones would fold into biases of zero, which vanish."""
    import numpy as np

    rng = np.random.default_rng(0)
    for layer in generator.layers:
        if layer.name.startswith(("bn_", "noise_bn")):
            shape = layer.gamma.shape
            layer.set_weights(
                [rng.normal(1, 0.2, shape), rng.normal(0, 0.2, shape), rng.normal(0, 0.1, shape), np.ones(shape)]
            )
    return generator


def prepare(folder):
    """Writes the exports and the weights for the peers."""
    import numpy as np

    from colorgan_tf import formats, serving
    from colorgan_tf.models import ModelSettings, build_generator

    settings = ModelSettings()
    generator = as_trained(build_generator(settings))
    description = serving.describe(settings, 0, "bench")
    forms = {"plain": {"fold": False}, "folded": {}, "bfloat16": {"precision": "bfloat16"}}
    for name, options in forms.items():
        path = serving.save(generator, settings, description, os.path.join(folder, name), serving.Options(**options))
        if name == "folded" and PEERS.value:
            formats.write(path, ["tflite", "onnx"], generator, settings)
            for file in formats.FILES.values():
                os.rename(os.path.join(path, file), os.path.join(folder, file))
    weights = {f"{layer.name}/{w.name}": w.numpy() for layer in generator.layers for w in layer.weights}
    np.savez(os.path.join(folder, "weights.npz"), **weights)


def start(precision, folder):
    """name -> Worker of all runtimes of a precision."""
    from bench.peers.protocol import Worker

    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "inference_worker.py")
    ours = [sys.executable, script, "tensorflow"]
    commands = {"matmul": [sys.executable, script, "matmul", precision, folder]}
    if precision == "float32":
        commands["plain graph"] = [*ours, "plain", folder]
        commands[OURS[precision]] = [*ours, "folded", folder]
        commands["copy"] = [sys.executable, script, "copy", precision, folder]
        peers = ["onnxruntime", "openvino", "litert", "torch", "torch_compiled"]
    else:
        commands[OURS[precision]] = [*ours, "bfloat16", folder]
        peers = ["openvino", "torch", "torch_compiled"]
    if PEERS.value:
        commands |= {name: [PEERS.value, script, name, precision, folder] for name in peers}
    keep = {"matmul", "copy", OURS[precision], *ONLY.value}
    return {n: Worker(f"{n} {precision}", c) for n, c in commands.items() if not ONLY.value or n in keep}


def measure(workers, batch, problems):
    """name -> list over rounds of lists of (wall, processor) seconds a run."""
    times = {name: [] for name in workers}
    values = {}
    sizes = {"matmul": (MATRIX, 2), "copy": (COPY, 2)}
    for turn in range(ROUNDS.value + 1):  # the first warms up
        for name, worker in workers.items():
            if name in problems:
                continue
            size, count = sizes.get(name, (batch, max(1, IMAGES.value // batch)))
            try:
                seconds, value = worker.run(size, count if turn else 1)
            except RuntimeError as error:
                problems[name] = str(error)
                continue
            if turn:
                times[name].append(seconds)
                values[name] = value
    pictures = {name: value for name, value in values.items() if name not in sizes}
    if max(pictures.values()) - min(pictures.values()) > 2e-3:
        problems["check"] = f"the runtimes' pictures differ: {pictures}"
    return times


def report(times, precision, batch):
    """Prints one table."""
    wall = {n: [statistics.median(run[0] for run in turn) for turn in t] for n, t in times.items() if t}
    processor = {n: [statistics.median(run[1] for run in turn) for turn in t] for n, t in times.items() if t}
    matmul = [2 * MATRIX**3 / seconds / 1e9 for seconds in wall["matmul"]]
    ours = wall[OURS[precision]]
    print(f"\n{precision}, batch {batch}: matmul {statistics.median(matmul):.0f} GFLOP/s", end="")
    if "copy" in wall:
        print(f", copy {2 * COPY / 1024 / statistics.median(wall['copy']):.1f} GiB/s read and written", end="")
    print(f"\n{'runtime':22}{'images/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'/ matmul':>10}{'ours / it':>10}{'cpu':>8}")
    for name, seconds in wall.items():
        if name in ("matmul", "copy"):
            continue
        runs = sorted(run[0] for turn in times[name] for run in turn)
        fraction = statistics.median(GFLOP * batch / s / m for s, m in zip(seconds, matmul, strict=False))
        ratio = statistics.median(s / o for s, o in zip(seconds, ours, strict=False))
        cpu = (os.cpu_count() or 1) * batch / statistics.median(processor[name])
        print(
            f"{name:22}{batch / statistics.median(seconds):9.1f}{1e3 * statistics.median(runs):8.1f}"
            f"{1e3 * runs[min(len(runs) - 1, int(0.99 * len(runs)))]:8.1f}{fraction:10.2f}{ratio:10.2f}{cpu:8.1f}"
        )
    best = min(
        (n for n in wall if n not in ("matmul", "copy", "plain graph", OURS[precision])),
        default=None,
        key=lambda n: statistics.median(wall[n]),
    )
    if best:
        print(f"best peer: {best}")


def main(argv):
    del argv
    logging.set_verbosity(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        folder = FOLDER.value or scratch
        if not os.path.exists(os.path.join(folder, "weights.npz")):
            prepare(folder)
        for precision in PRECISIONS.value:
            problems = {}
            workers = start(precision, folder)
            try:
                for batch in BATCHES.value:
                    report(measure(workers, int(batch), problems), precision, int(batch))
            finally:
                for worker in workers.values():
                    worker.close()
            for name, problem in problems.items():
                print(f"left out: {name}: {problem}")


if __name__ == "__main__":
    app.run(main)
