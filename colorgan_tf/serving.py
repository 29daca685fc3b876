"""The generator as a SavedModel that TF Serving loads."""

import json
import os
import shutil

import keras
import tensorflow as tf

from colorgan_tf import color
from colorgan_tf.inference import INFO_FILE
from colorgan_tf.models import ModelSettings


def describe(settings: ModelSettings, step: int, run: str) -> dict:
    """What `colorgan.json` beside an export says: sizes, colour space, and which run and iteration it came from."""
    return {
        "image_size": settings.image_size,
        "noise_size": settings.noise_size,
        "any_size": settings.any_size,
        "color_space": settings.color_space,
        "generator": settings.generator,
        "step": step,
        "run": run,
    }


def save(generator: keras.Model, settings: ModelSettings, description: dict, model_dir: str) -> str:
    """Writes `model_dir`/N/, N one above the highest there, aside first and then renamed; gives back that folder.

    Signature `serving_default`: gray float32 [batch, s, s, 1] in [0, 1] (any height and width if `settings.any_size`)
    and noise float32 [batch, noise_size] in [-1, 1] to rgb [batch, s, s, 3] in [0, 1] and chroma [batch, s, s, 2] in
    [-0.5, 0.5]; batch norm by moving averages. The generator must be float32.
    """
    size = None if settings.any_size else settings.image_size

    def colorize(gray, noise):
        rgb, chroma = color.pictures(gray, generator([color.to_network(gray), noise], training=False))
        return {"rgb": rgb, "chroma": chroma}

    # Not tf.saved_model.save: it writes Keras 3 variables twice, which Python's loader forgives, TF Serving's does not.
    archive = keras.export.ExportArchive()
    archive.track(generator)
    archive.add_endpoint(
        name="serving_default",
        fn=colorize,
        input_signature=[
            tf.TensorSpec([None, size, size, 1], tf.float32, name="gray"),
            tf.TensorSpec([None, settings.noise_size], tf.float32, name="noise"),
        ],
    )
    os.makedirs(model_dir, exist_ok=True)
    target = os.path.join(model_dir, str(next_version(model_dir)))
    partial = os.path.join(model_dir, f".partial-{os.getpid()}")  # not a number, so that a server does not load it
    try:
        archive.write_out(partial, verbose=False)
        with open(os.path.join(partial, INFO_FILE), "w", encoding="utf-8") as file:
            json.dump(description, file, indent=1)
            file.write("\n")
        os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def next_version(model_dir: str) -> int:
    """One above the highest numbered folder; 1 where there is none."""
    return max((int(name) for name in os.listdir(model_dir) if name.isdecimal()), default=0) + 1
