"""Draws a study: photos, their colourings, names that tell nothing, and the manifest."""

import dataclasses
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Sequence

import numpy as np

from colorgan_tf.color import luminance
from colorgan_tf.inference import Generator
from colorgan_tf.study import pictures
from colorgan_tf.study.manifest import TRUTH, Declared, Picture, Question, Study, System


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be drawn."""

    questions: int
    generated: int  # colourings a question, in equal parts by every system
    seed: int  # draws photos and noise; names and orders come from the system's randomness
    image_size: int
    data: str
    split: str
    declared: Declared


def describe(generators: Sequence[Generator]) -> list[System]:
    """Names the systems: by their run where it is given, else by their folder; doubles get a number."""
    systems: list[System] = []
    for generator in generators:
        run, step = generator.info.get("run"), generator.info.get("step")
        folder, version = os.path.split(os.path.normpath(os.path.abspath(generator.path)))
        base = os.path.basename(os.path.normpath(str(run))) if run else ""
        base = base or (os.path.basename(folder) if version.isdecimal() else version)
        taken = {TRUTH, *(system.name for system in systems)}
        name, number = base, 2
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        systems.append(System(name, os.fspath(generator.path), generator.checksum, step, run))
    return systems


def check(plan: Plan, generators: Sequence[Generator], available: int) -> None:
    """ValueError in one line where the plan cannot be carried out with these systems and `available` photos."""
    if plan.questions > available:
        raise ValueError(
            f"--questions is {plan.questions}; {plan.data} has only {available} photos in its split {plan.split}"
        )
    if plan.generated % len(generators):
        raise ValueError(f"--generated is {plan.generated}; expected a multiple of the {len(generators)} models")
    for generator in generators:
        if not generator.any_size and generator.image_size != plan.image_size:
            raise ValueError(
                f"{generator.path}: takes {generator.image_size} x {generator.image_size} only; "
                f"the study is of {plan.image_size} x {plan.image_size}"
            )


def _colourings(plan, generators, systems, index, truth):
    """[(system name, uint8 picture)] of one question; each system has its own noise."""
    each = plan.generated // len(generators)
    gray = np.repeat(luminance(truth.astype(np.float32) / 255.0)[None], each, axis=0)
    made = []
    for number, (generator, system) in enumerate(zip(generators, systems, strict=True)):
        rng = np.random.default_rng([plan.seed, index, number])
        noise = rng.uniform(-1.0, 1.0, (each, generator.noise_size)).astype(np.float32)
        rgb, _ = generator(gray, noise)
        try:
            made += [(system.name, pictures.to_uint8(picture)) for picture in rgb]
        except ValueError as error:
            raise ValueError(f"{generator.path}: {error}") from None
    return made


def build(
    plan: Plan, generators: Sequence[Generator], photos: Iterable[tuple[str, np.ndarray]], available: int, output: str
) -> int:
    """Writes a study to the directory `output`, which must not exist: it appears whole or not at all.

    photos: (key, float RGB [s, s, 3] in [0, 1]) in a fixed order, `available` of them; s = plan.image_size.
    Returns the number of questions in which at least two pictures are the same, pixel for pixel.
    ValueError in one line where the plan does not fit.
    """
    check(plan, generators, available)
    if os.path.exists(output):
        raise ValueError(f"{output}: is already there; --output must be a new directory")
    systems = describe(generators)
    chosen = np.random.default_rng(plan.seed).choice(available, plan.questions, replace=False)
    chosen_set = {int(index) for index in chosen}
    questions, encoded, alike = {}, {}, 0
    for index, (key, rgb) in enumerate(photos):
        if index not in chosen_set:
            continue
        if rgb.shape != (plan.image_size, plan.image_size, 3):
            raise ValueError(f"photo {key} has the shape {rgb.shape}; expected {plan.image_size} square, 3 channels")
        truth = pictures.to_uint8(rgb)
        group = [(TRUTH, truth), *_colourings(plan, generators, systems, index, truth)]
        files = [pictures.encode(pixels) for _, pixels in group]
        names = [pictures.random_name() for _ in group]
        encoded.update(zip(names, files, strict=True))
        alike += len(set(files)) < len(files)
        questions[index] = Question(
            key, tuple(Picture(name, system) for name, (system, _) in zip(names, group, strict=True))
        )
        if len(questions) == plan.questions:
            break
    if len(questions) < plan.questions:
        raise ValueError(f"{plan.data}: split {plan.split} ended after {index + 1} of {available} photos")
    study = Study(
        seed=plan.seed,
        image_size=plan.image_size,
        data=plan.data,
        split=plan.split,
        secret=secrets.token_hex(32),
        declared=plan.declared,
        systems=tuple(systems),
        questions=tuple(questions[int(index)] for index in chosen),
    )
    _publish(study, encoded, output)
    return alike


def _publish(study, encoded, output):
    parent = os.path.dirname(os.path.abspath(output))
    os.makedirs(parent, exist_ok=True)
    aside = tempfile.mkdtemp(prefix=".study-", dir=parent)
    try:
        pictures.write(aside, encoded)
        study.write(aside)
        os.rename(aside, output)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
