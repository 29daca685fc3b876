"""Which files a command means, and many at once: order, memory bound, failures."""

import errno
import os
import threading
import time

import pytest

from colorgan_tf import folders, pipeline


@pytest.fixture
def album(tmp_path):
    for name in ("a.jpg", "b.png", "b.tif", "notes.txt", "deep/er/C.JPEG", "out/a-1.png", "out/x/y.png"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "album"


def targets(inputs, output):
    return {job.source: job.target for job in folders.collect([str(i) for i in inputs], str(output)).jobs}


def test_folders_keep_their_structure_and_leave_results_alone(album):
    out = album / "out"
    assert targets([album], out) == {
        str(album / "a.jpg"): str(out / "a"),
        str(album / "b.png"): str(out / "b.png"),  # b.tif would be called the same
        str(album / "b.tif"): str(out / "b.tif"),
        str(album / "deep/er/C.JPEG"): str(out / "deep/er/C"),
    }


def test_other_files_are_counted_and_hidden_ones_are_not(album, tmp_path):
    for name in ("._a.jpg", ".DS_Store", ".thumbnails/a.jpg", "IMG_1.HEIC", "deep/IMG_2.heic", "README"):
        (album / name).parent.mkdir(exist_ok=True)
        (album / name).touch()
    inputs = [str(album), str(album / "IMG_1.HEIC"), str(album / "deep")]  # one by its name, one folder twice
    (album / "linked").symlink_to(album / "deep")
    found = folders.collect(inputs, str(tmp_path / "results"))
    sources = [job.source.removeprefix(str(album)) for job in found.jobs]
    assert [source for source in sources if "HEIC" in source] == ["/IMG_1.HEIC"]
    assert not [source for source in sources if "/." in source or "linked" in source]
    assert found.passed_over == {".txt": 1, ".heic": 1, "without extension": 1, "links to folders": 1}
    assert not found.unreadable


def test_folders_that_cannot_be_read_are_told(album, tmp_path, monkeypatch):
    real = os.scandir

    def scandir(path):  # tests may run as root, whom no folder refuses
        if os.fspath(path).endswith("er"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = folders.collect([str(album)], str(tmp_path / "results"))
    assert len(found.jobs) == 5 and found.unreadable == [f"{album / 'deep/er'}: Permission denied"]
    with pytest.raises(ValueError, match="deep/er: Permission denied"):
        folders.collect([str(album / "deep")], str(tmp_path / "results"))


def test_files_wildcards_and_repeats(album, tmp_path):
    found = targets([album / "*.jpg", album / "a.jpg", album / "**/*.JPEG"], tmp_path / "results")
    assert found == {str(album / "a.jpg"): str(tmp_path / "results/a"),
                     str(album / "deep/er/C.JPEG"): str(tmp_path / "results/C")}  # fmt: skip
    out = album / "out"
    assert str(out / "a-1.png") not in targets([album / "*"], out) and str(album / "a.jpg") in targets(
        [album / "*"], out
    )
    assert targets([album / "notes.txt"], tmp_path) == {
        str(album / "notes.txt"): str(tmp_path / "notes")
    }  # by its name


def test_a_name_with_brackets_is_a_file_first(tmp_path):
    (tmp_path / "photo[1].png").touch()
    assert list(targets([tmp_path / "photo[1].png"], tmp_path / "o")) == [str(tmp_path / "photo[1].png")]


def test_inputs_that_name_nothing_or_clash(album, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.jpg").touch()
    (tmp_path / "results").mkdir()
    for inputs, word in (
        ([album / "nothing.jpg"], "no such file"),
        ([album / "*.gif"], "nothing matches"),
        ([tmp_path / "empty"], "no photos"),
        ([album / "a.jpg", tmp_path / "other/a.jpg"], "would both become"),
        ([album / "a.jpg", tmp_path / "results"], "results: the output folder"),
    ):
        with pytest.raises(ValueError, match=word):
            targets(inputs, tmp_path / "results")


def test_results_are_named_by_number_and_the_sheet_is_last():
    job = folders.Job("in/a.tif", "out/a")
    assert job.results(2, ".jpg", True) == ["out/a-1.jpg", "out/a-2.jpg", "out/a-sheet.png"]
    assert job.results(1, ".webp", False) == ["out/a-1.webp"]


def test_all_are_done_and_failures_say_why():
    def work(job):
        if job % 5 == 0:
            raise ValueError(f"job {job}\nand more")
        if job == 7:
            raise KeyError("seven")
        if job == 8:
            raise MemoryError

    results = dict(pipeline.run(range(1, 23), work, lambda job: 1, 3, 100))
    assert sorted(results) == list(range(1, 23))
    assert results[5] == "job 5" and results[7] == "KeyError: 'seven'" and results[8] == "MemoryError"
    assert [job for job, why in results.items() if why is None and job % 5 == 0] == []


def test_costs_under_way_stay_within_the_budget():
    lock, now, seen = threading.Lock(), [0, 0], []

    def work(job):
        with lock:
            now[0], now[1] = now[0] + job, now[1] + 1
            seen.append(tuple(now))
        time.sleep(0.003)
        with lock:
            now[0], now[1] = now[0] - job, now[1] - 1

    costs = [1, 4, 2, 5, 3, 50, 1, 1, 6, 2] * 3
    assert len(list(pipeline.run(costs, work, lambda job: job, 4, 10))) == 30
    assert all(total <= 10 or running == 1 for total, running in seen)
    assert max(running for _, running in seen) > 1  # and yet several at once


def test_work_overlaps():
    barrier = threading.Barrier(3, timeout=20)  # passes only if three are under way together
    assert all(why is None for _, why in pipeline.run(range(6), lambda job: barrier.wait(), lambda job: 1, 3, 100))


def test_jobs_are_taken_as_they_are_needed():
    taken = []

    def jobs():
        for i in range(1000):
            taken.append(i)
            yield i

    results = pipeline.run(jobs(), lambda job: None, lambda job: 1, 2, 100)
    next(results)
    assert len(taken) < 20
    results.close()
