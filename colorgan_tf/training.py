"""A training run from its settings: data, strategy, model, resume, fit."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Callable

import keras
import tensorflow as tf

from colorgan_tf import records, runs, workers
from colorgan_tf.checkpoints import Checkpoints
from colorgan_tf.failures import BrokenData
from colorgan_tf.fitting import MENDING, SALVAGED, Run, sample_source
from colorgan_tf.gan import ColorGAN
from colorgan_tf.models import ModelSettings
from colorgan_tf.salvage import first_problem, salvage

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
OPTIMIZERS = ("adam", "rmsprop")
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")

_logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """A run's settings beside the model's; what each means is said at train.py's flag of the same name."""

    data: str
    run_dir: str
    steps: int
    val_data: str | None = None
    batch_size: int = 64
    seed: int = 0
    objective: str = "gan"
    k_d: int = 1
    k_g: int = 1
    l1_weight: float = 0.0
    r1_weight: float = 0.0
    mode_seeking_weight: float = 0.0
    optimizer: str = "adam"
    d_learning_rate: float = 2e-4
    g_learning_rate: float = 1e-4
    ema_decay: float = 0.0
    augmentation: str = "none"
    precision: str = "float32"
    strategy: str = "auto"
    cpu_replicas: int = 1
    deterministic: bool = False
    log_every: int = 50
    sample_every: int = 250
    sample_photos: int = 8
    sample_colorings: int = 8
    checkpoint_every: int = 250
    keep_checkpoints: int = 3
    on_failure: str = "stop"
    max_restores: int = 3
    skip_corrupt: bool = False
    profile_steps: tuple[int, int] | None = None


def make_team(name: str, cpu_replicas: int = 1, should_stop: Callable[[], bool] = lambda: False) -> workers.Team:
    """The workers of TF_CONFIG with multi_worker (ValueError where there are none), else this process alone.

    should_stop: asked while waiting for the others.
    """
    if name == "multi_worker":
        return workers.multi_worker(should_stop)
    return workers.Team(make_strategy(name, cpu_replicas))


def make_strategy(name: str, cpu_replicas: int = 1) -> tf.distribute.Strategy:
    """auto: all GPUs mirrored where there are several, else one device. cpu_replicas > 1: that many logical CPUs.

    Logical devices must be set up before TensorFlow first uses the CPU; RuntimeError otherwise.
    """
    if cpu_replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * cpu_replicas)
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(cpu_replicas)])
    gpus = tf.config.list_physical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def make_optimizer(name: str, learning_rate: float) -> keras.optimizers.Optimizer:
    """Adam with beta1 0.5 or RMSProp with decay 0.9, as the released code has them."""
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, beta_1=0.5)
    return keras.optimizers.RMSprop(learning_rate, rho=0.9)


def check(settings: TrainingSettings, model: ModelSettings) -> records.Source:
    """Looks at everything that can be wrong before anything is built; ValueError in one line."""
    if settings.objective == "wgan_gp" and model.discriminator_norm == "batch":
        raise ValueError(
            "objective=wgan_gp: its penalty is per sample, which batch statistics spoil; "
            "expected --discriminator_norm=layer or spectral"
        )
    if settings.l1_weight and model.color_space != "rgb":
        raise ValueError("l1_weight: with color_space=yuv luminance is exact already; expected 0, or --color_space=rgb")
    if settings.objective == "regression" and (settings.k_d != 1 or settings.r1_weight):
        raise ValueError("objective=regression: has no discriminator; expected neither k_d nor r1_weight")
    if settings.objective == "wgan_gp" and settings.r1_weight:
        raise ValueError("r1_weight: wgan_gp has a gradient penalty of its own; expected 0")
    if settings.cpu_replicas > 1 and settings.strategy not in ("auto", "mirrored"):
        raise ValueError(f"cpu_replicas={settings.cpu_replicas}: expected 1 with strategy={settings.strategy}")
    if settings.batch_size % settings.cpu_replicas:
        raise _no_multiple(settings.batch_size, settings.cpu_replicas)
    source = records.open_split(
        settings.data,
        "train",
        model.image_size,
        may_resize=settings.augmentation == "flip_crop",
        may_be_damaged=settings.skip_corrupt,
    )
    if settings.sample_photos:
        sample_source(settings, model, source)
    return source


def _no_multiple(batch_size: int, replicas: int) -> ValueError:
    return ValueError(f"batch_size={batch_size}: expected a multiple of the {replicas} replicas")


def build(settings: TrainingSettings, model: ModelSettings, kind: type[ColorGAN] = ColorGAN) -> ColorGAN:
    """The compiled model; call it inside the strategy's scope."""
    gan = kind(model, seed=settings.seed, ema_decay=settings.ema_decay)
    gan.compile(
        d_optimizer=make_optimizer(settings.optimizer, settings.d_learning_rate),
        g_optimizer=make_optimizer(settings.optimizer, settings.g_learning_rate),
        objective=settings.objective,
        k_d=settings.k_d,
        k_g=settings.k_g,
        l1_weight=settings.l1_weight,
        r1_weight=settings.r1_weight,
        mode_seeking_weight=settings.mode_seeking_weight,
        jit_compile=False,
    )
    return gan


def train(
    settings: TrainingSettings,
    model: ModelSettings,
    flags_text: str = "",
    should_stop: Callable[[], bool] = lambda: False,
    report: Callable[[int, dict], None] | None = None,
    verbose: int = 0,
) -> int:
    """Trains until `settings.steps` iterations are taken in all, from the last checkpoint on; gives the last step.

    flags_text: shown in TensorBoard. should_stop: asked after every iteration; on True a checkpoint is written and the
    training ends. report: called with (step, scalars) at every log point. verbose: of Keras' progress bar.
    ValueError, OSError and RunFailure are in one line and leave the run directory's checkpoints as they were.
    """
    source = check(settings, model)
    keras.mixed_precision.set_dtype_policy(settings.precision)
    team = make_team(settings.strategy, settings.cpu_replicas, should_stop)
    replicas = team.strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise _no_multiple(settings.batch_size, replicas)
    if settings.mode_seeking_weight and settings.batch_size < 2 * replicas:
        raise ValueError(f"mode_seeking_weight: pairs photos up; expected a batch_size of {2 * replicas} or more")
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    with runs.held(settings.run_dir) if team.is_chief else contextlib.nullcontext():
        if settings.skip_corrupt:
            source, lost = salvage(source, os.path.join(settings.run_dir, SALVAGED))
            if lost:
                _logger.warning("%s: %d broken records skipped, %d photos left", settings.data, lost, source.count)
        keras.utils.set_random_seed(settings.seed)
        try:
            with team.strategy.scope():
                kind = ColorGAN if team.count == 1 else workers.MultiWorkerColorGAN
                gan = build(settings, dataclasses.replace(model, synchronized_bn=replicas > 1), kind)
                directory = os.path.join(settings.run_dir, runs.CHECKPOINTS)
                checkpoints = Checkpoints(directory, gan, settings.keep_checkpoints)
            return Run(settings, gan, checkpoints, team, source, flags_text, should_stop, report, verbose).until_done()
        except tf.errors.OpError as error:
            lost_worker = team.lost(error)
            if lost_worker:
                raise lost_worker from error
            problem = first_problem(source)
            if problem:
                raise BrokenData(f"{problem}; {MENDING}") from error
            raise
