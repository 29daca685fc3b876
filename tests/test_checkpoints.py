"""Checkpoints: everything comes back, and nothing half-written is ever taken for one."""

import json
import os
import pathlib
import subprocess

import keras
import numpy as np
import pytest

from colorgan_tf import checkpoints
from colorgan_tf.checkpoints import Checkpoints, best_checkpoint, list_checkpoints, score
from colorgan_tf.failures import Diverged
from colorgan_tf.models import ModelSettings
from colorgan_tf.training import TrainingSettings, build

MODEL = ModelSettings(image_size=16, noise_size=4, generator_filters=(4, 4, 4, 4, 4), discriminator_filters=4)


def new_gan(seed=0, **changes):
    keras.utils.set_random_seed(seed)
    return build(TrainingSettings(data="", run_dir="", steps=1, ema_decay=0.9, **changes), MODEL)


@pytest.fixture(scope="module")
def gan():
    """A GAN whose every number is its own: weights, moments, counters."""
    gan = new_gan()
    rng = np.random.default_rng(0)
    for variable in everything(gan):
        if np.issubdtype(variable.numpy().dtype, np.floating):
            variable.assign(rng.normal(size=variable.shape))
    gan.d_optimizer.iterations.assign(17)
    return gan


def everything(gan):
    parts = (gan.generator, gan.discriminator, gan.ema_generator, gan.d_optimizer, gan.g_optimizer)
    return [variable for part in parts for variable in part.variables]


def steps(directory) -> list[int]:
    return [step for step, _ in list_checkpoints(directory)]


def save(gan, target: Checkpoints, step: int, **arguments) -> pathlib.Path:
    gan.step.assign(step)
    return pathlib.Path(target.save(**arguments))


def test_everything_comes_back(gan, tmp_path):
    save(gan, Checkpoints(tmp_path, gan), 7)
    other = new_gan(seed=1)
    manifest = Checkpoints(tmp_path, other).restore_latest()
    assert manifest["step"] == int(other.step.numpy()) == 7
    for mine, theirs in zip(everything(gan), everything(other), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)
    assert int(other.d_optimizer.iterations.numpy()) == 17


def test_an_empty_directory_is_a_new_run(gan, tmp_path):
    assert Checkpoints(tmp_path / "none", gan).restore_latest() is None


FIGURES = {"edge_agreement": 0.4, "colorfulness": 30.0, "truth_colorfulness": 30.0}


def test_the_newest_stay_and_the_best_besides(gan, tmp_path):
    target = Checkpoints(tmp_path, gan, keep=2)
    for step, agreement in enumerate([0.1, 0.5, 0.3, None, 0.2, 0.4], start=1):
        save(gan, target, step, figures=agreement and FIGURES | {"edge_agreement": agreement})
    assert steps(tmp_path) == [2, 5, 6]
    assert best_checkpoint(tmp_path) == str(tmp_path / "step-00000002")
    save(gan, target, 7, figures=FIGURES | {"edge_agreement": 0.6})
    assert steps(tmp_path) == [6, 7]


def test_the_score_wants_edges_and_colour():
    best = score(FIGURES)
    assert best == pytest.approx(0.4)
    assert score(FIGURES | {"colorfulness": 15.0}) == score(FIGURES | {"colorfulness": 60.0}) == pytest.approx(0.2)
    assert score(FIGURES | {"edge_agreement": 0.9, "colorfulness": 1.0}) < best  # grey pictures agree with everything
    assert score(FIGURES | {"edge_agreement": float("nan")}) == -1.0


