"""Runs that are killed, stopped, starved of disk, poisoned or fed broken records."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorgan_tf import training
from colorgan_tf.checkpoints import list_checkpoints, read_manifest
from colorgan_tf.failures import BrokenData, CannotSave, Diverged
from colorgan_tf.models import ModelSettings
from colorgan_tf.training import TrainingSettings
from tests.conftest import write_dataset

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHAOS_RUNS = 50 if os.environ.get("COLORGAN_FULL") else 2
MODEL = ModelSettings(image_size=16, noise_size=6, generator_filters=(4, 4, 4, 4, 4), discriminator_filters=4)
TINY = [
    "--image_size=16",
    "--noise_size=6",
    "--generator_filters=4,4,4,4,4",
    "--discriminator_filters=4",
    "--batch_size=4",
    "--log_every=1",
    "--sample_photos=0",
    "--checkpoint_every=1000",
]


def steps(run_dir) -> list[int]:
    return [step for step, _ in list_checkpoints(pathlib.Path(run_dir) / "checkpoints")]


def curve(run_dir) -> list[int]:
    """The iterations of TensorBoard's loss curve, in the order it shows them."""
    events = EventAccumulator(str(pathlib.Path(run_dir) / "logs"), size_guidance={"tensors": 0}).Reload()
    return [event.step for event in events.Tensors("train/g_loss")]


def test_chaos(tmp_path):
    """Trainings killed at random moments, also while they write a checkpoint, end with the same bits (chaos.py)."""
    done = subprocess.run(
        [sys.executable, "tests/chaos.py", f"--runs={CHAOS_RUNS}", f"--work={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600 * CHAOS_RUNS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["runs"] == CHAOS_RUNS and figures["anywhere"] + figures["in_save"] >= CHAOS_RUNS
    for run_dir in sorted(tmp_path.glob("run-??")):
        assert curve(run_dir) == list(range(1, 13))


def test_sigterm_and_ctrl_c_save_and_say_so(tiny_data, tmp_path):
    reached = 0
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [sys.executable, "train.py", f"--data={tiny_data}", f"--run_dir={tmp_path}", "--steps=1000000", *TINY],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        first = process.stdout.readline()
        assert int(re.match(r"step (\d+)/", first)[1]) == reached + 1, first
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 75, err
        stopped = re.search(r"stopped at step (\d+) of 1000000; the same command goes on from there", out)
        assert stopped and "stopping: after this iteration, with a checkpoint" in err and "Traceback" not in err
        assert steps(tmp_path)[-1] == int(stopped[1]) > reached
        reached = int(stopped[1])
    assert curve(tmp_path) == list(range(1, reached + 1))


def settings(data, run_dir, **changes) -> TrainingSettings:
    values = dict(batch_size=4, steps=12, log_every=1, sample_photos=0, checkpoint_every=2)
    return TrainingSettings(data=str(data), run_dir=str(run_dir), **(values | changes))


def test_a_full_disk_costs_checkpoints_and_logs_but_not_the_training(tiny_data, tmp_path, caplog):
    run_dir = tmp_path / "disk"
    run_dir.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(run_dir)], capture_output=True).returncode:
        pytest.skip("a small file system needs the right to mount one")

    def fill():
        disk = os.statvfs(run_dir)
        (run_dir / "ballast").write_bytes(b"x" * (disk.f_bavail * disk.f_frsize))

    def report(step, _):
        if step == 5:
            fill()
        if step == 9:
            assert steps(run_dir) == [2, 4]
            (run_dir / "ballast").unlink()

    try:
        assert training.train(settings(tiny_data, run_dir, sample_photos=1, sample_every=3), MODEL, report=report) == 12
        assert steps(run_dir) == [4, 10, 12]
        for _, path in list_checkpoints(run_dir / "checkpoints"):
            read_manifest(path)
        assert curve(run_dir)[:4] == [1, 2, 3, 4] and curve(run_dir)[-3:] == [10, 11, 12]
        assert sorted(path.name[5:13] for path in (run_dir / "samples").iterdir()) == [
            "00000003",
            "00000009",
            "00000012",
        ]
        for words in (
            "step-00000006: cannot write the checkpoint (",
            "cannot write the log",
            "cannot write the samples",
        ):
            assert words in caplog.text
        assert "training goes on from step 4 unsaved" in caplog.text

        with pytest.raises(CannotSave, match=r"step-00000016: cannot .*; the last sound one is of step 12"):
            training.train(
                settings(tiny_data, run_dir, steps=16, checkpoint_every=100),
                MODEL,
                report=lambda s, _: s == 14 and fill(),
            )
        assert steps(run_dir) == [4, 10, 12] and not list(run_dir.rglob("*.partial"))
        assert training.train(settings(tiny_data, run_dir, steps=12), MODEL) == 12  # and can be read again
    finally:
        subprocess.run(["umount", "--lazy", str(run_dir)], check=True)


