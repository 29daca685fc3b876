"""What two processes on one machine cost over one process: time per iteration, and how much of it is all-reduce.

    python -m bench.multi_worker --batch_size=16 --steps=8

Measures, one after the other: one process with one replica; one process with two replicas on logical CPUs
(MirroredStrategy); two processes that know nothing of each other, with half of the batch each, which is the computing
that two processes cannot do without; and two processes on loopback (MultiWorkerMirroredStrategy). All have the paper's
networks and the same number of images in all, and, where replicas know of each other, synchronized batch norm. Then
the collectives of an iteration are run alone: gradients of both networks, and mean and variance of every batch norm in
every pass, forwards and backwards.

All have the same processor, so no speed-up is to be expected of two; the difference is what distribution costs. On a
machine with other work to do, processor time says more than the clock; that of two processes is of each of them.
"""

import json
import os
import socket
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Of all replicas together, even.", lower_bound=2)
IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Of the pictures.", lower_bound=16)
STEPS = flags.DEFINE_integer("steps", 8, "Iterations timed, after two that are not.", lower_bound=1)
MODES = ("one", "mirrored", "apart", "two")
MODE = flags.DEFINE_enum("mode", None, MODES, "Measure this one here; all of them if not given.")


def measure(mode: str) -> dict:
    """Seconds an iteration, and seconds of its collectives alone, in this process."""
    import keras
    import tensorflow as tf

    from colorgan_tf.models import ModelSettings
    from colorgan_tf.training import TrainingSettings, build, make_team

    team = make_team("multi_worker" if mode == "two" else "auto", 2 if mode == "mirrored" else 1)
    strategy, replicas = team.strategy, team.strategy.num_replicas_in_sync
    keras.utils.set_random_seed(0)
    with strategy.scope():
        settings = ModelSettings(image_size=IMAGE_SIZE.value, synchronized_bn=replicas > 1)
        gan = build(TrainingSettings(data="", run_dir="", steps=1), settings)
    parts = 1 if mode == "one" else 2
    shape = [BATCH_SIZE.value // parts, 2, IMAGE_SIZE.value, IMAGE_SIZE.value, 3]
    batch = strategy.experimental_distribute_values_from_function(lambda _: tf.zeros(shape, tf.uint8))

    @tf.function
    def step():
        return strategy.run(gan.train_step, args=(batch,))

    def statistics(network):
        norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
        return [tf.zeros([2 * layer.gamma.shape[0]]) for layer in norms]

    @tf.function
    def collectives():
        def on_replica():
            context = tf.distribute.get_replica_context()
            for network, passes in ((gan.generator, 2 + 1), (gan.discriminator, 3 + 3)):  # forwards + backwards
                for _ in range(passes):
                    for values in statistics(network):
                        context.all_reduce(tf.distribute.ReduceOp.SUM, values)
                context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.zeros(w.shape) for w in network.trainable_variables])

        strategy.run(on_replica)

    def seconds(call) -> list[float]:
        """Of the clock and of this process's processor time, a call; the median over calls for other work's sake."""
        call(), call()
        spent = []
        for _ in range(STEPS.value):
            began = time.perf_counter(), time.process_time()
            call()
            spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        return [round(sorted(values)[len(values) // 2], 4) for values in zip(*spent, strict=True)]

    figures = {"mode": mode, "step_s_and_cpu_s": seconds(step)}
    if replicas > 1:
        figures["collectives_s_and_cpu_s"] = seconds(collectives)
    team.total(0)
    return figures


def measured_elsewhere(mode: str) -> dict:
    """The figures of a process of its own; of the chief where there are two."""
    command = [sys.executable, "-m", "bench.multi_worker", f"--mode={mode}"]
    command += [f"--{name}={flags.FLAGS[name].value}" for name in ("batch_size", "image_size", "steps")]
    configs = [None] * (2 if mode == "apart" else 1)
    if mode == "two":
        free = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in free]}
        for one in free:
            one.close()
        configs = [json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}}) for i in range(2)]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | ({"TF_CONFIG": config} if config else {}),
        )
        for config in configs
    ]
    outputs = [process.communicate()[0] for process in processes]
    failed = [process.args for process in processes if process.returncode]
    if failed:
        raise SystemExit(f"bench.multi_worker: mode {mode} failed; run it alone to see why: {' '.join(failed[0])}")
    return json.loads(outputs[0].splitlines()[-1])


def main(argv):
    if MODE.value:
        print(json.dumps(measure(MODE.value)))
        return
    for mode in MODES:
        print(json.dumps(measured_elsewhere(mode) | {"load_average": round(os.getloadavg()[0], 1)}), flush=True)


if __name__ == "__main__":
    app.run(main)
