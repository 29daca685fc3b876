"""Exports a trained generator for TF Serving.

    python export.py --run_dir=runs/photos --model_dir=exports/colorgan       writes exports/colorgan/1/, then 2/, ...

The signature `serving_default` takes gray and noise and gives rgb and chroma; docs/serving.md says how to call it.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run directory of train.py.")
MODEL_DIR = flags.DEFINE_string("model_dir", "exports/colorgan", "Where the numbered versions lie.")
STEP = flags.DEFINE_integer("step", None, "Which checkpoint; the newest by default.", lower_bound=0)
WEIGHTS = flags.DEFINE_enum(
    "weights", "auto", ["auto", "averaged", "raw"], "auto: averaged (--ema_decay) where the run kept them."
)

flags.mark_flag_as_required("run_dir")


def run():
    """Writes one export and says where; ValueError and OSError for what a user can mend."""
    from colorgan_tf import runs, serving

    ema = {"auto": None, "averaged": True, "raw": False}[WEIGHTS.value]
    generator, settings, step = runs.load_generator(RUN_DIR.value, STEP.value, ema)
    name = os.path.basename(os.path.normpath(RUN_DIR.value))
    folder = serving.save(generator, settings, serving.describe(settings, step, name), MODEL_DIR.value)
    print(f"{folder}: generator of {name}, step {step}")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    logging.set_verbosity(logging.WARNING)  # TensorFlow's own chatter
    try:
        run()
    except (ValueError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
