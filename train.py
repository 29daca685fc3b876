"""Trains COLORGAN: a generator that paints many believable colourings of one grey photo.

    python train.py --flagfile=configs/demo.flags                        drawn rooms, minutes on a laptop
    python train.py --flagfile=configs/photos.flags --data=DIR           your own photos
    python train.py --flagfile=configs/paper.flags --data=DIR            the paper's values, for LSUN and GPUs

DIR is written by `python -m data.convert`. The last flag wins, so a flagfile can be followed by changes. The same
command again goes on from the run's last checkpoint. Watch it with `tensorboard --logdir=RUN_DIR`.
"""

import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

from colorgan_tf.failures import STOPPED, RunFailure, WorkerLost
from colorgan_tf.flag_checks import require_finite

_DEFINED_BEFORE = set(flags.FLAGS)

DATA = flags.DEFINE_string("data", None, "Directory written by data.convert; its train split is trained on.")
VAL_DATA = flags.DEFINE_string("val_data", None, "Where sample grids take their photos; --data by default.")
RUN_DIR = flags.DEFINE_string("run_dir", None, "Directory of this run: checkpoints, logs, samples, flags.txt.")
STEPS = flags.DEFINE_integer("steps", 157_000, "Iterations of Algorithm 1 in all.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "m: photos in a minibatch, over all replicas.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 0, "Of weights, order of photos, noise and augmentation.", 0, 2**31 - 1)

IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "s: side of the pictures, a multiple of 16.", lower_bound=16)
NOISE_SIZE = flags.DEFINE_integer("noise_size", 100, "s_z: length of the noise.", lower_bound=1)
GENERATOR = flags.DEFINE_enum(
    "generator", "fully_conv", ["fully_conv", "encoder_decoder", "unet"], "fully_conv is the paper's (Fig. 3)."
)
COLOR_SPACE = flags.DEFINE_enum("color_space", "yuv", ["yuv", "rgb"], "What the generator paints (Fig. 6).")
NOISE_LAYERS = flags.DEFINE_enum(
    "noise_layers", "multi", ["multi", "single"], "Noise before the first three convs or the first one (Fig. 7)."
)
CONDITION_LAYERS = flags.DEFINE_enum(
    "condition_layers", "multi", ["multi", "single"], "Grey image before every conv or the first one (Fig. 8)."
)
NOISE_FORM = flags.DEFINE_enum(
    "noise_form",
    "map",
    ["map", "code"],
    "map: the paper's Dense noise channel. code: constant channels, any image size.",
)
GENERATOR_FILTERS = flags.DEFINE_list("generator_filters", "128,64,64,64,32", "Filters of the five hidden convs.")
DILATIONS = flags.DEFINE_list("dilations", "1,1,1,1,1,1", "Dilation of each of the six convs.")
CONTEXT_FILTERS = flags.DEFINE_integer(
    "context_filters", 0, "Width of a second, four times coarser scale in G; 0 is off.", lower_bound=0
)
GUIDED_RADIUS = flags.DEFINE_integer(
    "guided_radius", 0, "Radius of a guided filter behind G's last conv, which keeps colours to edges; 0 is off.", 0
)
DISCRIMINATOR_FILTERS = flags.DEFINE_integer(
    "discriminator_filters", 64, "Filters of the first conv of D; each further one doubles them.", lower_bound=4
)
DISCRIMINATOR_NORM = flags.DEFINE_enum(
    "discriminator_norm",
    "batch",
    ["batch", "layer", "spectral"],
    "Normalization in D; wgan_gp needs layer or spectral.",
)

OBJECTIVE = flags.DEFINE_enum(
    "objective",
    "gan",
    ["gan", "gan_non_saturating", "wgan", "wgan_gp", "regression"],
    "gan: Algorithm 1 as printed. gan_non_saturating: G descends -log D instead. regression: L2, no discriminator.",
)
K_D = flags.DEFINE_integer("k_d", 1, "k_D: updates of D in an iteration.", lower_bound=1)
K_G = flags.DEFINE_integer("k_g", 1, "k_G: updates of G in an iteration.", lower_bound=1)
L1_WEIGHT = flags.DEFINE_float("l1_weight", 0.0, "lambda of Eq. 6, for --color_space=rgb.", lower_bound=0.0)
R1_WEIGHT = flags.DEFINE_float("r1_weight", 0.0, "gamma of the R1 penalty on D.", lower_bound=0.0)
MODE_SEEKING_WEIGHT = flags.DEFINE_float("mode_seeking_weight", 0.0, "Of the mode-seeking term in G.", lower_bound=0.0)
OPTIMIZER = flags.DEFINE_enum("optimizer", "adam", ["adam", "rmsprop"], "Adam (beta1 0.5) or RMSProp (decay 0.9).")
D_LEARNING_RATE = flags.DEFINE_float("d_learning_rate", 2e-4, "Of D.", lower_bound=0.0)
G_LEARNING_RATE = flags.DEFINE_float("g_learning_rate", 1e-4, "Of G.", lower_bound=0.0)
EMA_DECAY = flags.DEFINE_float(
    "ema_decay", 0.0, "Keep a running mean of G's weights, used for samples and export; 0 is off.", 0.0, 0.99999
)
AUGMENTATION = flags.DEFINE_enum(
    "augmentation", "none", ["none", "flip", "flip_crop"], "flip_crop takes larger pictures than --image_size too."
)

PRECISION = flags.DEFINE_enum(
    "precision", "float32", ["float32", "mixed_float16", "mixed_bfloat16"], "Of the networks' arithmetic."
)
STRATEGY = flags.DEFINE_enum(
    "strategy",
    "auto",
    ["auto", "one_device", "mirrored", "multi_worker"],
    "auto: MirroredStrategy where there are several GPUs. multi_worker: over the machines of TF_CONFIG.",
)
CPU_REPLICAS = flags.DEFINE_integer("cpu_replicas", 1, "Mirror over this many logical CPUs, for tests.", lower_bound=1)
DETERMINISTIC = flags.DEFINE_bool("deterministic", False, "Same bits in every run of the same command, some slower.")

