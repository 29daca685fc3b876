"""The converter as a whole: what it writes, that it writes all or nothing, and that it can be interrupted anywhere."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conversion_tools import digests, photo, records, run, write_photos
from PIL import Image

from data.folder import FolderSource
from data.rooms import RoomSource, draw_room
from data.shards import OutputError, Workspace
from data.sources import InputError


def program(*arguments: str, **options) -> subprocess.CompletedProcess:
    """python -m data.convert, as a user runs it."""
    command = [sys.executable, "-m", "data.convert", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_every_photo_arrives_once_with_its_pixels(tmp_path):
    write_photos(tmp_path / "in", 60)
    info = run(FolderSource([str(tmp_path / "in")]), tmp_path / "out")
    got = records(tmp_path / "out")
    everything = dict(got["train"] + got["val"])
    assert set(everything) == {f"p{i:03d}.png" for i in range(60)} and len(got["train"] + got["val"]) == 60
    assert info.count("train") == len(got["train"]) and info.count("val") == len(got["val"]) > 0
    for key, picture in everything.items():
        original = Image.open(tmp_path / "in" / key).crop((4, 0, 28, 24)).resize((16, 16), Image.Resampling.LANCZOS)
        # At the cut edges the filter may use what lies beyond, which is better and not the same.
        np.testing.assert_array_equal(picture[:, 3:-3], np.asarray(original)[:, 3:-3])
        assert np.abs(picture.astype(int) - np.asarray(original)).max() <= 8


def test_dataset_json_tells_the_whole_story(tmp_path):
    write_photos(tmp_path / "in", 40)
    run(FolderSource([str(tmp_path / "in")]), tmp_path / "out", seed=3, min_chroma=1.5)
    story = json.loads((tmp_path / "out/dataset.json").read_text())
    expected = {
        "name": "photos",
        "source": "folder",
        "image_size": 16,
        "seed": 3,
        "val_fraction": 0.2,
        "min_chroma": 1.5,
    }
    assert story | expected == story
    files = {shard["file"]: shard for shards in story["splits"].values() for shard in shards}
    assert set(files) | {"dataset.json"} == set(os.listdir(tmp_path / "out"))
    for name, digest in digests(tmp_path / "out").items():
        if name != "dataset.json":
            assert files[name]["sha256"] == digest
            assert files[name]["bytes"] == os.path.getsize(tmp_path / "out" / name)
    assert not (tmp_path / "out.partial").exists()


def test_enough_shards_for_the_readers(tmp_path):
    info = run(RoomSource(100, 0), tmp_path / "many", image_size=8, source="rooms", name="rooms")
    assert len(info.splits["train"]) == 8
    counts = [shard.count for shard in info.splits["train"]]
    assert max(counts) - min(counts) <= 1
    assert info.splits["train"][3].file == "rooms-train-00003-of-00008.tfrecord"
    few = run(RoomSource(3, 0), tmp_path / "few", image_size=8, val_fraction=0.0)
    assert [shard.count for shard in few.splits["train"]] == [1, 1, 1] and "val" not in few.splits
    large = run(RoomSource(60, 0), tmp_path / "large", image_size=128, val_fraction=0.9, shard_mib=1)
    sizes = [shard.bytes for shard in large.splits["val"]]
    assert len(sizes) > 1 and max(sizes) < 1.1 * 2**20


def test_left_out_photos_are_listed_with_the_reason_and_counts_add_up(tmp_path):
    write_photos(tmp_path / "in", 30)
    Image.new("RGB", (20, 20), (90, 92, 91)).save(tmp_path / "in/grey.png")
    (tmp_path / "in/broken.jpg").write_bytes(photo(0, file_format="JPEG")[:200])
    (tmp_path / "in/text.gif").write_text("hello")
    (tmp_path / "in/gone.png").symlink_to(tmp_path / "nowhere.png")
    source = FolderSource([str(tmp_path / "in")])
    info = run(source, tmp_path / "out", min_chroma=5.0)
    reasons = {entry["key"]: entry["reason"] for entry in info.left_out}
    assert set(reasons) == {"grey.png", "broken.jpg", "text.gif", "gone.png"}
    assert "near-grey" in reasons["grey.png"] and "5" in reasons["grey.png"]
    assert "cannot be read" in reasons["gone.png"]
    assert "cannot be decoded" in reasons["broken.jpg"] and "not a JPEG" in reasons["text.gif"]
    assert info.count("train") + info.count("val") + len(info.left_out) == 34


def test_a_photo_keeps_its_split_when_others_come_and_go(tmp_path):
    write_photos(tmp_path / "in", 50)
    few = run(FolderSource([str(tmp_path / "in")]), tmp_path / "few", max_images=30)
    write_photos(tmp_path / "in", 100, first=50)
    run(FolderSource([str(tmp_path / "in")]), tmp_path / "many", seed=8)
    before, after = records(tmp_path / "few"), records(tmp_path / "many")
    assert few.count("train") + few.count("val") == 30
    for split in ("train", "val"):
        assert {key for key, _ in before[split]} <= {key for key, _ in after[split]}


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path):
    for workers in (1, 2, 3):
        run(RoomSource(150, 5), tmp_path / str(workers), workers=workers, image_size=8)
    assert digests(tmp_path / "1") == digests(tmp_path / "2") == digests(tmp_path / "3")


def test_rooms_arrive_as_drawn(tmp_path):
    run(RoomSource(12, 5), tmp_path / "out", image_size=32)
    for key, picture in sum(records(tmp_path / "out").values(), []):
        np.testing.assert_array_equal(picture, draw_room(int(key.removeprefix("room-")), 5, 32).rgb)


def test_refuses_to_overwrite_until_told_to(tmp_path):
    run(RoomSource(10, 0), tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(OutputError, match="--overwrite"):
        run(RoomSource(10, 1), tmp_path / "out", seed=1)
    assert digests(tmp_path / "out") == before
    run(RoomSource(10, 1), tmp_path / "out", seed=1, overwrite=True)
    assert digests(tmp_path / "out") != before
    assert sorted(os.listdir(tmp_path)) == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_never_touches_a_directory_that_is_not_its_own(tmp_path, overwrite):
    (tmp_path / "home").mkdir()
    (tmp_path / "home/thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    for output in ("home", "file"):
        with pytest.raises(OutputError, match=output):
            run(RoomSource(10, 0), tmp_path / output, overwrite=overwrite)
    assert (tmp_path / "home/thesis.txt").read_text() == "years of work" and len(os.listdir(tmp_path)) == 2


class _Stop(Exception):
    pass


def stop_after(pictures):
    """A progress callback that ends the conversion, as an error anywhere in it would."""

    def callback(progress):
        if progress.fresh >= pictures:
            raise _Stop

    return callback


def test_nothing_is_in_place_until_all_is_and_finished_shards_are_not_made_again(tmp_path):
    run(RoomSource(200, 0), tmp_path / "whole", image_size=8)
    with pytest.raises(_Stop):
        run(RoomSource(200, 0), tmp_path / "out", image_size=8, on_progress=stop_after(120))
    assert not (tmp_path / "out").exists()
    finished = set(os.listdir(tmp_path / "out.partial/state"))
    assert len(finished) >= 3
    stamps = {name: os.stat(tmp_path / "out.partial/shards" / name[:-5]).st_mtime_ns for name in finished}
    seen = []
    run(RoomSource(200, 0), tmp_path / "out", image_size=8, on_progress=seen.append)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert {name: os.stat(tmp_path / "out" / name[:-5]).st_mtime_ns for name in finished} == stamps
    assert seen[-1].done == seen[-1].total == 200 and seen[-1].fresh < 120


def test_an_unfinished_conversion_is_not_continued_with_other_flags_or_photos(tmp_path):
    write_photos(tmp_path / "in", 80)

    def attempt(**changes):
        return run(FolderSource([str(tmp_path / "in")]), tmp_path / "out", **changes)

    with pytest.raises(_Stop):
        attempt(on_progress=stop_after(40))
    with pytest.raises(OutputError, match="--image_size=16"):
        attempt(image_size=32)
    (tmp_path / "in/new.png").write_bytes(photo(1000))
    with pytest.raises(OutputError, match="other input"):
        attempt()
    assert attempt(overwrite=True).count("train") > 0
    assert "new.png" in {key for part in records(tmp_path / "out").values() for key, _ in part}


def test_a_damaged_shard_of_an_interrupted_conversion_is_made_again(tmp_path):
    run(RoomSource(200, 0), tmp_path / "whole", image_size=8)
    with pytest.raises(_Stop):
        run(RoomSource(200, 0), tmp_path / "out", image_size=8, on_progress=stop_after(120))
    shard = next((tmp_path / "out.partial/shards").glob("*.tfrecord"))
    shard.write_bytes(shard.read_bytes()[:-7])
    run(RoomSource(200, 0), tmp_path / "out", image_size=8)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_two_conversions_do_not_share_a_place(tmp_path):
    with Workspace(str(tmp_path / "out"), False).held(), pytest.raises(OutputError, match="another conversion"):
        run(RoomSource(10, 0), tmp_path / "out")


def test_no_usable_photo_leaves_nothing_behind(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_text("not a photo")
    with pytest.raises(InputError, match=r"no picture is left.*a\.jpg.*not a JPEG"):
        run(FolderSource([str(tmp_path / "in")]), tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def test_the_program_from_tar_to_shards(tmp_path):
    """As typed: a wildcard that the shell did not expand, two worker processes, verification."""
    write_photos(tmp_path / "in", 30)
    subprocess.run(["tar", "-cf", tmp_path / "train-0.tar", "-C", tmp_path / "in", "."], check=True)
    done = program(
        "--source=folder",
        f"--input={tmp_path}/train-*.tar",
        f"--output={tmp_path}/out",
        "--image_size=16",
        "--workers=2",
    )
    assert done.returncode == 0, done.stderr
    assert "30" in done.stdout and "0 left out" in done.stdout and "images/s" in done.stderr
    check = subprocess.run([sys.executable, "-m", "data.verify", tmp_path / "out"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    assert {key for key, _ in records(tmp_path / "out")["train"]} <= {f"train-0.tar/p{i:03d}.png" for i in range(30)}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--source=folder"], "--input"),
        (["--source=folder", "--input={tmp}/nosuch"], "{tmp}/nosuch"),
        (["--source=folder", "--input={tmp}/empty"], "{tmp}/empty"),
        (["--source=lsun", "--input={tmp}/empty"], "{tmp}/empty"),
        (["--source=rooms"], "--max_images"),
        (["--source=rooms", "--max_images=5", "--input=x"], "--input"),
        (["--source=rooms", "--max_images=5", "--val_fraction=1.5"], "--val_fraction"),
        (["--source=rooms", "--max_images=5", "--image_size=0"], "--image_size"),
        (["--source=rooms", "--max_images=5", "--name=a/b"], "--name"),
        (["--source=oops"], "--source"),
    ],
)
def test_a_wrong_command_is_one_line_that_names_what_is_wrong(tmp_path, arguments, named):
    (tmp_path / "empty").mkdir()
    done = program(*[a.format(tmp=tmp_path) for a in arguments], f"--output={tmp_path}/out")
    assert done.returncode != 0
    message = [line for line in done.stderr.splitlines() if "Pass --help" not in line]
    assert len(message) == 1 and named.format(tmp=tmp_path) in message[0], done.stderr
    assert os.listdir(tmp_path) == ["empty"]


def test_workers_die_with_a_killed_parent(tmp_path):
    command = [sys.executable, "-m", "data.convert", "--source=rooms", "--max_images=100000", "--workers=2"]
    process = subprocess.Popen([*command, f"--output={tmp_path}/out"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while len(_children(process.pid)) < 3 and time.monotonic() < deadline:  # 2 workers, 1 resource tracker
            time.sleep(0.1)
        workers = _children(process.pid)
        assert len(workers) >= 3
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def _children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