@pytest.mark.parametrize("part", ["checkpoint.data-00000-of-00001", "checkpoint.index", "manifest.json"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_checkpoint_is_passed_over(gan, tmp_path, part, damage, caplog):
    target = Checkpoints(tmp_path, gan)
    save(gan, target, 1)
    file = save(gan, target, 2) / part
    content = bytearray(file.read_bytes())
    if damage == "changed" and part == "manifest.json":
        content = content.replace(b'"step": 2', b'"step": 3')
    elif damage == "changed":
        content[len(content) // 2] ^= 1
    file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    if damage == "gone":
        file.unlink()
    assert Checkpoints(tmp_path, gan).restore_latest()["step"] == 1
    assert "step-00000002: not a sound checkpoint" in caplog.text
    save(gan, target, 2)
    assert Checkpoints(tmp_path, gan).restore_latest()["step"] == 2


def test_a_damaged_one_takes_no_new_one_s_place(gan, tmp_path):
    before, target = Checkpoints(tmp_path, gan, keep=3), Checkpoints(tmp_path, gan, keep=1)
    figures = {"edge_agreement": 0.5, "colorfulness": 30.0, "truth_colorfulness": 30.0}
    save(gan, before, 1, figures=figures)
    damaged = save(gan, before, 9, figures=figures | {"edge_agreement": 0.9})
    save(gan, before, 4)
    (damaged / "checkpoint.index").write_bytes(b"x")
    assert target.restore_latest()["step"] == 4
    for step in (5, 6):
        assert save(gan, target, step).exists()
    assert steps(tmp_path) == [1, 6] and best_checkpoint(tmp_path) == str(tmp_path / "step-00000001")
    assert save(gan, target, 9).exists() and steps(tmp_path) == [1, 9]


def test_only_damaged_ones_are_an_error_and_not_a_new_run(gan, tmp_path):
    os.remove(save(gan, Checkpoints(tmp_path, gan), 1) / "checkpoint.index")
    with pytest.raises(ValueError, match="no checkpoint there can be read"):
        Checkpoints(tmp_path, gan).restore_latest()


def test_manifests_of_older_versions_are_read(gan, tmp_path):
    manifest = save(gan, Checkpoints(tmp_path, gan), 3, figures=FIGURES, restores=2) / "manifest.json"
    fields = json.loads(manifest.read_text())
    assert (fields.pop("figures"), fields.pop("restores")) == (FIGURES, 2)
    del fields["model"]["guided_radius"]  # a switch they did not have: off
    manifest.write_text(json.dumps(fields))
    restored = Checkpoints(tmp_path, gan).restore_latest()
    assert (restored["step"], restored["figures"], restored["restores"]) == (3, None, 0)


def test_another_optimizer_is_told(gan, tmp_path):
    save(gan, Checkpoints(tmp_path, gan), 1)
    with pytest.raises(ValueError, match="does not fit"):
        Checkpoints(tmp_path, new_gan(optimizer="rmsprop")).restore_latest()


def test_weights_that_are_not_finite_are_not_saved(gan, tmp_path):
    target = Checkpoints(tmp_path, gan)
    save(gan, target, 1)
    weight = gan.generator.trainable_variables[0]
    before = weight.numpy()
    weight.assign(np.where(np.arange(before.size).reshape(before.shape) == 3, np.nan, before))
    try:
        with pytest.raises(Diverged, match="is not finite"):
            save(gan, target, 2)
    finally:
        weight.assign(before)
    assert steps(tmp_path) == [1] and os.listdir(tmp_path) == ["step-00000001"]


def test_leftovers_of_a_killed_process_go(gan, tmp_path):
    target = Checkpoints(tmp_path, gan)
    save(gan, target, 1)
    (tmp_path / "step-00000002.partial").mkdir()
    (tmp_path / "step-00000002.partial" / "checkpoint.index").write_bytes(b"half")
    assert steps(tmp_path) == [1]
    target.remove_leftovers()
    assert os.listdir(tmp_path) == ["step-00000001"]


def test_a_disk_that_is_full_at_any_byte(gan, tmp_path):
    """Room for one checkpoint and for every part of a second: the first stays, the second is whole or not there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(f.stat().st_size for f in save(gan, Checkpoints(tmp_path / "measure", gan), 1).iterdir())
    limit = 4 * size + 200_000
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={limit}", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system needs the right to mount one")
    try:
        target = Checkpoints(disk / "checkpoints", gan)
        save(gan, target, 1)
        refused = 0
        for step, share in enumerate(np.linspace(0.0, 1.3, 14), start=2):
            room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "ballast").write_bytes(b"x" * max(0, room - int(share * size)))
            before = steps(disk / "checkpoints")
            try:
                save(gan, target, step)
                assert steps(disk / "checkpoints")[-1] == step
            except OSError as error:
                refused += 1
                assert str(error).startswith(f"{disk}/checkpoints/step-{step:08d}: cannot write the checkpoint (")
                assert steps(disk / "checkpoints") == before
            (disk / "ballast").unlink()
            assert not list((disk / "checkpoints").glob("*.partial"))
            for _, path in list_checkpoints(disk / "checkpoints"):
                checkpoints.read_manifest(path)
        assert 5 < refused < 14
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
