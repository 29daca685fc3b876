"""Steps every flagfile given once, shrunk by configs/tiny.flags; a line of JSON each. Helper of test_configs.py.

Its own process, because train.py's flags cannot live beside another program's; one for all, because of its start.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import keras
import numpy as np
from absl import flags
from absl.testing import flagsaver

import train
from colorgan_tf import training
from colorgan_tf.input_pipeline import training_batches


def step(flagfiles, data, run_dir):
    """Settings and what one iteration did, of a config given as the flagfiles it is made of."""
    with flagsaver.flagsaver():
        flags.FLAGS(
            ["train.py", *(f"--flagfile={file}" for file in flagfiles), f"--data={data}", f"--run_dir={run_dir}"]
        )
        settings, model = train._settings()
    source = training.check(settings, model)
    keras.mixed_precision.set_dtype_policy(settings.precision)
    gan = training.build(settings, model)
    batches = training_batches(source, settings.batch_size, gan.updates, settings.seed, augmentation="none")
    networks = {"generator": gan.generator, "discriminator": gan.discriminator}
    before = {name: network.get_weights() for name, network in networks.items()}
    logs = gan.train_step(next(iter(batches)))
    return {
        "objective": settings.objective,
        "optimizer": settings.optimizer,
        "k_d": settings.k_d,
        "steps": settings.steps,
        "batch_size": settings.batch_size,
        "noise_form": model.noise_form,
        "noise_layers": model.noise_layers,
        "condition_layers": model.condition_layers,
        "generator": model.generator,
        "color_space": model.color_space,
        "l1_weight": settings.l1_weight,
        "discriminator_norm": model.discriminator_norm,
        "generator_filters": list(model.generator_filters),
        "image_size": model.image_size,
        "painted": int(gan.generator.output_shape[-1]),
        "losses": {name: float(value) for name, value in logs.items()},
        "moved": {
            name: bool(any(not np.array_equal(a, b) for a, b in zip(before[name], network.get_weights(), strict=True)))
            for name, network in networks.items()
        },
        "largest_d_weight": max(float(np.abs(w.numpy()).max()) for w in gan.discriminator.trainable_weights),
    }


if __name__ == "__main__":
    data, run_dir, *configs = sys.argv[1:]
    for config in configs:
        print(json.dumps([config, step(config.split("+"), data, run_dir)]), flush=True)