@pytest.fixture
def poison(monkeypatch):
    """poison(step, times) makes a `report` that sets a weight to NaN behind that iteration, so many times."""
    models = []
    build = training.build
    monkeypatch.setattr(training, "build", lambda *arguments: models.append(build(*arguments)) or models[-1])

    def make(at, times=1000):
        left = [times]

        def report(step, _):
            if step == at and left[0]:
                left[0] -= 1
                weight = models[-1].generator.trainable_variables[0]
                weight.assign(np.full(weight.shape, np.nan))

        return report

    return make


def test_nan_stops_the_run_and_leaves_good_checkpoints(tiny_data, tmp_path, poison):
    with pytest.raises(Diverged, match=r"step 6: d_loss is not finite"):
        training.train(settings(tiny_data, tmp_path), MODEL, report=poison(5))
    assert steps(tmp_path) == [2, 4]


def test_nan_in_the_weights_of_a_checkpoint_is_noticed_before_it_is_written(tiny_data, tmp_path, poison):
    with pytest.raises(Diverged, match="is not finite"):
        training.train(settings(tiny_data, tmp_path), MODEL, report=poison(6))  # finite losses up to step 6
    assert steps(tmp_path) == [2, 4]


def test_restore_goes_back_and_comes_through(tiny_data, tmp_path, poison, caplog):
    end = training.train(settings(tiny_data, tmp_path, on_failure="restore"), MODEL, report=poison(7, times=1))
    assert end == 12 and steps(tmp_path) == [8, 10, 12]
    assert read_manifest(list_checkpoints(tmp_path / "checkpoints")[-1][1])["restores"] == 1
    assert "going on from step 6 with other noise" in caplog.text
    assert curve(tmp_path) == list(range(1, 13))


def test_restores_are_bounded_and_go_further_back_where_one_was_in_vain(tiny_data, tmp_path, poison, caplog):
    with pytest.raises(Diverged, match="gone back 3 times already"):
        training.train(settings(tiny_data, tmp_path, on_failure="restore"), MODEL, report=poison(7))
    assert re.findall(r"going on from step (\d+)", caplog.text) == ["6", "4", "6"]
    assert steps(tmp_path)


def test_a_failure_without_a_checkpoint_says_so(tiny_data, tmp_path, poison):
    with pytest.raises(Diverged, match="there is no checkpoint to go back to"):
        training.train(settings(tiny_data, tmp_path, on_failure="restore"), MODEL, report=poison(1))


def test_a_broken_record_is_named_or_skipped(tmp_path, caplog):
    data = write_dataset(tmp_path / "data")
    shard = sorted((tmp_path / "data").glob("*train*"))[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(BrokenData) as error:
        training.train(settings(data, tmp_path / "run"), MODEL)
    assert re.fullmatch(
        rf"{re.escape(str(shard))}: record \d+: .*; convert again, or .*--skip_corrupt.*", str(error.value)
    )
    assert training.train(settings(data, tmp_path / "run", skip_corrupt=True), MODEL) == 12
    assert f"{data}: 1 broken records skipped, 39 photos left" in caplog.text

    # The program says the same in one line, with a status of its own.
    done = subprocess.run(
        [sys.executable, "train.py", f"--data={data}", f"--run_dir={tmp_path / 'other'}", "--steps=12", *TINY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == BrokenData.status == 65
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("train.py: ")] == [f"train.py: {error.value}"]


def test_broken_photos_of_the_grids_are_named_or_skipped(tmp_path):
    data = write_dataset(tmp_path / "data")
    for shard in (tmp_path / "data").glob("*val*"):
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    changes = dict(sample_photos=6, sample_colorings=2, steps=2)
    with pytest.raises(BrokenData, match=r"val.*: record \d+: .*--skip_corrupt"):
        training.train(settings(data, tmp_path / "run", **changes), MODEL)
    assert training.train(settings(data, tmp_path / "run", skip_corrupt=True, **changes), MODEL) == 2


def test_truncated_shards_are_refused_before_anything_is_built(tmp_path):
    data = write_dataset(tmp_path / "data")
    shard = sorted((tmp_path / "data").glob("*train*"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match="bytes, .* says"):
        training.train(settings(data, tmp_path / "run"), MODEL)
    assert training.train(settings(data, tmp_path / "run", skip_corrupt=True, steps=2), MODEL) == 2


def test_the_order_of_photos_goes_on_after_a_restart(tiny_data, tmp_path):
    """Steps 1 to 6 in one go and in two give the same bits, averaged weights and moments included."""
    for directory, parts in (("one", [6]), ("two", [3, 6])):
        for part in parts:
            training.train(settings(tiny_data, tmp_path / directory, steps=part, ema_decay=0.9), MODEL)
    one, two = (
        tf.train.load_checkpoint(str(tmp_path / directory / "checkpoints" / "step-00000006" / "checkpoint"))
        for directory in ("one", "two")
    )
    names = [name for name in one.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    assert len(names) > 50
    for name in names:
        np.testing.assert_allclose(one.get_tensor(name), two.get_tensor(name), atol=1e-6, err_msg=name)
