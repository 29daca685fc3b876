"""A run directory, read from outside: the trained generator without the training."""

import os

import keras
import tensorflow as tf

from colorgan_tf.checkpoints import list_checkpoints, read_manifest
from colorgan_tf.models import ModelSettings, build_generator

CHECKPOINTS = "checkpoints"


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
