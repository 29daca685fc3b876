"""Several machines that train one model: who they are, what they agree on, and how the loss of one is told."""

import json
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable

import tensorflow as tf

from colorgan_tf.failures import StoppedWaiting, WorkerLost
from colorgan_tf.gan import ColorGAN

_REPORT_AFTER, _REPORT_EVERY = 15.0, 60.0  # seconds of waiting
_logger = logging.getLogger(__name__)


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


def multi_worker(should_stop: Callable[[], bool] = lambda: False) -> Team:
    """MultiWorkerMirroredStrategy over the workers of TF_CONFIG; ValueError in one line where that cannot be.

    Waits until all workers are there, or should_stop() says to give up: StoppedWaiting. TensorFlow must not have been
    used before in this process.
    """
    addresses, index = read_tf_config()
    _wait_for_all(addresses, index, should_stop)
    on_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    if on_main_thread and before is not None:
        signal.signal(signal.SIGTERM, before)  # TensorFlow has put a handler of its own in place, which ends nothing
    return Team(strategy, addresses, index)


def _wait_for_all(addresses: tuple[str, ...], index: int, should_stop: Callable[[], bool]):
    """Until every worker listens at its port, as this one does meanwhile.

    TensorFlow would wait as well, but deaf to signals and without a word.
    """
    port = int(addresses[index].rpartition(":")[2])
    dual = socket.has_dualstack_ipv6()
    try:
        door = socket.create_server(
            ("", port), family=socket.AF_INET6 if dual else socket.AF_INET, dualstack_ipv6=dual, backlog=1024
        )
    except OSError as error:
        raise ValueError(f"TF_CONFIG: cannot listen at port {port} of {addresses[index]} ({error.strerror})") from None
    missing = [i for i in range(len(addresses)) if i != index]
    report = time.monotonic() + _REPORT_AFTER
    with door:
        while missing := [i for i in missing if not _answers(addresses[i])]:
            names = ", ".join(f"worker {i} ({addresses[i]})" for i in missing[:5])
            names += ", ..." if len(missing) > 5 else ""
            if should_stop():
                raise StoppedWaiting(f"stopped while waiting for {names}; nothing was trained")
            if time.monotonic() > report:
                _logger.warning("waiting for %s", names)
                report = time.monotonic() + _REPORT_EVERY
            time.sleep(0.2)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
        return True
    except OSError:  # its name may not be known yet either
        return False


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
        for address in addresses:
            port = re.fullmatch(r".+:(\d{1,5})", address)
            if not port or not 0 < int(port[1]) < 65536:
                raise ValueError(f"{address!r} is not host:port")
    except json.JSONDecodeError as error:
        raise ValueError(f"TF_CONFIG: not JSON ({error}); expected something like {example}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"TF_CONFIG: {_words(error):.200}; expected something like {example}") from None
    return addresses, index


def _words(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
