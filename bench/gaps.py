"""Where the time of one inference goes: inside which operations, and between them.

    python -m bench.gaps --precision=bfloat16 --batch=1                       a minute, on an idle machine

The paper's generator as exported, in the C++ session, with TensorFlow's own trace of every operation. "Between" is time
in which no operation ran: the executor handing the next one to a thread that slept.
"""

import collections
import os
import statistics
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

PRECISION = flags.DEFINE_enum("precision", "bfloat16", ["float32", "bfloat16"], "Of the export.")
BATCH = flags.DEFINE_integer("batch", 1, "Pictures.", lower_bound=1)
RUNS = flags.DEFINE_integer("runs", 200, "Traced runs, after as many that only warm up.", lower_bound=1)

_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile")  # they contain the others


def union(intervals) -> float:
    """The length covered by (start, end) pairs."""
    covered, reached = 0, float("-inf")
    for start, end in sorted(intervals):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    import numpy as np
    import tensorflow as tf

    from bench.inference import as_trained
    from colorgan_tf import serving
    from colorgan_tf.models import ModelSettings, build_generator

    v1, settings = tf.compat.v1, ModelSettings()
    with tempfile.TemporaryDirectory() as folder:
        options = serving.Options(precision=PRECISION.value)
        description = serving.describe(settings, 0, "bench")
        path = serving.save(as_trained(build_generator(settings)), settings, description, folder, options)
        with v1.Session(graph=tf.Graph()) as session:
            meta = v1.saved_model.load(session, ["serve"], path)
            signature = meta.signature_def["serving_default"]
            rng, side = np.random.default_rng(0), settings.image_size
            feed = {
                signature.inputs["gray"].name: rng.uniform(0, 1, (BATCH.value, side, side, 1)),
                signature.inputs["noise"].name: rng.uniform(-1, 1, (BATCH.value, settings.noise_size)),
            }
            fetch, trace = signature.outputs["rgb"].name, v1.RunOptions(trace_level=v1.RunOptions.SOFTWARE_TRACE)
            for _ in range(RUNS.value):
                session.run(fetch, feed)
            whole, busy, counts, kinds = [], [], [], collections.Counter()
            for _ in range(RUNS.value):
                metadata = v1.RunMetadata()
                session.run(fetch, feed, options=trace, run_metadata=metadata)
                ops = [
                    (node.timeline_label.split(" = ")[-1].split("(")[0], node.all_start_micros, node.op_end_rel_micros)
                    for device in metadata.step_stats.dev_stats
                    for node in device.node_stats
                ]
                ops = [(kind, start, start + length) for kind, start, length in ops if kind not in _CALLS]
                whole.append(max(end for *_, end in ops) - min(start for _, start, _ in ops))
                busy.append(union((start, end) for _, start, end in ops))
                counts.append(len(ops))
                for kind, start, end in ops:
                    kinds[kind] += end - start
    median, inside = statistics.median(whole), statistics.median(busy)
    print(f"{PRECISION.value}, batch {BATCH.value}: {median / 1e3:.2f} ms a run (median of {RUNS.value})")
    print(f"{counts[-1]} operations; between them {(median - inside) / 1e3:.2f} ms, {1 - inside / median:.1%}")
    for kind, micros in kinds.most_common(8):
        print(f"{kind:30}{micros / RUNS.value / 1e3:8.2f} ms {micros / sum(kinds.values()):6.1%}")


if __name__ == "__main__":
    app.run(main)
