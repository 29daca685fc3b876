"""Small studies, and the server as a user starts it, for the tests of the Turing test."""

import os
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import numpy as np

from colorgan_tf.study import build
from colorgan_tf.study.manifest import Declared, Study

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPEN = Declared(too_fast=0.0, exclude_always_none=False, margin=0.1)  # filters nobody


class FakeGenerator(SimpleNamespace):
    """Behaves as inference.Generator: grey plus a tint and a slope that come from the noise."""

    def __call__(self, gray, noise):
        tint = 0.2 * noise[:, None, None, :3]
        rgb = gray * (1.0 + 0.5 * noise[:, None, None, 3:6]) + tint
        return np.clip(rgb, 0.0, 1.0).astype(np.float32), np.zeros((*gray.shape[:3], 2), np.float32)


def fake_generator(run="fake", side=16, any_size=True) -> FakeGenerator:
    return FakeGenerator(
        path=f"/exports/{run}/1", checksum="0" * 64, image_size=side, noise_size=8, any_size=any_size, info={"run": run}
    )


def make_photos(count, side, seed=5):
    """(key, 8-bit picture as float [side, side, 3]): coarse noise, as unlike the smooth colourings as can be."""
    rng = np.random.default_rng(seed)
    return [(f"photo-{i}", (rng.integers(0, 256, (side, side, 3)) / 255.0).astype(np.float32)) for i in range(count)]


def make_study(directory, questions=6, generated=4, side=16, runs=("fake",), declared=OPEN, seed=0) -> Study:
    """Builds a study in `directory` and reads it back."""
    plan = build.Plan(questions, generated, seed, side, "test", "val", declared)
    photos = make_photos(questions + 4, side)
    build.build(plan, [fake_generator(run, side) for run in runs], photos, len(photos), str(directory))
    return Study.read(str(directory))


def survey(*arguments) -> subprocess.CompletedProcess:
    """Runs survey.py to its end."""
    command = [sys.executable, os.path.join(ROOT, "survey.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)


class Server:
    """`survey.py serve` as a process of its own."""

    def __init__(self, study_directory, port=0, *arguments):
        command = [sys.executable, os.path.join(ROOT, "survey.py"), "serve", f"--study={study_directory}"]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe: one that nobody reads stops the server
        self.process = subprocess.Popen(
            [*command, f"--port={port}", *arguments], stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=ROOT
        )
        line = self.process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(f"no server: {line}{self.stderr()}")
        self.url = line.split("is at ")[1].split(" ")[0].rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])

    def stderr(self) -> str:
        """What the server has complained about so far."""
        self.errors.seek(0)
        return self.errors.read()

    def kill(self):
        """kill -9: nothing can be tidied up."""
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._close()

    def _close(self):
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
