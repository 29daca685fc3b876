"""Our training step beside PyTorch's: the same networks, the same algorithm, one table.

    python -m bench.train_peers --peers=.venv-peers/bin/python                about 6 minutes on two cores

Interleaved: in every round each side makes its iterations in turn. Ratios are medians of the rounds' ratios. `cpu`
columns count processor time instead of the clock, which a busy machine disturbs less.
"""

import os
import statistics
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags

PEERS = flags.DEFINE_string("peers", "", "Python of the peers' environment; empty: ours and the matmul rate only.")
PRECISIONS = flags.DEFINE_list("precisions", ["float32", "bfloat16"], "float32, bfloat16.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Photos in a minibatch.", lower_bound=2)
ROUNDS = flags.DEFINE_integer("rounds", 5, "Interleaved rounds.", lower_bound=1)
STEPS = flags.DEFINE_integer("steps", 1, "Iterations of each side in a round.", lower_bound=1)
COMPILED = flags.DEFINE_bool("compiled", True, "Also torch.compile, whose first iteration takes minutes.")

GFLOP = 18.5  # an image's share of an iteration, as bench.train_step counts it
MATRIX = 2048
WIDTHS = ("14.1f", "10.2f", "11.2f") * 2  # of the table's columns


def main(argv):
    del argv
    from bench.peers.protocol import Worker

    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", "train_worker.py")
    for precision in PRECISIONS.value:
        workers = {
            "ours": Worker("ours", [sys.executable, script, "ours", precision]),
            "matmul": Worker("matmul", [sys.executable, script, "matmul", precision]),
        }
        for name in ("torch", "torch_compiled") if PEERS.value else ():
            if COMPILED.value or name == "torch":
                workers[name] = Worker(name, [PEERS.value, script, name, precision])
        clock, processor = {name: [] for name in workers}, {name: [] for name in workers}
        for turn in range(ROUNDS.value + 1):  # the first warms up
            for name, worker in list(workers.items()):
                size, count = (MATRIX, 4) if name == "matmul" else (BATCH_SIZE.value, STEPS.value if turn else 1)
                try:
                    seconds, _ = worker.run(size, count)
                except RuntimeError as error:
                    print(f"left out: {error}")
                    del workers[name], clock[name], processor[name]
                    continue
                if turn:
                    clock[name].append(statistics.median(run[0] for run in seconds))
                    processor[name].append(statistics.median(run[1] for run in seconds))
        for worker in workers.values():
            worker.close()
        report(precision, clock, processor)


def report(precision, clock, processor):
    """Prints one table."""
    print(f"\n{precision}, batch {BATCH_SIZE.value}")
    head = f"{'images/s':>14}{'/ matmul':>10}{'ours / it':>11}"
    print(f"{'':16}{head}{head}\n{'':16}{'by the clock':>14}{'':21}{'cpu':>14}")
    for name in clock:
        if name == "matmul":
            continue
        columns = []
        for times, cores in ((clock, 1), (processor, os.cpu_count() or 1)):
            seconds = times[name]
            rate = [
                GFLOP * BATCH_SIZE.value / s * m / (2 * MATRIX**3 / 1e9)
                for s, m in zip(seconds, times["matmul"], strict=True)
            ]
            ratio = [s / o for s, o in zip(seconds, times["ours"], strict=True)]
            columns += [
                cores * BATCH_SIZE.value / statistics.median(seconds),
                statistics.median(rate),
                statistics.median(ratio),
            ]
        print(f"{name:16}" + "".join(f"{value:{width}}" for value, width in zip(columns, WIDTHS, strict=True)))


if __name__ == "__main__":
    app.run(main)
