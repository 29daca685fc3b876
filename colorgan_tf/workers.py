"""Several machines that train one model: who they are, what they agree on, and how the loss of one is told."""

import json
import os
import re

import tensorflow as tf

from colorgan_tf.failures import WorkerLost
from colorgan_tf.gan import ColorGAN


class Team:
    """The workers of a run: usually this process alone, or those of TF_CONFIG. The chief alone writes files."""

    def __init__(self, strategy: tf.distribute.Strategy, addresses: tuple[str, ...] = (), index: int = 0):
        """addresses: host:port of every worker, the chief's first; none for a run of one process. index: our own."""
        self.strategy = strategy
        self.addresses = addresses
        self.index = index

    @property
    def count(self) -> int:
        return max(1, len(self.addresses))

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def local_replicas(self) -> int:
        return self.strategy.num_replicas_in_sync // self.count

    def total(self, value: int) -> int:
        """The sum of every worker's `value`. All of them have to call it; it waits for the last."""
        if self.count == 1:
            return value
        mine = iter([value] + [0] * (self.local_replicas - 1))  # once a worker, however many replicas it has
        values = self.strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant(next(mine), dtype=tf.int64)
        )
        return int(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None))

    def from_chief(self, value: int) -> int:
        """What the chief has for `value`, known to all."""
        return self.total(value if self.is_chief else 0)

    def lost(self, error: Exception) -> WorkerLost | None:
        """What to tell where `error` comes of another worker's end; None where it does not."""
        text = str(error)
        signs = ("Collective ops is aborted", "CoordinationService", "heartbeat timeout", "failed to connect")
        if self.count == 1 or not any(sign in text for sign in signs):
            return None
        others = {int(task) for task in re.findall(r"task:(\d+)", text)} - {self.index}
        if self.count == 2:
            others = {1 - self.index}
        names = [f"worker {i} ({self.addresses[i]})" for i in sorted(others) if i < self.count]
        return WorkerLost(
            f"{', '.join(names) or 'another worker'} is lost; "
            "the same commands on all workers go on from the last checkpoint"
        )


class MultiWorkerColorGAN(ColorGAN):
    """ColorGAN for `fit` under MultiWorkerMirroredStrategy, with two habits of Keras 3 taken into account."""

    def train_step(self, photos):
        """Keras averages the logs over their first axis, so they need one."""
        return {name: value[None] for name, value in super().train_step(photos).items()}

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Keras would read a batch and average it over the workers, which fails for uint8, to build what is built."""


def multi_worker() -> Team:
    """MultiWorkerMirroredStrategy over the workers of TF_CONFIG; ValueError in one line where that cannot be.

    Waits until all workers are there. TensorFlow must not have been used before in this process.
    """
    addresses, index = read_tf_config()
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Team(strategy, addresses, index)


def read_tf_config() -> tuple[tuple[str, ...], int]:
    """(host:port of every worker, which of them this process is) from TF_CONFIG; ValueError in one line."""
    text = os.environ.get("TF_CONFIG")
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    if not text:
        raise ValueError(f"strategy=multi_worker: TF_CONFIG is not set; expected in it something like {example}")
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        unknown = set(cluster) - {"chief", "worker"}
        if unknown:
            raise ValueError(f"unexpected job {sorted(unknown)[0]}")
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        if len(chiefs) > 1 or len(chiefs) + len(workers) < 1:
            raise ValueError("expected at most one chief and some workers")
        addresses = tuple(chiefs + workers)
        index = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
        if task["type"] not in cluster or not 0 <= int(task["index"]) < len(cluster[task["type"]]):
            raise ValueError(f"task {task['type']} {task['index']} is not in the cluster")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"TF_CONFIG: {error!r:.200}; expected something like {example}") from None
    return addresses, index
