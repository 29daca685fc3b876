"""Two processes on loopback: they train what one process trains, and the loss of either is told and mended."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from colorgan_tf.checkpoints import list_checkpoints
from colorgan_tf.workers import multi_worker, read_tf_config

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = [
    "--image_size=16",
    "--noise_size=6",
    "--generator_filters=4,4,4,4,4",
    "--discriminator_filters=4",
    "--batch_size=8",
    "--log_every=1",
    "--sample_every=4",
    "--sample_photos=2",
    "--sample_colorings=2",
    "--checkpoint_every=2",
    "--ema_decay=0.9",
    "--augmentation=flip_crop",
    "--deterministic",
]


def start(data, run_dir, log, *arguments, tf_config=None) -> subprocess.Popen:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    with open(log, "w") as file:
        return subprocess.Popen(
            [sys.executable, "train.py", f"--data={data}", f"--run_dir={run_dir}", *FLAGS, *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )


def free_addresses() -> list[str]:
    """Two ports of this machine that nobody listens at."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def start_two(data, run_dir, base, steps) -> list[tuple[subprocess.Popen, pathlib.Path]]:
    """The chief and the other worker, each with the file it writes to."""
    cluster = {"worker": free_addresses()}
    workers = []
    for i in range(2):
        log = base / f"worker-{i}-{steps}-{time.monotonic_ns()}.log"
        config = {"cluster": cluster, "task": {"type": "worker", "index": i}}
        arguments = ["--strategy=multi_worker", f"--steps={steps}"]
        workers.append((start(data, run_dir, log, *arguments, tf_config=config), log))
    return workers


def last_step(run_dir) -> int:
    return max((step for step, _ in list_checkpoints(run_dir / "checkpoints")), default=0)


def wait_for_step(run_dir, step, processes):
    deadline = time.monotonic() + 400
    while last_step(run_dir) < step:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process, _ in processes), [log.read_text() for _, log in processes]
        time.sleep(0.2)


def weights(run_dir, step) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / f"step-{step:08d}" / "checkpoint"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name}


def test_two_processes_train_what_one_does_whichever_of_them_is_killed(tiny_data, tmp_path):
    run_dir = tmp_path / "run"
    for victim in (1, 0):
        workers = start_two(tiny_data, run_dir, tmp_path, steps=100_000)
        try:
            wait_for_step(run_dir, last_step(run_dir) + 2, workers)
            workers[victim][0].kill()
            began = time.monotonic()
            survivor, log = workers[1 - victim]
            assert survivor.wait(timeout=60) == 69, log.read_text()
            print(f"worker {victim} killed, the other ended after {time.monotonic() - began:.1f} s")
        finally:
            for process, _ in workers:
                process.kill()
        lines = [line for line in log.read_text().splitlines() if line.startswith("train.py: ")]
        assert len(lines) == 1 and lines[0].startswith(f"train.py: worker {victim} (127.0.0.1:"), log.read_text()
        assert "is lost; the same commands" in lines[0]
        assert "Traceback" not in log.read_text()

    # SIGTERM to one of them, not the chief: both stop at the same iteration, with a checkpoint.
    workers = start_two(tiny_data, run_dir, tmp_path, steps=100_000)
    try:
        wait_for_step(run_dir, last_step(run_dir) + 2, workers)
        workers[1][0].send_signal(signal.SIGTERM)
        assert [process.wait(timeout=120) for process, _ in workers] == [75, 75], [
            log.read_text() for _, log in workers
        ]
        for _, log in workers:
            assert f"stopped at step {last_step(run_dir)} of 100000" in log.read_text()
    finally:
        for process, _ in workers:
            process.kill()

    steps = last_step(run_dir) + 2
    workers = start_two(tiny_data, run_dir, tmp_path, steps=steps)
    for process, log in workers:
        assert process.wait(timeout=400) == 0, log.read_text()
    assert last_step(run_dir) == steps
    assert not list(run_dir.rglob("*.partial*"))
    assert len(list((run_dir / "samples").iterdir())) == steps // 4
    assert "step" in workers[0][1].read_text() and "d_loss" not in workers[1][1].read_text()  # the chief alone reports

    alone = start(tiny_data, tmp_path / "alone", tmp_path / "alone.log", f"--steps={steps}", "--cpu_replicas=2")
    assert alone.wait(timeout=400) == 0, (tmp_path / "alone.log").read_text()
    ours, theirs = weights(run_dir, steps), weights(tmp_path / "alone", steps)
    assert ours.keys() == theirs.keys() and len(ours) > 50
    differences = {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours}
    print(f"{steps} steps; largest difference {max(differences.values()):.2g}")
    assert max(differences.values()) < 1e-5, max(differences, key=differences.get)


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_waits_for_the_other_says_so_and_can_be_stopped(tiny_data, tmp_path, index):
    """TensorFlow's own waiting is deaf to SIGTERM and Ctrl-C."""
    addresses = free_addresses()
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    log = tmp_path / "log"
    process = start(tiny_data, tmp_path / "run", log, "--strategy=multi_worker", "--steps=2", tf_config=config)
    try:
        deadline = time.monotonic() + 300
        while not listens(addresses[index]):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM if index else signal.SIGINT)
        assert process.wait(timeout=60) == 75, log.read_text()
    finally:
        process.kill()
    line = f"train.py: stopped while waiting for worker {1 - index} ({addresses[1 - index]}); nothing was trained"
    assert line in log.read_text().splitlines() and "Traceback" not in log.read_text()
    assert not last_step(tmp_path / "run")


def listens(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


def test_a_port_that_is_taken_is_told(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = {"cluster": {"worker": [f"127.0.0.1:{port}", "b:2"]}, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(config))
        with pytest.raises(ValueError, match=f"TF_CONFIG: cannot listen at port {port}.*in use"):
            multi_worker()


EXAMPLE = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}


@pytest.mark.parametrize(
    "config, expected",
    [
        (EXAMPLE, (("a:1", "b:2"), 1)),
        (
            {"cluster": {"chief": ["c:3"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}},
            (("c:3", "a:1"), 1),
        ),
        (
            {"cluster": {"chief": ["c:3"], "worker": ["a:1"]}, "task": {"type": "chief", "index": 0}},
            (("c:3", "a:1"), 0),
        ),
    ],
)
def test_tf_config_is_read(monkeypatch, config, expected):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert read_tf_config() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        json.dumps(EXAMPLE | {"task": {"type": "worker", "index": 2}}),
        json.dumps(EXAMPLE | {"task": {"type": "worker", "index": -1}}),
        json.dumps(EXAMPLE | {"task": {"type": "chief", "index": 0}}),
        json.dumps(EXAMPLE | {"cluster": {"ps": ["a:1"], "worker": ["b:2"]}}),
        json.dumps(EXAMPLE | {"cluster": {"chief": ["a:1", "c:1"], "worker": ["b:2"]}}),
        json.dumps(EXAMPLE | {"cluster": {"worker": ["a", "b:2"]}}),
        json.dumps(EXAMPLE | {"cluster": {"worker": ["a:1", "b:99999"]}}),
        json.dumps(EXAMPLE | {"cluster": {"worker": [1, 2]}}),
    ],
)
def test_a_wrong_tf_config_is_told(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG.*expected.*host1:2222") as error:
        read_tf_config()
    assert "\n" not in str(error.value)
