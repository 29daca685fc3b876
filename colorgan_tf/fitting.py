"""A run under way: resumed, fitted, watched, and taken back to its last checkpoint when it has gone wrong."""

import dataclasses
import logging
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from colorgan_tf import monitoring, records, runs, workers
from colorgan_tf.checkpoints import Checkpoints, list_checkpoints, sampled_figures
from colorgan_tf.event_log import EventLog, drop_events_after
from colorgan_tf.failures import BrokenData, Diverged
from colorgan_tf.gan import ColorGAN
from colorgan_tf.guards import Guard
from colorgan_tf.input_pipeline import Share, training_batches
from colorgan_tf.salvage import first_problem, salvage

SALVAGED = "salvaged"  # folder for what can be read of broken shards
MENDING = "convert again, or pass --skip_corrupt to go on without it"
_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Run:
    """What a run holds on to while it fits, fails, goes back and fits again."""

    settings: "TrainingSettings"  # noqa: F821  of training.py, which imports this module
    gan: ColorGAN
    checkpoints: Checkpoints
    team: workers.Team
    source: records.Source
    flags_text: str
    should_stop: Callable[[], bool]
    report: Callable[[int, dict], None] | None
    verbose: int

    def until_done(self) -> int:
        """Fits from the last checkpoint on, and again from there where the guard says so; gives the last step."""
        if self.team.is_chief:
            self.checkpoints.remove_leftovers()
        start, restores = self.resume()
        if self.team.is_chief:
            runs.write_flags(self.settings.run_dir, self.flags_text)  # only now: this run goes on with these flags
        while start < self.settings.steps:
            failure = self.fit(start, restores)
            if failure is None:
                break
            if self.settings.on_failure != "restore":
                raise Diverged(f"{failure}; the checkpoints are of the time before (--on_failure=restore goes back)")
            if restores >= self.settings.max_restores:
                raise Diverged(f"{failure}; gone back {restores} times already (--max_restores)")
            found = list_checkpoints(self.checkpoints.directory)
            if self.team.is_chief and found and found[-1][0] == start:
                self.checkpoints.drop_newest()  # the run has gone on from it in vain
            failed_before = restores
            start, _ = self.resume()
            if not start:
                raise Diverged(f"{failure}; there is no checkpoint to go back to")
            restores = failed_before + 1
            _logger.warning("%s; going on from step %d with other noise", failure, start)
        return int(self.gan.step.numpy())

    def resume(self) -> tuple[int, int]:
        """(step, restores) of the newest sound checkpoint, which all workers restore; (0, 0) where there is none."""
        manifest = None
        with self.team.strategy.scope():
            if self.team.is_chief:
                manifest = self.checkpoints.restore_latest()
            step = self.team.from_chief(manifest["step"] if manifest else 0)
            if step and not self.team.is_chief:
                manifest = self.checkpoints.restore(step)
            # A checkpoint holds the learning rates too, but the flags of this run have the last word.
            self.gan.d_optimizer.learning_rate = self.settings.d_learning_rate
            self.gan.g_optimizer.learning_rate = self.settings.g_learning_rate
        return step, manifest["restores"] if manifest else 0

    def fit(self, start: int, restores: int) -> str | None:
        """Trains from `start` until the end or a request to stop; what went wrong, if anything did."""
        settings, gan, team = self.settings, self.gan, self.team
        callbacks, monitor, log = [], None, None
        if team.is_chief:
            log, monitor, callbacks = self.monitors(start)
        figures = [figures["diversity"] for _, figures in sampled_figures(self.checkpoints.directory)]
        guard = Guard(settings.objective, monitor, vivid=max(figures, default=0.0))
        saver = monitoring.CheckpointSaver(
            self.checkpoints, settings.checkpoint_every, self.should_stop, team, guard, restores
        )
        gan.seed = settings.seed + restores  # after a failure the same noise would lead to the same failure
        gan.make_train_function(force=True)
        gan.stop_training = False
        gan.fit(
            self.batches(start),
            steps_per_epoch=settings.steps - start,
            epochs=1,
            callbacks=[*callbacks, guard, saver],
            verbose=self.verbose if team.is_chief else 0,
            shuffle=False,  # the pipeline has done it
        )
        if log:
            log.close()
        if not team.total(bool(guard.failure)):  # nobody leaves before the chief has written its last checkpoint
            return None
        return guard.failure or "the chief found the training to have gone wrong"

    def batches(self, start: int):
        """The photos from step `start` on, for the strategy to hand to its replicas."""
        settings = self.settings

        def dataset(share: Share) -> tf.data.Dataset:
            return training_batches(
                self.source,
                settings.batch_size,
                self.gan.updates,
                settings.seed,
                start_step=start,
                augmentation=settings.augmentation,
                share=share,
            )

        if self.team.count == 1:
            return dataset(Share())
        share = Share(self.team.index, self.team.count, self.team.local_replicas)
        return self.team.strategy.distribute_datasets_from_function(lambda _: dataset(share))

    def monitors(self, start: int):
        """(event log, GANMonitor if wanted, callbacks that show the run), the log being cut back to `start`."""
        settings, gan = self.settings, self.gan
        logs_dir = os.path.join(settings.run_dir, "logs")
        drop_events_after(logs_dir, start)
        log = EventLog(logs_dir)
        if start == 0:
            monitoring.write_graph(log, gan)
            with log.as_default(step=0):
                tf.summary.text("flags", "\n".join(f"    {line}" for line in self.flags_text.splitlines()))
        callbacks = [monitoring.ScalarLogger(log, settings.batch_size, settings.log_every, self.report)]
        monitor = None
        if settings.sample_photos:
            noise = np.random.default_rng(settings.seed).uniform(
                -1, 1, (settings.sample_colorings, gan.settings.noise_size)
            )
            monitor = monitoring.GANMonitor(
                log,
                os.path.join(settings.run_dir, "samples"),
                self.sample_photos(),
                noise.astype(np.float32),
                settings.sample_every,
            )
            callbacks.append(monitor)
        if settings.profile_steps:
            callbacks.append(monitoring.ProfileWindow(logs_dir, *settings.profile_steps))
        return log, monitor, callbacks

    def sample_photos(self) -> np.ndarray:
        """The fixed photos of the grids, float [count, s, s, 3] in [0, 1]: the first of their source.

        BrokenData where one cannot be read; with --skip_corrupt such are left out.
        """
        settings = self.settings
        source = sample_source(settings, self.gan.settings, self.source)
        if settings.skip_corrupt and source is not self.source:  # the photos trained on are sound already
            source, _ = salvage(source, os.path.join(settings.run_dir, SALVAGED))
        try:
            first = records.photos_of(source).take(settings.sample_photos)
            return np.stack([photo["rgb"] for photo in first.as_numpy_iterator()])
        except tf.errors.OpError as error:
            raise BrokenData(f"{first_problem(source) or error}; {MENDING}") from None


def sample_source(settings, model, training: records.Source) -> records.Source:
    """Where the grids take their photos: val of --val_data or --data, or where there is none the photos trained on.

    ValueError in one line where it cannot serve.
    """
    directory = settings.val_data or settings.data
    split = "val" if records.DatasetInfo.read(directory).count("val") else "train"
    if not settings.val_data and split == training.split:
        return training
    return records.open_split(directory, split, model.image_size, may_resize=True, may_be_damaged=settings.skip_corrupt)
