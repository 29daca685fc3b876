"""Checkpoints that appear whole or not at all, and are verified when they are read.

`checkpoints/step-00001500/` holds TensorFlow's checkpoint files and a `manifest.json` with the step, the model's
settings and the SHA-256 of every file. It is written under another name and renamed when all is on the disk, so a
killed process or a full disk leaves the older ones as they were.
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil

import tensorflow as tf

from colorgan_tf.models import ModelSettings

MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d{8,})")
_logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one run: everything `gan` needs to go on as if it had never stopped."""

    def __init__(self, directory: str, gan, keep: int = 3):
        """gan: a compiled ColorGAN. keep: how many of the newest stay; a marked best one stays besides."""
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

    def save(self) -> str:
        """Writes the current step's checkpoint and drops the oldest; gives back its folder.

        OSError (a full disk, say) leaves everything as it was before the call.
        """
        step = int(self._step.numpy())
        target = os.path.join(self.directory, f"step-{step:08d}")
        partial = target + ".partial"
        os.makedirs(self.directory, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            os.mkdir(partial)
            try:
                self._checkpoint.write(os.path.join(partial, "checkpoint"))
            except tf.errors.OpError as error:
                raise OSError(f"{target}: cannot write the checkpoint ({error.message})") from None
            manifest = {
                "step": step,
                "model": dataclasses.asdict(self.settings),
                "ema": hasattr(self._checkpoint, "ema_generator"),
                "sha256": {name: _sha256(os.path.join(partial, name)) for name in sorted(os.listdir(partial))},
            }
            with open(os.path.join(partial, MANIFEST), "w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
            for name in os.listdir(partial):
                _sync(os.path.join(partial, name))
            shutil.rmtree(target, ignore_errors=True)
            os.rename(partial, target)
            _sync(self.directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        for _, old in list_checkpoints(self.directory)[: -self.keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def restore_latest(self) -> int:
        """Restores the newest checkpoint that verifies and gives back its step; 0 where there is none.

        A broken one is passed over with a warning. ValueError in one line where all are broken or the newest sound one
        is of another architecture.
        """
        found = list_checkpoints(self.directory)
        for step, path in reversed(found):
            try:
                manifest = read_manifest(path)
            except ValueError as error:
                _logger.warning("%s; trying the one before", error)
                continue
            self._restore(path, manifest)
            return step
        if found:
            raise ValueError(f"{self.directory}: no checkpoint there can be read; expected at least one sound one")
        return 0

    def _restore(self, path: str, manifest: dict):
        stored, wanted = manifest["model"], json.loads(json.dumps(dataclasses.asdict(self.settings)))
        for field, value in wanted.items():
            # Which statistics the batch norms share changes no weight.
            if field != "synchronized_bn" and stored.get(field) != value:
                raise ValueError(
                    f"{path}: a checkpoint of another model: it has {field}={stored.get(field)}, the flags say {value}"
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


def list_checkpoints(directory: str) -> list[tuple[int, str]]:
    """(step, folder) of every finished checkpoint, oldest first."""
    if not os.path.isdir(directory):
        return []
    matches = [(_NAME.fullmatch(name), name) for name in os.listdir(directory)]
    return sorted((int(match[1]), os.path.join(directory, name)) for match, name in matches if match)


def read_manifest(path: str) -> dict:
    """The manifest of a checkpoint folder whose files are all there and unchanged; else ValueError in one line."""
    try:
        with open(os.path.join(path, MANIFEST), encoding="utf-8") as file:
            manifest = json.load(file)
        for name, digest in manifest["sha256"].items():
            if _sha256(os.path.join(path, name)) != digest:
                raise ValueError(f"{name} has changed since it was written")
        ModelSettings(**manifest["model"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a sound checkpoint ({error})") from None
    return manifest


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: str):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
