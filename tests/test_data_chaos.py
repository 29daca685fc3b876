"""Conversions that are killed, or run out of disk, anywhere: what was finished stays, and in the end it is all there.

The short form kills at a sample of places. COLORGAN_FULL=1 kills 50 conversions at random moments, one at every single
file operation, the program as a whole in 5 runs, and fuzzes with 2,000 photos (test_data_fuzz.py).
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
from conversion_tools import digests, run

from data.rooms import RoomSource
from data.shards import OutputError

FULL = os.environ.get("COLORGAN_FULL") == "1"
ROOMS, SIZE = 150, 8
# TensorFlow's threads are idle in the children, which only write files.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
FILE_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def convert(output, **options):
    return run(RoomSource(ROOMS, 0), output, image_size=SIZE, **options)


def in_child(action) -> int:
    """Runs `action` in a fork of this process; returns its wait status. Nothing of it but files comes back."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:
            os._exit(3)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def convert_and_die(output, at: int, **options) -> None:
    """Converts, and kills -9 itself just before file operation number `at` below the output's parent."""
    seen = 0

    def step():
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):
        if event in FILE_OPERATIONS and arguments and str(output) in str(arguments[0]):
            step()

    sys.addaudithook(hook)
    convert(output, on_progress=lambda progress: step(), **options)  # also between the records of a shard


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chaos") / "whole"
    convert(folder)
    return digests(folder)


def resume_until_done(output, first: int, step: int) -> int:
    """Kills at operation `first`, then again `step` operations further on in each resumed run; returns the kills."""
    kills = 0
    while True:
        at = first + kills * step
        status = in_child(lambda at=at: convert_and_die(output, at))
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return kills
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert not output.exists() or "dataset.json" in os.listdir(output)  # whole or not at all
        kills += 1


@pytest.mark.parametrize("first", range(1, 120) if FULL else sorted(random.Random(1).sample(range(1, 120), 12)))
def test_killed_at_a_file_operation(tmp_path, whole, first):
    output = tmp_path / "out"
    status = in_child(lambda: convert_and_die(output, first))
    assert not output.exists() or digests(output) == whole
    if os.WIFSIGNALED(status):
        try:
            convert(output)
        except OutputError as error:  # nothing was left to do but to remove an empty directory
            assert "exists already" in str(error)
    assert digests(output) == whole
    assert os.listdir(tmp_path) == ["out"]


def test_killed_again_and_again(tmp_path, whole):
    kills = resume_until_done(tmp_path / "out", 10, 7)
    assert kills >= 2
    assert digests(tmp_path / "out") == whole and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("last", range(1, 16) if FULL else (1, 3, 5))
def test_killed_while_replacing_an_older_directory(tmp_path, whole, operations, last):
    """Counted from the end, where the old directory makes way for the new one: one of the two is always whole."""
    output = tmp_path / "out"
    run(RoomSource(20, 3), output, image_size=SIZE)
    old = digests(output)
    status = in_child(lambda: convert_and_die(output, operations + 3 - last, overwrite=True))
    partial = tmp_path / "out.partial"
    places = [folder for folder in (output, partial / "old", partial / "shards") if folder.is_dir()]
    assert any(digests(folder) in (old, whole) for folder in places)
    if os.WIFSIGNALED(status):
        convert(output, overwrite=True)
    assert digests(output) == whole and sorted(os.listdir(tmp_path)) == ["out"]


@pytest.fixture(scope="module")
def operations(tmp_path_factory) -> int:
    """How many of them a conversion has."""
    output = tmp_path_factory.mktemp("count") / "out"
    low, high = 1, 400  # the first number at which nothing is killed any more
    while low < high:
        middle = (low + high) // 2
        status = in_child(lambda at=middle: convert_and_die(output, at))
        shutil.rmtree(output, ignore_errors=True)
        shutil.rmtree(f"{output}.partial", ignore_errors=True)
        low, high = (middle + 1, high) if os.WIFSIGNALED(status) else (low, middle)
    print(f"{low - 1} file operations")
    return low - 1


def _killed_at_random(start, runs: int, typical: float, rng: random.Random) -> int:
    """Runs each `start(number)` (a pid) to its end, killed at random moments on the way; returns how many kills."""
    kills = 0
    for number in range(runs):
        patience = typical  # grows, so that a machine that became slower does not kill every attempt at its start
        while True:
            pid, deadline = start(number), time.monotonic() + rng.uniform(0.0, 1.2) * patience
            while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
                time.sleep(0.002)
            if ended[0]:
                assert os.WIFEXITED(ended[1]) and os.WEXITSTATUS(ended[1]) == 0
                break
            os.kill(pid, signal.SIGKILL)
            if os.WIFSIGNALED(os.waitpid(pid, 0)[1]):
                kills, patience = kills + 1, 1.3 * patience
            else:
                break  # it had just ended
    return kills


