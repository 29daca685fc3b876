"""Checkpoints that appear whole or not at all, and are verified when they are read.

`checkpoints/step-00001500/` holds TensorFlow's checkpoint files and a `manifest.json` with the step, the model's
settings, the figures of the samples and the SHA-256 of every file. It is written under another name and renamed when
all is on the disk, so a killed process or a full disk leaves the older ones as they were.

The newest few stay, and the best: the one whose samples have the highest `score`.
"""

import dataclasses
import hashlib
import json
import logging
import math
import os
import re
import shutil

import numpy as np
import tensorflow as tf

from colorgan_tf.failures import Diverged
from colorgan_tf.models import ModelSettings

MANIFEST = "manifest.json"
PARTIAL = ".partial"
BROKEN = ".broken"
_NAME = re.compile(r"step-(\d{8,})")
_logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run: everything `gan` needs to go on as if it had never stopped."""

    def __init__(self, directory: str, gan, keep: int = 3):
        """gan: a compiled ColorGAN. keep: how many of the newest stay; the best one stays besides."""
        self.directory = directory
        self.keep = keep
        self.settings = gan.settings
        self._step = gan.step
        networks = {"generator": gan.generator, "discriminator": gan.discriminator}
        if gan.ema_generator is not None:
            networks["ema_generator"] = gan.ema_generator
        self._checkpoint = tf.train.Checkpoint(
            step=gan.step, d_optimizer=gan.d_optimizer, g_optimizer=gan.g_optimizer, **networks
        )
        self._variables = [
            variable
            for part in (*networks.values(), gan.d_optimizer, gan.g_optimizer)
            for variable in part.variables
            if np.issubdtype(variable.numpy().dtype, np.floating)
        ]

    def remove_leftovers(self):
        """Takes away what a killed process left half-written or half-removed."""
        if os.path.isdir(self.directory):
            for name in os.listdir(self.directory):
                if name.endswith(PARTIAL):
                    shutil.rmtree(os.path.join(self.directory, name), ignore_errors=True)

    def save(self, figures: dict[str, float] | None = None, restores: int = 0) -> str:
        """Writes the current step's checkpoint and drops the oldest; gives back its folder.

        figures: of the samples at this very step, by `monitoring.GANMonitor`. restores: how often the run has gone back
        to an earlier checkpoint. OSError in one line (a full disk, say) leaves everything as it was before the call.
        Diverged where a weight or a moment is not finite: such a checkpoint is worth less than none.
        """
        step = int(self._step.numpy())
        for variable in self._variables:
            if not np.isfinite(variable.numpy()).all():
                raise Diverged(f"step {step}: {variable.path} is not finite")
        target = os.path.join(self.directory, f"step-{step:08d}")
        partial = target + PARTIAL
        try:
            os.makedirs(self.directory, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            os.mkdir(partial)
            self._checkpoint.write(os.path.join(partial, "checkpoint"))
            manifest = {
                "step": step,
                "model": dataclasses.asdict(self.settings),
                "ema": hasattr(self._checkpoint, "ema_generator"),
                "figures": figures,
                "restores": restores,
                "sha256": {name: _sha256(os.path.join(partial, name)) for name in sorted(os.listdir(partial))},
            }
            with open(os.path.join(partial, MANIFEST), "w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
            for name in os.listdir(partial):
                _sync(os.path.join(partial, name))
            _sync(partial)
            if os.path.exists(target):  # copied there by hand, say
                _remove(target)
            os.rename(partial, target)
            _sync(self.directory)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise OSError(f"{target}: cannot write the checkpoint ({reason})") from None
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self._drop_old()
        return target

    def _drop_old(self):
        best = best_checkpoint(self.directory)
        for _, old in list_checkpoints(self.directory)[: -self.keep]:
            if old != best:
                _remove(old)

    def restore_latest(self) -> dict | None:
        """Restores the newest checkpoint that verifies and gives back its manifest; None where there is none.

        Broken ones are set aside with a warning, under a name that does not count, lest they take a new one's place.
        ValueError in one line where all are broken (they stay) or the newest sound one is of another architecture.
        """
        found, broken = list_checkpoints(self.directory), []
        for step, path in reversed(found):
            try:
                read_manifest(path)
            except ValueError as error:
                _logger.warning("%s; trying the one before", error)
                broken.append(path)
                continue
            manifest = self.restore(step)
            for other in broken:
                shutil.rmtree(other + BROKEN, ignore_errors=True)
                os.rename(other, other + BROKEN)
            return manifest
        if found:
            raise ValueError(f"{self.directory}: no checkpoint there can be read; expected at least one sound one")
        return None

    def restore(self, step: int) -> dict:
        """Restores the checkpoint of `step` and gives back its manifest; ValueError in one line where it cannot."""
        path = os.path.join(self.directory, f"step-{step:08d}")
        manifest = read_manifest(path)
        # What a checkpoint does not tell, its program did not know yet, and did as the default does.
        stored, wanted = _as_json(ModelSettings()) | manifest["model"], _as_json(self.settings)
        for field, value in wanted.items():
            # Which statistics the batch norms share changes no weight.
            if field != "synchronized_bn" and stored[field] != value:
                raise ValueError(
                    f"{path}: a checkpoint of another model: it has {field}={stored[field]}, the flags say {value}"
                )
        if manifest["ema"] != hasattr(self._checkpoint, "ema_generator"):
            raise ValueError(
                f"{path}: trained {'with' if manifest['ema'] else 'without'} --ema_decay, the flags differ"
            )
        try:
            status = self._checkpoint.read(os.path.join(path, "checkpoint"))
            status.assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{path}: does not fit this run's models and optimizers ({reason})") from None
        return manifest

    def drop_newest(self):
        """Gives up the newest checkpoint, unless it is the only one."""
        found = list_checkpoints(self.directory)
        if len(found) > 1:
            _remove(found[-1][1])


def list_checkpoints(directory: str) -> list[tuple[int, str]]:
    """(step, folder) of every finished checkpoint, oldest first."""
    if not os.path.isdir(directory):
        return []
    matches = [(_NAME.fullmatch(name), name) for name in os.listdir(directory)]
    return sorted((int(match[1]), os.path.join(directory, name)) for match, name in matches if match)


def best_checkpoint(directory: str) -> str | None:
    """The folder whose samples score highest, the newer of equals; None where no checkpoint has figures."""
    scored = [(score(figures), path) for path, figures in sampled_figures(directory)]
    return max(scored)[1] if scored else None


def score(figures: dict[str, float]) -> float:
    """How good samples are, up to 1: do colours stop where things stop, and is there as much colour as in the photos?

    Edge agreement times the smaller over the larger of the two colourfulnesses. Neither is enough alone: pictures in
    faint tints of their own luminance agree at every edge, and blotches can be as colourful as photos.
    """
    painted, truth = figures["colorfulness"], figures["truth_colorfulness"]
    value = figures["edge_agreement"] * min(painted, truth) / max(painted, truth, 1e-6)
    return value if math.isfinite(value) else -1.0


def sampled_figures(directory: str) -> list[tuple[str, dict[str, float]]]:
    """(folder, figures of the samples) of every checkpoint that has some, oldest first. Weights are not looked at."""
    found = []
    for _, path in list_checkpoints(directory):
        try:
            with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
                figures = json.load(file).get("figures")
        except (OSError, ValueError, AttributeError):
            continue  # restoring says what is wrong with it
        if figures:
            found.append((path, figures))
    return found


def read_manifest(path: str) -> dict:
    """The manifest of a checkpoint folder whose files are all there and unchanged; else ValueError in one line."""
    try:
        with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
        for name, digest in manifest["sha256"].items():
            if _sha256(os.path.join(path, name)) != digest:
                raise ValueError(f"{name} has changed since it was written")
        ModelSettings(**manifest["model"])
        if os.path.basename(path) != f"step-{manifest['step']:08d}":
            raise ValueError(f"{MANIFEST} is of step {manifest['step']}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a sound checkpoint ({error})") from None
    return {"figures": None, "restores": 0} | manifest


def _remove(path: str):
    """Removes a checkpoint folder so that a kill in between leaves it whole or gone."""
    removed = f"{path}.removed{PARTIAL}"
    shutil.rmtree(removed, ignore_errors=True)
    os.rename(path, removed)
    shutil.rmtree(removed, ignore_errors=True)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: str):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _as_json(settings: ModelSettings) -> dict:
    """The settings as a manifest has them: tuples are lists there."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))
