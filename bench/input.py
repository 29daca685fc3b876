"""How many photos a second can be read and augmented, against what training takes.

    python -m bench.input --data=datasets/photos96 --image_size=64 --augmentation=flip_crop

Prints one line of JSON: photos/s of the input pipeline on this machine (warm cache), what share of a processor it used,
and both set against the photos/s that the training step takes here and on a GPU. An image of `images_per_second` costs
k_D + k_G photos, since every update takes a minibatch of its own.
"""

import json
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags

DATA = flags.DEFINE_string("data", None, "Directory written by data.convert.", required=True)
IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Of the batches.", lower_bound=16)
AUGMENTATION = flags.DEFINE_enum("augmentation", "none", ["none", "flip", "flip_crop"], "As in train.py.")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "As in train.py.", lower_bound=2)
SECONDS = flags.DEFINE_float("seconds", 20.0, "How long to read.", lower_bound=1.0)
STEP_IMAGES = flags.DEFINE_float("step_images_per_second", None, "Of the training step here; measured if not given.")
GPU_IMAGES = flags.DEFINE_float("gpu_images_per_second", 6000.0, "Of the training step on a GPU.")
GPU_CORES = flags.DEFINE_integer("gpu_cores", 16, "Processor cores beside that GPU.", lower_bound=1)

UPDATES = 2  # k_D + k_G of the paper


def reading_rate(batches, seconds: float) -> tuple[float, float]:
    """(photos a second, processor seconds a photo) of a dataset of batches, after one batch to fill its buffers."""
    iterator = iter(batches)
    next(iterator)
    photos, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds:
        photos += int(next(iterator).shape[0]) * UPDATES
    return photos / (time.perf_counter() - began), (time.process_time() - cpu) / photos


def step_rate(image_size: int, batch_size: int, seconds: float) -> float:
    """Images a second of the paper's training step in float32 on one batch that lies in memory."""
    import tensorflow as tf

    from colorgan_tf.models import ModelSettings
    from colorgan_tf.training import TrainingSettings, build

    gan = build(TrainingSettings(data="", run_dir="", steps=1), ModelSettings(image_size=image_size))
    step = tf.function(gan.train_step)
    batch = tf.zeros([batch_size, UPDATES, image_size, image_size, 3], tf.uint8)
    step(batch)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        step(batch)
        steps += 1
    return steps * batch_size / (time.perf_counter() - began)


def main(argv):
    from colorgan_tf import records
    from colorgan_tf.input_pipeline import training_batches

    source = records.open_split(DATA.value, "train", IMAGE_SIZE.value, may_resize=AUGMENTATION.value == "flip_crop")
    batches = training_batches(source, BATCH_SIZE.value, UPDATES, 0, augmentation=AUGMENTATION.value)
    read, cost = reading_rate(batches, SECONDS.value)
    step = STEP_IMAGES.value or step_rate(IMAGE_SIZE.value, BATCH_SIZE.value, SECONDS.value)
    on_gpu_machine = GPU_CORES.value / cost
    print(
        json.dumps(
            {
                "data": DATA.value,
                "stored_size": source.info.image_size,
                "augmentation": AUGMENTATION.value,
                "photos_per_second": round(read, 1),
                "cpu_ms_per_photo": round(cost * 1e3, 3),
                "load_average": os.getloadavg()[0],
                "step_images_per_second": round(step, 2),
                "read_over_step": round(read / (UPDATES * step), 1),
                "photos_per_second_on_gpu_machine_if_cores_scale": round(on_gpu_machine),
                "read_over_gpu_step": round(on_gpu_machine / (UPDATES * GPU_IMAGES.value), 2),
            }
        )
    )


if __name__ == "__main__":
    app.run(main)
