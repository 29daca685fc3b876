"""Exports a trained generator for TF Serving, and for other runtimes.

    python export.py --run_dir=runs/photos --model_dir=exports/colorgan       writes exports/colorgan/1/, then 2/, ...
    python export.py --run_dir=runs/photos --format=saved_model,tflite,onnx   and colorgan.tflite, colorgan.onnx in it

`serving_default` takes gray and noise and gives rgb and chroma; `colorize_png` takes photos' bytes and seeds and gives
PNGs; docs/serving.md says how to call them. ONNX needs requirements-export.txt.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

from colorgan_tf.flag_checks import require_finite

RUN_DIR = flags.DEFINE_string("run_dir", None, "A run directory of train.py.")
MODEL_DIR = flags.DEFINE_string("model_dir", "exports/colorgan", "Where the numbered versions lie.")
STEP = flags.DEFINE_integer("step", None, "Which checkpoint; the newest by default.", lower_bound=0)
WEIGHTS = flags.DEFINE_enum(
    "weights", "auto", ["auto", "averaged", "raw"], "auto: averaged (--ema_decay) where the run kept them."
)
FORMAT = flags.DEFINE_list(
    "format", ["saved_model"], "saved_model, and what else to write beside it, checked against it: tflite, onnx."
)
PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "bfloat16"], "What the SavedModel's convs compute in; all else is float32."
)
BATCHING = flags.DEFINE_bool(
    "batching",
    False,
    "Batch inside the graph, after each request was checked; then not by TF Serving (docs/serving.md).",
)
MAX_MEGAPIXELS = flags.DEFINE_float(
    "max_megapixels", 16.0, "Of a photo that colorize_png takes.", lower_bound=0.01, upper_bound=64.0
)

flags.mark_flag_as_required("run_dir")
require_finite("max_megapixels")
flags.register_validator(
    "format",
    lambda names: names[:1] == ["saved_model"]
    and set(names[1:]) <= {"tflite", "onnx"}
    and len(set(names)) == len(names),
    message="expected saved_model, then any of tflite and onnx",
)

flags.register_multi_flags_validator(
    ["format", "precision"],
    lambda v: v["precision"] == "float32" or v["format"] == ["saved_model"],
    "--format=tflite and onnx are float32 and checked against the SavedModel; expected --precision=float32 with them",
)


def run():
    """Writes one export and says where; ValueError and OSError for what a user can mend."""
    from colorgan_tf import formats, runs, serving, warmup

    ema = {"auto": None, "averaged": True, "raw": False}[WEIGHTS.value]
    generator, settings, step = runs.load_generator(RUN_DIR.value, STEP.value, ema)
    name = os.path.basename(os.path.normpath(RUN_DIR.value))
    model = os.path.basename(os.path.normpath(MODEL_DIR.value))
    options = serving.Options(
        precision=PRECISION.value, batching=BATCHING.value, max_pixels=round(MAX_MEGAPIXELS.value * 1e6)
    )
    notes = []

    def finish(folder):
        formats.write(folder, FORMAT.value[1:], generator, settings)
        if not warmup.write(folder, settings, model):
            notes.append("no warm-up records: tensorflow-serving-api is not installed (requirements-serving.txt)")

    if not MODEL_DIR.value or (os.path.exists(MODEL_DIR.value) and not os.path.isdir(MODEL_DIR.value)):
        raise ValueError(f"--model_dir={MODEL_DIR.value}: expected a folder for the versions")
    folder = serving.save(generator, settings, serving.describe(settings, step, name), MODEL_DIR.value, options, finish)
    print(f"{folder}: generator of {name}, step {step}")
    for format_name in FORMAT.value[1:]:
        print(f"{os.path.join(folder, formats.FILES[format_name])}: agrees to {formats.TOLERANCE}")
    for note in notes:
        print(f"note: {note}")


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    logging.set_verbosity(logging.WARNING)  # TensorFlow's own chatter
    try:
        run()
    except (ValueError, OSError) as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nexport.py: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    app.run(main)
