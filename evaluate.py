"""Measures colorizers: numbers, yardsticks from the same code, and the paper's pictures, in one folder.

    python evaluate.py --model=exports/colorgan --data=DIR --k=16 --output=outputs/report
    python evaluate.py --model=ours=exports/colorgan --model=sepia=runs/regression --data=DIR --output=outputs/report
    python evaluate.py --images=other=DIR --truth=DIR --output=outputs/report         pictures made by other systems

A model is an export (`export.py`) or a run directory (`train.py`). Pictures pair with their truth by name: NAME.png, or
NAME-1.png ... NAME-k.png for several colourings of one photo. docs/evaluate.md explains every number.
"""

import itertools
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

MODEL = flags.DEFINE_multi_string("model", [], "NAME=PATH or PATH of an export or a run directory; may be repeated.")
IMAGES = flags.DEFINE_multi_string("images", [], "NAME=DIR or DIR of another system's pictures; needs --truth.")
DATA = flags.DEFINE_string("data", None, "Directory written by data.convert, with the photos to measure by.")
TRUTH = flags.DEFINE_string("truth", None, "Folder of pictures to measure by, instead of --data.")
OUTPUT = flags.DEFINE_string("output", None, "Folder for report.json, report.md and pictures/.")
SPLIT = flags.DEFINE_enum("split", "val", ["train", "val"], "Which split of --data.")
K = flags.DEFINE_integer("k", 16, "Colourings of each photo (Algorithm 2's rounds).", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Of the noise, the halves, the classifier and the photos shown.", lower_bound=0)
IMAGE_SIZE = flags.DEFINE_integer(
    "image_size", None, "Side in pixels to measure at; by default the model's, or 64 without one.", lower_bound=16
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Photos in a minibatch of Algorithm 2.", lower_bound=2)
LIMIT = flags.DEFINE_integer("limit", 0, "Measure by no more than so many photos; 0 is all.", lower_bound=0)
SKIP = flags.DEFINE_integer(
    "skip", 0, "Leave out the first so many photos, by which a checkpoint was chosen, say.", lower_bound=0
)
GROUPS = flags.DEFINE_list("groups", [], "Also report apart the photos whose keys contain these words.")
NORMALIZATION = flags.DEFINE_enum(
    "normalization",
    "moving",
    ["moving", "batch", "both"],
    "Of run directories: moving averages, statistics of the minibatch as in the paper, or both as two systems.",
)
STEP = flags.DEFINE_integer("step", None, "Of run directories: which checkpoint; the newest by default.", lower_bound=0)
CLASSIFIER_PHOTOS = flags.DEFINE_integer(
    "classifier_photos", 2000, "Photos that the classifier test draws at most; 0 leaves it out.", lower_bound=0
)
FEATURE_WEIGHTS = flags.DEFINE_string(
    "feature_weights",
    "download",
    "InceptionV3 weights for the Frechet distance: a file, or 'download' for Keras' own, or empty to leave it out.",
)


def main(argv):
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    try:
        run()
    except (ValueError, OSError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nevaluate.py: interrupted; nothing was written", file=sys.stderr)
        return 130


def run():
    from colorgan_tf.evaluation.names import named

    check(named(MODEL.value, "model"), named(IMAGES.value, "images"))  # before anything large is loaded

    from colorgan_tf.evaluation import pipeline, report, sources, systems
    from colorgan_tf.evaluation.measure import Profile

    report.check_output(OUTPUT.value)
    named_models = named(MODEL.value, "model", pipeline.RESERVED)
    named_images = named(IMAGES.value, "images", pipeline.RESERVED)
    truth = sources.list_pictures(TRUTH.value) if TRUTH.value else None

    profile, found, notes = Profile(), [], []
    image_size = IMAGE_SIZE.value
    with profile.part("loading"):
        for name, path in named_models.items():
            models, size, any_size = systems.load_models(
                name, path, K.value, SEED.value, NORMALIZATION.value, STEP.value
            )
            image_size = image_size or size
            if size != image_size and not any_size:
                by = "as --image_size says" if IMAGE_SIZE.value else "as the others have"
                raise ValueError(f"{path}: a model of {size} x {size} pixels; expected {image_size}, {by}")
            for model in models:
                if model.name in named_images or any(model.name == other.name for other in found):
                    raise ValueError(f"--model={name}={path}: two systems are called {model.name}")
            found += models
    image_size = image_size or 64
    if truth is None:
        photos, source = sources.from_data_dir(DATA.value, SPLIT.value, image_size), f"{DATA.value} ({SPLIT.value})"
    for name, directory in named_images.items():
        pictures = systems.Pictures(name, directory, truth, K.value, image_size)
        left = {key: path for key, path in truth.items() if key in pictures.keys}
        if len(left) < len(truth):
            notes.append(f"{len(truth) - len(left)} true photos were left out: {directory} has no picture of them.")
        if not left:
            raise ValueError(f"{directory}: pairs with none of the photos that the other folders pair with")
        truth = left
        found.append(pictures)

    if truth is not None:
        photos, source = sources.from_pictures(truth, image_size), TRUTH.value
    if SKIP.value:
        photos, source = itertools.islice(photos, SKIP.value, None), f"{source} without the first {SKIP.value}"
    settings = pipeline.Settings(
        k=K.value,
        seed=SEED.value,
        image_size=image_size,
        batch_size=BATCH_SIZE.value,
        limit=LIMIT.value,
        groups=tuple(GROUPS.value),
        classifier_photos=CLASSIFIER_PHOTOS.value,
        feature_weights=FEATURE_WEIGHTS.value,
    )
    found_report = pipeline.evaluate(
        photos, source, found, settings, OUTPUT.value, profile, tuple(notes), lambda line: print(line, file=sys.stderr)
    )
    for note in found_report["notes"]:
        print(note)
    print(os.path.join(OUTPUT.value, report.MARKDOWN_FILE))


def check(models, images):
    """What the flags must hold together; ValueError in one line."""
    if not OUTPUT.value:
        raise ValueError("--output is missing; expected a folder to write the report to")
    if not models and not images:
        raise ValueError("--model and --images are both missing; expected something to measure")
    if bool(DATA.value) == bool(TRUTH.value):
        raise ValueError("expected one of --data and --truth, to measure by")
    if images and not TRUTH.value:
        raise ValueError("--images pairs with the pictures of --truth by name; expected --truth=DIR, not --data")
    both = sorted(set(models) & set(images))
    if both:
        raise ValueError(f"--model and --images: two systems are called {both[0]}; expected NAME=PATH, all different")


if __name__ == "__main__":
    app.run(main)
