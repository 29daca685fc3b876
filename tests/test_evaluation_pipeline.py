"""The evaluation as a whole, without models: the Frechet distance with and without weights, memory, failures."""

import json
import os
import pathlib
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from colorgan_tf.evaluation import pipeline, report


def stream(count, size=12):
    """Photos made one at a time, so that nobody holds them all."""
    for i in range(count):
        yield f"photo-{i:04d}", np.random.default_rng(i).uniform(size=(size, size, 3)).astype(np.float32)


class Noisy:
    """A system that adds noise to the truth."""

    name, k, about = "noisy", 3, {}

    def paint(self, batch):
        noise = np.random.default_rng(0).normal(0, 0.1, (len(batch.keys), self.k, *batch.rgb.shape[1:]))
        return np.clip(batch.rgb[:, None] + noise, 0, 1).astype(np.float32)


def settings(**changes):
    return pipeline.Settings(**{"k": 3, "image_size": 12, "batch_size": 8, "classifier_photos": 0} | changes)


class FakeInception:
    """Mean colours as features; says it is not the published file."""

    published, sha256, size = False, "0" * 64, 3

    def __init__(self, weights):
        self.source = weights

    def __call__(self, rgb):
        return 10 * rgb.mean(axis=(1, 2))


def test_weights_that_are_there_give_distances_and_say_whose_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "Inception", FakeInception)
    output = str(tmp_path / "report")
    report = pipeline.evaluate(stream(20), "made up", [Noisy()], settings(feature_weights="w.h5"), output)
    assert report["systems"]["noisy"]["frechet_distance"] < report["systems"]["grey"]["frechet_distance"]
    assert report["systems"]["truth"]["frechet_distance"] is None
    assert report["feature_weights"] == {"source": "w.h5", "sha256": "0" * 64}
    assert any("not the file that Keras publishes" in note for note in report["notes"])
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == json.loads(json.dumps(report))


def test_weights_that_cannot_be_downloaded_give_null_and_a_line_but_a_named_file_is_an_error(tmp_path, monkeypatch):
    def fails(weights):
        raise ValueError(f"{weights} cannot be had")

    monkeypatch.setattr(pipeline, "Inception", fails)
    output, lines = str(tmp_path / "report"), []
    report = pipeline.evaluate(
        stream(20), "made up", [Noisy()], settings(feature_weights="download"), output, progress=lines.append
    )
    assert all(entry["frechet_distance"] is None for entry in report["systems"].values())
    assert report["feature_weights"] is None
    assert report["notes"] == ["No Frechet distance: download cannot be had."] and lines[0] == report["notes"][0]
    with pytest.raises(ValueError, match="w.h5 cannot be had"):
        pipeline.evaluate(stream(20), "made up", [], settings(feature_weights="w.h5"), str(tmp_path / "other"))
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_memory_does_not_grow_with_the_photos(tmp_path):
    def peak(count):
        tracemalloc.start()
        try:
            output = str(tmp_path / f"report{count}")
            pipeline.evaluate(stream(count, 24), "made up", [Noisy()], settings(image_size=24), output)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(24), peak(96)  # 24: more than are kept for the pictures
    # 72 photos more, with three colourings each, would be 2 MB; their keys in the report are some 10 KB.
    assert many - few < 200_000


def test_a_failure_late_leaves_the_earlier_report_alone(tmp_path, monkeypatch):
    output = tmp_path / "report"
    pipeline.evaluate(stream(9), "made up", [], settings(), str(output))
    before = (output / "report.json").read_bytes()

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(pipeline.report, "write", fails)
    with pytest.raises(OSError, match="disk full"):
        pipeline.evaluate(stream(12), "made up", [], settings(), str(output))
    assert (output / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_side_by_side_shows_what_it_says(tmp_path):
    """Row by row: grey, truth, then three colourings by each system, of the photos the report names."""
    output = tmp_path / "report"
    report = pipeline.evaluate(stream(10), "made up", [Noisy()], settings(), str(output))
    page = np.asarray(Image.open(output / "pictures" / "side_by_side.png"))[14:]  # below the names
    truth = dict(stream(10))
    for row, key in enumerate(report["photos"]["pictured"][:8]):
        shown = page[row * 14 : row * 14 + 12]
        np.testing.assert_array_equal(shown[:, 14:26], np.round(255 * truth[key]).astype(np.uint8))
        grey = shown[:, :12].astype(int)
        assert (grey == grey[..., :1]).all()
        np.testing.assert_allclose(grey[..., 0], 255 * truth[key] @ [0.299, 0.587, 0.114], atol=1.0)  # 8 bits, twice
    assert page.shape[:2] == (8 * 14 - 2, 8 * 14 - 2)  # grey, truth, three shuffled, three noisy


def test_a_report_takes_only_its_own_earlier_parts_place(tmp_path):
    folder, link = tmp_path / "report", tmp_path / "link"
    with report.begun(str(folder)) as partial:
        (pathlib.Path(partial) / "report.json").write_text("old")
        (pathlib.Path(partial) / "pictures").mkdir()
        (pathlib.Path(partial) / "pictures" / "old.png").touch()
    link.symlink_to(folder)
    report.check_output(str(link))
    with pytest.raises(KeyboardInterrupt), report.begun(str(link)) as partial:
        (pathlib.Path(partial) / "report.json").write_text("half")
        raise KeyboardInterrupt
    assert sorted(path.name for path in folder.iterdir()) == ["pictures", "report.json"]
    assert (folder / "report.json").read_text() == "old"
    with report.begun(str(link)) as partial:
        (pathlib.Path(partial) / "report.json").write_text("new")
        (pathlib.Path(partial) / "pictures").mkdir()
    assert (folder / "report.json").read_text() == "new" and not list((folder / "pictures").iterdir())
    assert link.is_symlink() and sorted(os.listdir(link)) == ["pictures", "report.json"]

    (folder / "mine.txt").touch()
    with pytest.raises(ValueError, match="mine.txt there is no part of a report"):
        report.check_output(str(folder))
    with pytest.raises(OSError, match="--output=.*mine.txt/x: cannot write there"):
        report.check_output(str(folder / "mine.txt" / "x"))
    report.check_output(str(tmp_path / "free"))
    assert not (tmp_path / "free").exists()
