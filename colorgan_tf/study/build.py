"""Draws a study: photos, their colourings, names that tell nothing, and the manifest."""

import dataclasses
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Sequence

import numpy as np

from colorgan_tf import sampling
from colorgan_tf.color import luminance
from colorgan_tf.inference import Generator
from colorgan_tf.study import pictures
from colorgan_tf.study.manifest import TRUTH, Declared, Picture, Question, Study, System

PHOTOS_AT_ONCE = 16  # in one minibatch of Algorithm 2


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


def describe(generators: Sequence[Generator], names: Sequence[str | None] = ()) -> list[System]:
    """Names the systems: as `names` says where it does, else by their run or folder; doubles of those get a number.

    ValueError if two of `names` are the same, or one is "truth".
    """
    given = [name for name in names if name]
    if len({TRUTH, *given}) < 1 + len(given):
        raise ValueError(f"--model: the names {', '.join(given)}; expected them all different, and none to be {TRUTH}")
    systems: list[System] = []
    for generator, wish in itertools.zip_longest(generators, names):
        run, step = generator.info.get("run"), generator.info.get("step")
        folder, version = os.path.split(os.path.normpath(os.path.abspath(generator.path)))
        base = os.path.basename(os.path.normpath(str(run))) if run else ""
        base = base or (os.path.basename(folder) if version.isdecimal() else version)
        taken = {TRUTH, *given, *(system.name for system in systems)}
        name, number = wish or base, 2
        while not wish and name in taken:
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


def _chosen(plan, photos, available):
    """[(key, uint8 picture)] of the photos the seed draws, in the order of the questions."""
    order = [int(index) for index in np.random.default_rng(plan.seed).choice(available, plan.questions, replace=False)]
    wanted, found = set(order), {}
    for index, (key, rgb) in enumerate(photos):
        if index not in wanted:
            continue
        if rgb.shape != (plan.image_size, plan.image_size, 3):
            raise ValueError(f"photo {key} has the shape {rgb.shape}; expected {plan.image_size} square, 3 channels")
        found[index] = key, pictures.to_uint8(rgb)
        if len(found) == plan.questions:
            break
    if len(found) < plan.questions:
        raise ValueError(f"{plan.data}: split {plan.split} ended before its {available} photos")
    return [found[index] for index in order]


def _colourings(generator, truths, each, seed):
    """Algorithm 2: for every (key, uint8 picture) a list of `each` colourings of its grey version, uint8."""
    made = []
    for start in range(0, len(truths), PHOTOS_AT_ONCE):
        keys, photos = zip(*truths[start : start + PHOTOS_AT_ONCE], strict=True)
        gray = luminance(np.stack(photos).astype(np.float32) / 255.0)
        rgb, _ = sampling.sample(generator, gray, keys, each, generator.noise_size, seed)
        try:
            made += [[pictures.to_uint8(colouring) for colouring in of_photo] for of_photo in rgb]
        except ValueError as error:
            raise ValueError(f"{generator.path}: {error}") from None
    return made


def build(
    plan: Plan,
    generators: Sequence[Generator],
    photos: Iterable[tuple[str, np.ndarray]],
    available: int,
    output: str,
    names: Sequence[str | None] = (),
) -> int:
    """Writes a study to the directory `output`, which must not exist: it appears whole or not at all.

    photos: (key, float RGB [s, s, 3] in [0, 1]) in a fixed order, `available` of them; s = plan.image_size.
    names: of the generators; see `describe`.
    Returns the number of questions in which at least two pictures are the same, pixel for pixel.
    ValueError in one line where the plan does not fit.
    """
    check(plan, generators, available)
    systems = describe(generators, names)
    if os.path.exists(output):
        raise ValueError(f"{output}: is already there; --output must be a new directory")
    truths = _chosen(plan, photos, available)
    each = plan.generated // len(generators)
    painted = [_colourings(generator, truths, each, plan.seed) for generator in generators]
    questions, encoded, alike = [], {}, 0
    for index, (key, truth) in enumerate(truths):
        group = [(TRUTH, truth)]
        for system, colourings in zip(systems, painted, strict=True):
            group += [(system.name, colouring) for colouring in colourings[index]]
        files = {pictures.random_name(): pictures.encode(pixels) for _, pixels in group}
        encoded |= files
        alike += len(set(files.values())) < len(files)
        shown = zip(files, group, strict=True)
        questions.append(Question(key, tuple(Picture(name, system) for name, (system, _) in shown)))
    study = Study(
        seed=plan.seed,
        image_size=plan.image_size,
        data=plan.data,
        split=plan.split,
        secret=secrets.token_hex(32),
        declared=plan.declared,
        systems=tuple(systems),
        questions=tuple(questions),
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
