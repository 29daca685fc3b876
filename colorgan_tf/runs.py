"""A run directory: held by one process that trains there, and read from outside, the generator without the training."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator

import keras
import tensorflow as tf

from colorgan_tf.checkpoints import list_checkpoints, read_manifest
from colorgan_tf.models import ModelSettings, build_generator

_logger = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"
FLAGS_FILE = "flags.txt"  # a flagfile that repeats the run


@contextlib.contextmanager
def held(run_dir: str) -> Iterator[None]:
    """Makes the directory and keeps other trainings out of it; OSError in one line where there is one, or no making it.

    Two would take away each other's half-written checkpoints and logs. The system lets go when the process ends.
    """
    try:
        os.makedirs(run_dir, exist_ok=True)
        lock = os.open(os.path.join(run_dir, ".lock"), os.O_CREAT | os.O_RDWR)
    except OSError as error:
        raise OSError(f"--run_dir={run_dir}: cannot make this directory, or write there ({error.strerror})") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"--run_dir={run_dir}: another training is writing there") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(lock)


def write_flags(run_dir: str, text: str) -> None:
    """`FLAGS_FILE`, whole or not at all; OSError in one line where it cannot be written.

    Where the run goes on with other flags than it had, a warning says which.
    """
    path = os.path.join(run_dir, FLAGS_FILE)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            changed = sorted(set(text.splitlines()) - set(file.read().splitlines()))
        if changed:
            _logger.warning("%s: the run goes on with other flags than before: %s", run_dir, " ".join(changed))
    try:
        with open(path + ".partial", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".partial", path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(path + ".partial")
        raise OSError(f"{path}: cannot write it ({error.strerror})") from None


def load_generator(run_dir: str, step: int | None = None, ema: bool | None = None):
    """(generator, settings, step) of a run: a float32 Keras model with inputs [gray, noise], in [-1, 1] throughout.

    step: which checkpoint; None is the newest sound one. ema: the averaged weights or the raw ones; None is the
    averaged ones where the run kept them. ValueError in one line where there is no such thing.
    """
    directory = os.path.join(run_dir, CHECKPOINTS)
    found = list_checkpoints(directory)
    if not found:
        raise ValueError(f"{run_dir}: no checkpoints there; expected a run directory of train.py")
    if step is not None:
        found = [(s, path) for s, path in found if s == step]
        if not found:
            raise ValueError(f"{directory}: no checkpoint of step {step}")
    problems = []
    for _, path in reversed(found):
        try:
            manifest = read_manifest(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        for problem in problems:
            _logger.warning("%s; taking the one before", problem)
        break
    else:
        raise ValueError(problems[0])
    if ema and not manifest["ema"]:
        raise ValueError(f"{path}: the run kept no averaged weights (--ema_decay)")
    settings = ModelSettings(**manifest["model"])

    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("float32")  # weights are stored in float32 whatever they were trained in
    try:
        generator = build_generator(settings)
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    name = "ema_generator" if (manifest["ema"] if ema is None else ema) else "generator"
    status = tf.train.Checkpoint(**{name: generator}).read(os.path.join(path, "checkpoint"))
    status.assert_existing_objects_matched().expect_partial()
    return generator, settings, manifest["step"]
