"""Kills trainings at random moments and looks whether they end as if nothing had happened.

    python tests/chaos.py --runs=50 --work=/tmp/chaos

Every run is a tiny training in a process of its own. It is killed with SIGKILL, half of the time at a random moment of
its life and half of the time inside the writing of a checkpoint, and the same command is given again, until it ends by
itself. Its last checkpoint must then hold the same bytes as that of a run nobody disturbed, and nothing half-written
may lie about. The processes are forked off one that has TensorFlow loaded already, to save time.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.dirname(sys.path[0]))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf
from absl import flags
from conftest import write_dataset

import train
from colorgan_tf import checkpoints, training  # noqa: F401  loaded before the forks

STEPS = 12
FLAGS = f"""--deterministic --image_size=16 --noise_size=6 --generator_filters=4,4,4,4,4 --discriminator_filters=4
    --batch_size=4 --steps={STEPS} --log_every=1 --sample_every=4 --sample_photos=2 --sample_colorings=2
    --checkpoint_every=2 --ema_decay=0.9 --augmentation=flip_crop""".split()
KILLS_A_RUN = 3  # at most


class KillInSave:
    """Counts the calls that writing a checkpoint consists of, and ends the process at the chosen one."""

    def __init__(self, at: int | None, report: str | None = None):
        """at: number of the call; None only counts, into the file `report`."""
        self.at, self.report, self.calls = at, report, 0
        for owner, name in (
            (checkpoints, "_sync"),
            (checkpoints, "_sha256"),
            (checkpoints, "_remove"),
            (checkpoints.json, "dump"),
            (checkpoints.os, "rename"),
            (checkpoints.os, "mkdir"),
            (tf.train.Checkpoint, "write"),
        ):
            setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, call):
        def wrapper(*args, **kwargs):
            self.count()
            result = call(*args, **kwargs)
            self.count()
            return result

        return wrapper

    def count(self):
        self.calls += 1
        if self.report:
            pathlib.Path(self.report).write_text(str(self.calls))
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def start(data: str, run_dir: pathlib.Path, at: int | None = None, report: str | None = None) -> int:
    """Forks a training off and gives back its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        log = os.open(f"{run_dir}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if at or report:
            KillInSave(at, report)
        flags.FLAGS(["train.py", f"--data={data}", f"--run_dir={run_dir}", *FLAGS])
        status = train.main(["train.py"])
    finally:
        sys.stdout.flush()
        os._exit(status)


def finish(child: int) -> int:
    """Waits for a process: its exit status, or -9 where it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def last_weights(run_dir: pathlib.Path) -> str:
    """SHA-256 of all weights, moments and counters in the run's last checkpoint."""
    path = run_dir / "checkpoints" / f"step-{STEPS:08d}"
    return json.loads((path / "manifest.json").read_text())["sha256"]["checkpoint.data-00000-of-00001"]


def disturb(data: str, run_dir: pathlib.Path, seconds: float, calls: int, rng: random.Random) -> dict:
    """One run, killed up to KILLS_A_RUN times and resumed until done: {"anywhere": kills, "in_save": kills}."""
    kills = {"anywhere": 0, "in_save": 0}
    for attempt in range(KILLS_A_RUN + 1):
        last = attempt == KILLS_A_RUN or (attempt > 0 and rng.random() < 0.5)
        in_save = not last and rng.random() < 0.5
        child = start(data, run_dir, at=rng.randint(1, calls) if in_save else None)
        if not last and not in_save:
            time.sleep(rng.uniform(0.0, seconds))
            os.kill(child, signal.SIGKILL)
        status = finish(child)
        if status == -signal.SIGKILL:
            kills["in_save" if in_save else "anywhere"] += 1
        elif status == 0:
            return kills
        else:
            raise AssertionError(f"{run_dir}: exit status {status}, see {run_dir}.log")
    raise AssertionError(f"{run_dir}: never came to an end")


def chaos(runs: int, work: pathlib.Path, seed: int = 0, report=lambda line: None) -> dict:
    """The figures of `runs` disturbed runs; AssertionError where one differs from the undisturbed run."""
    work.mkdir(parents=True, exist_ok=True)
    data = write_dataset(work / "data")
    began = time.monotonic()
    calls_file = work / "calls"
    assert finish(start(data, work / "undisturbed", report=str(calls_file))) == 0
    seconds, calls = time.monotonic() - began, int(calls_file.read_text())
    expected = last_weights(work / "undisturbed")
    rng = random.Random(seed)
    total = {"runs": 0, "anywhere": 0, "in_save": 0, "seconds_undisturbed": round(seconds, 1), "calls": calls}
    while total["runs"] < runs:
        run_dir = work / f"run-{total['runs']:02d}"
        kills = disturb(data, run_dir, seconds, calls, rng)
        if not sum(kills.values()):  # it was faster than its killer; that proves nothing
            shutil.rmtree(run_dir)
            continue
        assert last_weights(run_dir) == expected, f"{run_dir}: other weights than the undisturbed run"
        leftovers = [str(path) for path in run_dir.rglob("*.partial*")]
        assert not leftovers, f"half-written files: {leftovers}"
        total["runs"] += 1
        total["anywhere"] += kills["anywhere"]
        total["in_save"] += kills["in_save"]
        report(f"{run_dir.name}: {kills}, same weights")
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    total = chaos(options.runs, options.work, options.seed, lambda line: print(line, flush=True))
    print(json.dumps(total | {"minutes": round((time.monotonic() - began) / 60, 1)}))


if __name__ == "__main__":
    main()