def test_killed_at_random_moments(tmp_path, whole):
    """50 conversions, killed -9 whenever it happens to be and resumed until they end by themselves (8 of them here)."""

    def start(number: int) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                convert(tmp_path / str(number))
            except OutputError as error:  # killed when all but an empty directory was cleaned up
                os._exit(0 if "exists already" in str(error) else 3)
            except BaseException:
                os._exit(3)
            os._exit(0)
        return pid

    began = time.monotonic()
    assert os.waitpid(start(999), 0)[1] == 0
    runs = 50 if FULL else 8
    kills = _killed_at_random(start, runs, time.monotonic() - began, random.Random(2))
    print(f"{kills} kills in {runs} runs")
    assert kills >= 2  # how many hit before the end depends on the machine's load; the results must not
    assert all(digests(tmp_path / str(number)) == whole for number in range(runs))
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(not FULL, reason="COLORGAN_FULL=1: 5 runs of the program, with its start-up")
def test_the_program_killed_at_random_moments(tmp_path):
    """With worker processes, which must neither outlive it nor disturb the next attempt."""
    command = [sys.executable, "-m", "data.convert", "--source=rooms", "--max_images=600", "--image_size=32"]

    def start(number: int) -> int:
        output = f"--output={tmp_path}/{number}"
        return subprocess.Popen([*command, output, "--workers=2"], stderr=subprocess.DEVNULL).pid

    began = time.monotonic()
    assert os.waitpid(start(999), 0)[1] == 0
    kills = _killed_at_random(start, 5, time.monotonic() - began, random.Random(2))
    print(f"{kills} kills in 5 runs")
    assert kills >= 2
    assert all(digests(tmp_path / str(number)) == digests(tmp_path / "999") for number in range(5))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_says_how_to_go_on_when_it_is_stopped(tmp_path, number):
    output = tmp_path / "out"
    command = [sys.executable, "-m", "data.convert", "--source=rooms", "--max_images=100000", "--image_size=32"]
    process = subprocess.Popen(
        [*command, f"--output={output}", "--workers=2"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    while "images/s" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1] == "convert: interrupted; the same command goes on from the last finished shard"
    assert "Traceback" not in err and not output.exists() and (tmp_path / "out.partial/plan.json").exists()


@pytest.mark.parametrize("seed", range(40 if FULL else 6))
def test_a_file_system_that_refuses_writes_at_a_random_byte(tmp_path, whole, seed):
    """A limit on file size makes write() fail at that byte, as a full disk does, in whichever file reaches it."""
    output = tmp_path / "out"
    done = in_child(lambda: convert_and_die(output, 40))  # something is finished before the trouble begins
    assert os.WIFSIGNALED(done)
    finished = {
        name: digest for name, digest in digests(output.with_name("out.partial") / "shards").items() if name in whole
    }

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            convert(output)
        except (OutputError, OSError) as error:
            os._exit(10 if "\n" not in str(error) else 11)

    limit = random.Random(seed).randrange(1, 4000)  # a shard has about 4,600 bytes
    status = in_child(limited)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 10
    assert not output.exists()
    after = digests(output.with_name("out.partial") / "shards")
    assert finished and finished.items() <= after.items()
    convert(output)
    assert digests(output) == whole


def test_a_full_disk_is_one_line(tmp_path):
    """The program on a file system of 3 MiB; where mounting is not allowed, with a limit on file size instead."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], capture_output=True).returncode == 0
    )
    command = [sys.executable, "-m", "data.convert", "--source=rooms", "--max_images=600", "--workers=1"]

    def limit():
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    try:
        done = subprocess.run([*command, f"--output={small}/out"], capture_output=True, text=True, preexec_fn=limit)
        lines = [line for line in done.stderr.splitlines() if line.startswith("convert:")]  # TensorFlow 2.21 chats too
        assert done.returncode == 1 and len(lines) == 1 and f"{small}/out" in lines[0], done.stderr
        assert "Traceback" not in done.stderr
        assert not (small / "out").exists()
        if mounted:
            assert list((small / "out.partial/state").iterdir())
            subprocess.run(["mount", "-o", "remount,size=60m", small], check=True)  # somebody freed space
        again = subprocess.run([*command, f"--output={small}/out"], capture_output=True, text=True)
        assert again.returncode == 0, again.stderr
        assert "600" in again.stderr or "train" in again.stdout
    finally:
        if mounted:
            subprocess.run(["umount", small], check=True)