LOG_EVERY = flags.DEFINE_integer("log_every", 50, "Iterations between TensorBoard scalars.", lower_bound=1)
SAMPLE_EVERY = flags.DEFINE_integer("sample_every", 250, "Iterations between sample grids.", lower_bound=1)
SAMPLE_PHOTOS = flags.DEFINE_integer("sample_photos", 8, "Photos of the sample grids; 0 for none.", lower_bound=0)
SAMPLE_COLORINGS = flags.DEFINE_integer("sample_colorings", 8, "Colourings of each in the grids.", lower_bound=2)
CHECKPOINT_EVERY = flags.DEFINE_integer("checkpoint_every", 250, "Iterations between checkpoints.", lower_bound=1)
KEEP_CHECKPOINTS = flags.DEFINE_integer(
    "keep_checkpoints", 3, "How many checkpoints stay; the best stays besides.", lower_bound=1
)
ON_FAILURE = flags.DEFINE_enum(
    "on_failure", "stop", ["stop", "restore"], "After NaN or a dead network: end, or go back to the last checkpoint."
)
MAX_RESTORES = flags.DEFINE_integer("max_restores", 3, "How often --on_failure=restore goes back.", lower_bound=1)
SKIP_CORRUPT = flags.DEFINE_bool("skip_corrupt", False, "Read all records once before training, leave out broken ones.")
PROFILE_STEPS = flags.DEFINE_list("profile_steps", [], "FIRST,LAST: iterations of a TensorBoard profile.")
DRY_RUN = flags.DEFINE_bool("dry_run", False, "Check everything, print the settings and the sizes, train nothing.")

_DEFINED_HERE = sorted(set(flags.FLAGS) - _DEFINED_BEFORE)

flags.mark_flags_as_required(["data", "run_dir"])
require_finite(*(name for name in _DEFINED_HERE if isinstance(flags.FLAGS[name].value, float)))
flags.register_validator(
    "profile_steps",
    lambda v: not v or (len(v) == 2 and all(n.isdecimal() for n in v) and 1 <= int(v[0]) <= int(v[1])),
    "expected FIRST,LAST, from 1 on",
)


def flags_text() -> str:
    """A flagfile that repeats this run."""
    given = [flags.FLAGS[name] for name in _DEFINED_HERE if name != "dry_run" and flags.FLAGS[name].value is not None]
    return "".join(f"{line}\n" for line in (flag.serialize() for flag in given) if line)


def _settings():
    """(TrainingSettings, ModelSettings) from the flags of the same names."""
    import dataclasses

    from colorgan_tf.models import ModelSettings
    from colorgan_tf.training import TrainingSettings

    def from_flags(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.name in _DEFINED_HERE]
        return {name: flags.FLAGS[name].value for name in names}

    model, training = from_flags(ModelSettings), from_flags(TrainingSettings)
    model["generator_filters"] = _integers("generator_filters")
    model["dilations"] = _integers("dilations")
    training["profile_steps"] = _integers("profile_steps") or None
    return TrainingSettings(**training), ModelSettings(**model)


def _integers(name: str) -> tuple[int, ...]:
    try:
        return tuple(int(value) for value in flags.FLAGS[name].value)
    except ValueError:
        raise ValueError(f"--{name}={','.join(flags.FLAGS[name].value)}: expected integers") from None


def _stop_on_signals():
    """A function that says whether SIGTERM or Ctrl-C has come; a second one ends the program at once."""
    received = []

    def receive(number, _frame):
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        print("\nstopping: after this iteration, with a checkpoint (once more to stop at once)", file=sys.stderr)

    signal.signal(signal.SIGTERM, receive)
    signal.signal(signal.SIGINT, receive)
    return lambda: bool(received)


def _print_line(step: int, scalars: dict):
    figures = ("d_loss", "g_loss", "d_real", "d_fake", "images_per_second")
    shown = "  ".join(f"{name} {scalars[name]:.3f}" for name in figures if name in scalars)
    print(f"step {step}/{STEPS.value}  {shown}", flush=True)


def run() -> int:
    """The exit status; ValueError and OSError for what a user can mend."""
    should_stop = _stop_on_signals()
    from colorgan_tf import training  # TensorFlow is loaded after the flags were found good

    settings, model = _settings()
    source = training.check(settings, model)
    if DRY_RUN.value:
        gan = training.build(settings, model)
        print(flags_text(), end="")
        print(f"# {source.count} photos; generator {gan.generator.count_params():,} weights, ", end="")
        print(f"discriminator {gan.discriminator.count_params():,}; {len(source.files)} files")
        return 0

    bar = sys.stdout.isatty()
    step = training.train(
        settings,
        model,
        flags_text=flags_text(),
        should_stop=should_stop,
        report=None if bar else _print_line,
        verbose=1 if bar else 0,
    )
    if step < settings.steps:
        print(f"stopped at step {step} of {settings.steps}; the same command goes on from there")
        return STOPPED
    print(f"{step} steps taken; checkpoints, logs and samples lie in {settings.run_dir}")
    return 0


def main(argv):
    logging.set_verbosity(logging.WARNING)  # TensorFlow's own chatter
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    try:
        return run()
    except WorkerLost as error:
        print(f"train.py: {error}", file=sys.stderr, flush=True)
        os._exit(error.status)  # TensorFlow's threads would wait for the lost worker
    except RunFailure as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.status
    except (ValueError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    app.run(main)
