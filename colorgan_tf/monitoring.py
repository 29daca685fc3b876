"""What a run shows of itself: TensorBoard scalars, sample grids, checkpoints, all by the number of iterations taken."""

import contextlib
import logging
import os
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from colorgan_tf import color, metrics
from colorgan_tf.checkpoints import Checkpoints
from colorgan_tf.failures import CannotSave, Diverged

_logger = logging.getLogger(__name__)
_FAILED = 1 << 20  # more than there can be workers


class StepCallback(keras.callbacks.Callback):
    """A callback that knows the iteration, also of a resumed run (Keras counts from 0 at every fit)."""

    def on_train_begin(self, logs=None):
        self.step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        self.on_step(logs)

    def on_step(self, logs: dict):
        raise NotImplementedError


class ScalarLogger(StepCallback):
    """Writes the means of what `train_step` returned, and images/s, every `every` iterations."""

    def __init__(self, writer, batch_size: int, every: int, report: Callable[[int, dict], None] | None = None):
        """report: called with (step, scalars) besides, for a line on the screen."""
        super().__init__()
        self.writer, self.batch_size, self.every, self.report = writer, batch_size, every, report

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._restart()

    def _restart(self):
        self.sums, self.steps, self.started = {}, 0, time.perf_counter()

    def on_step(self, logs):
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.steps += 1
        if self.step % self.every:
            return
        scalars = {name: total / self.steps for name, total in self.sums.items()}
        scalars["images_per_second"] = self.steps * self.batch_size / (time.perf_counter() - self.started)
        with self.writer.as_default(step=self.step):
            for name, value in scalars.items():
                tf.summary.scalar(f"train/{name}", value)
        if self.report:
            self.report(self.step, scalars)
        self._restart()


