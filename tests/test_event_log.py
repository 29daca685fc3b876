"""TensorBoard's files on a disk that fills up, and after a run went back."""

import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from colorgan_tf.event_log import EventLog, drop_events_after, whole_events


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(path)], capture_output=True).returncode:
        pytest.skip("a small file system needs the right to mount one")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def write(log, step):
    """A scalar and some 30 kB of picture that cannot be compressed."""
    with log.as_default(step=step):
        tf.summary.scalar("curve", 2.0 * step)
        noise = np.random.default_rng(step).integers(0, 256, (1, 100, 100, 3), dtype=np.uint8)
        tf.summary.image("picture", noise)


def shown(directory, tag) -> list:
    """(step, tensor) as TensorBoard shows them."""
    events = EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()
    return [(e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]


def curve(directory) -> list[tuple[int, float]]:
    return [(step, float(value)) for step, value in shown(directory, "curve")]


def test_a_full_disk_costs_the_events_of_that_time_only(small_disk, caplog):
    logs, ballast = small_disk / "logs", small_disk / "ballast"
    log = EventLog(str(logs))
    for step in range(12):
        if step == 3:  # room for one event and half of the next
            ballast.write_bytes(b"x" * (400_000 - 45_000 - sum(f.stat().st_size for f in logs.iterdir())))
        if step == 7:
            ballast.unlink()
        write(log, step)
    log.close()
    steps = [step for step, _ in curve(logs)]
    pictures = [step for step, _ in shown(logs, "picture")]
    for kept in steps, pictures:
        assert kept[:4] == [0, 1, 2, 3] and kept[-5:] == [7, 8, 9, 10, 11]
        assert kept == sorted(set(kept))
    assert len(pictures) < 12  # the disk was full indeed
    assert all(value == 2.0 * step for step, value in curve(logs))
    assert [record.message.count("cannot write the log") for record in caplog.records] == [1]
    for path in logs.iterdir():
        assert whole_events(path) == (path.stat().st_size, path.stat().st_size)


def test_a_run_that_goes_back_leaves_one_curve(tmp_path):
    first = EventLog(str(tmp_path))
    for step in range(1, 9):
        write(first, step)
    first.close()
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 7)  # killed in the middle of an event
    drop_events_after(str(tmp_path), 5)
    second = EventLog(str(tmp_path))
    for step in range(6, 11):
        write(second, step)
    second.close()
    assert curve(tmp_path) == [(step, 2.0 * step) for step in range(1, 11)]


def test_a_full_disk_leaves_the_old_curve_as_it_was(small_disk, caplog):
    log = EventLog(str(small_disk / "logs"))
    for step in range(6):
        write(log, step)
    log.close()
    (path,) = (small_disk / "logs").iterdir()
    before = path.read_bytes()
    (small_disk / "ballast").write_bytes(b"x" * (400_000 - len(before) - 30_000))
    drop_events_after(str(small_disk / "logs"), 4)
    assert path.read_bytes() == before
    assert os.listdir(small_disk / "logs") == [path.name]
    assert "cannot rewrite" in caplog.text
