"""The runs: each variant with each seed is one `train.py`, which goes on from its last checkpoint by itself."""

import os
import subprocess
import sys
from collections.abc import Sequence

from colorgan_tf.checkpoints import list_checkpoints
from colorgan_tf.runs import CHECKPOINTS
from miniature.plan import Stopped, Variant

MINI_FLAGS = "configs/paper_mini.flags"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # flagfiles name one another from here
_STOPPED = 75  # train.py's exit status after Ctrl-C


def run_dir(work: str, variant: Variant, seed: int) -> str:
    """Where a run lies."""
    return os.path.join(work, "runs", f"{variant.name}-seed{seed}")


def command(variant: Variant, seed: int, steps: int, data: str, work: str, flagfiles: Sequence[str] = ()) -> list[str]:
    """The command line of a run. flagfiles: given after the miniature's own."""
    files = [variant.flagfile, MINI_FLAGS, *flagfiles]
    return [
        sys.executable,
        os.path.join(ROOT, "train.py"),
        *(f"--flagfile={file}" for file in files),
        *variant.flags,
        f"--steps={steps * variant.iterations}",
        f"--seed={seed}",
        f"--data={os.path.abspath(data)}",
        f"--run_dir={os.path.abspath(run_dir(work, variant, seed))}",
    ]


def finished(work: str, variant: Variant, seed: int, steps: int) -> bool:
    """Whether the run has taken all of its steps."""
    found = list_checkpoints(os.path.join(run_dir(work, variant, seed), CHECKPOINTS))
    return bool(found) and found[-1][0] >= steps * variant.iterations


def run(arguments: Sequence[str], log: str) -> None:
    """Runs one command to its end, its progress on our stdout and its complaints in the file `log`.

    Stopped after Ctrl-C; ValueError in one line where it failed. The child never outlives us.
    """
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "w", encoding="utf-8") as file:
        child = subprocess.Popen(arguments, cwd=ROOT, stderr=file)
        try:
            status = child.wait()
        except BaseException:
            child.terminate()
            child.wait()
            raise
    if status == _STOPPED:
        raise Stopped
    if status:
        with open(log, encoding="utf-8", errors="replace") as file:
            last = (file.read().strip().splitlines() or [f"exit status {status}"])[-1]
        raise ValueError(f"{log}: {' '.join(arguments[1:3])} failed ({last})")