class GANMonitor(StepCallback):
    """Colours the same photos with the same noise every `every` iterations: a grid and the figures that go with it.

    Rows are photos; columns are grey, truth, then K colourings (moving-average batch norm, averaged weights if kept).
    """

    def __init__(self, writer, directory: str, rgb: np.ndarray, noise: np.ndarray, every: int):
        """rgb: float [n, s, s, 3] in [0, 1]. noise: [K, noise_size] in [-1, 1]. directory: for the grids as PNG."""
        super().__init__()
        self.writer, self.directory, self.every = writer, directory, every
        self.truth, self.noise = rgb, noise
        self.gray = color.luminance(rgb)
        self.figures = None  # (step, figures) of the last samples

    def on_step(self, logs):
        if self.step % self.every == 0:
            self.show()

    def _write_picture(self, grid: np.ndarray):
        path = os.path.join(self.directory, f"step-{self.step:08d}.png")
        try:
            os.makedirs(self.directory, exist_ok=True)
            Image.fromarray(grid).save(path + ".partial", format="png")
            os.replace(path + ".partial", path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.remove(path + ".partial")
            _logger.warning("%s: cannot write the samples (%s); training goes on", path, error.strerror or error)

    def show(self):
        """Writes the grid and the figures of the present weights."""
        rgb, chroma = colorize(self.model.ema_generator or self.model.generator, self.gray, self.noise)
        grid = sample_grid(self.gray, self.truth, rgb)
        self._write_picture(grid)
        figures = {
            "colorfulness": np.mean(metrics.colorfulness(rgb.reshape(-1, *rgb.shape[2:]))),
            "diversity": np.mean([metrics.diversity(of_one_photo) for of_one_photo in chroma]),
            "local_diversity": np.mean([metrics.local_diversity(of_one_photo) for of_one_photo in chroma]),
            "edge_agreement": np.mean(
                [metrics.edge_agreement(y[None], c) for y, c in zip(self.gray, chroma, strict=True)]
            ),
            "truth_colorfulness": np.mean(metrics.colorfulness(self.truth)),
        }
        self.figures = self.step, {name: float(value) for name, value in figures.items()}
        with self.writer.as_default(step=self.step):
            tf.summary.image("samples", grid[None])
            for name, value in figures.items():
                tf.summary.scalar(f"samples/{name}", value)


class CheckpointSaver(StepCallback):
    """Saves every `every` iterations and at the end; stops the training when it is asked to, or when it went wrong.

    Only the chief of a team of workers writes; all of them agree after every iteration whether to go on. A disk that
    refuses a checkpoint costs that checkpoint (a warning is given), except at the end: CannotSave. Put it behind the
    monitor and the guard in the list of callbacks.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        every: int,
        should_stop: Callable[[], bool],
        team,
        guard,
        restores: int = 0,
    ):
        """team: `workers.Team`. guard: `guards.Guard`. restores: how often the run has gone back already."""
        super().__init__()
        self.checkpoints, self.every, self.should_stop = checkpoints, every, should_stop
        self.team, self.guard, self.restores = team, guard, restores
        self.failed = False

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self.saved = self.step

    def on_step(self, logs):
        votes = self.team.total(_FAILED * bool(self.guard.failure) + bool(self.should_stop()))
        self.failed = votes >= _FAILED
        if votes:
            self.model.stop_training = True  # a last checkpoint is written in on_train_end
        elif self.step % self.every == 0 and not self.guard.suspicious:
            try:
                self._save()
            except OSError as error:
                _logger.warning("%s; training goes on from step %d unsaved", error, self.saved)

    def on_train_end(self, logs=None):
        if self.failed or self.saved == self.step:
            return
        try:
            self._save()
        except OSError as error:
            raise CannotSave(f"{error}; the last sound one is of step {self.saved}") from None

    def _save(self):
        if self.team.is_chief:
            monitor = self.guard.monitor
            sampled_now = monitor and monitor.figures and monitor.figures[0] == self.step
            try:
                self.checkpoints.save(monitor.figures[1] if sampled_now else None, self.restores)
            except Diverged as error:
                self.guard.failure = str(error)  # the team hears of it after the next iteration
                return
        self.saved = self.step


class ProfileWindow(StepCallback):
    """Records TensorBoard's profile of iterations `first` to `last`, counted from 1; less where the run ends before."""

    def __init__(self, log_dir: str, first: int, last: int):
        super().__init__()
        self.log_dir, self.first, self.last = log_dir, first, last
        self.running = False

    def on_train_begin(self, logs=None):
        super().on_train_begin()
        self._start_if_next()

    def on_step(self, logs):
        if self.running and self.step >= self.last:
            self.on_train_end()
        self._start_if_next()

    def _start_if_next(self):
        if self.step + 1 == self.first:
            tf.profiler.experimental.start(self.log_dir)
            self.running = True

    def on_train_end(self, logs=None):
        if self.running:
            tf.profiler.experimental.stop()
            self.running = False


def colorize(generator: keras.Model, gray: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every photo with every noise, moving-average batch norm.

    gray [n, h, w, 1] in [0, 1] and noise [K, noise_size] to rgb [n, K, h, w, 3] in [0, 1] and chroma [n, K, h, w, 2] in
    [-0.5, 0.5].
    """
    rgbs, chromas = [], []
    for y in gray:
        y = np.repeat(y[None], len(noise), axis=0)
        rgb, chroma = color.pictures(y, generator([color.to_network(y), noise], training=False).numpy())
        rgbs.append(rgb)
        chromas.append(chroma)
    return np.stack(rgbs), np.stack(chromas)


def sample_grid(gray: np.ndarray, truth: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """uint8 picture: a row a photo, with grey, truth and its K colourings. Arguments as in `colorize`."""
    columns = np.concatenate([np.repeat(gray, 3, axis=-1)[:, None], truth[:, None], rgb], axis=1)
    n, k, height, width, _ = columns.shape
    picture = columns.transpose(0, 2, 1, 3, 4).reshape(n * height, k * width, 3)
    return np.clip(np.round(picture * 255.0), 0, 255).astype(np.uint8)


def write_graph(writer, gan):
    """Both networks' graphs for TensorBoard's graph page."""
    size, settings = gan.settings.image_size, gan.settings

    @tf.function
    def networks(gray, noise, image):
        return gan.generator([gray, noise]), gan.discriminator(image)

    graph = networks.get_concrete_function(
        tf.TensorSpec([None, size, size, 1]),
        tf.TensorSpec([None, settings.noise_size]),
        tf.TensorSpec([None, size, size, 3]),
    ).graph
    with writer.as_default(step=0):
        tf.summary.graph(graph)
