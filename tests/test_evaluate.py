"""evaluate.py as its user runs it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import write_dataset
from PIL import Image
from standin import chroma as standin_chroma
from standin import write_export

from colorgan_tf import color, inference, metrics, sampling

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "evaluate.py")
METRICS = {
    "colorfulness",
    "colorfulness_gap",
    "diversity",
    "local_diversity",
    "edge_agreement",
    "roughness",
    "luminance_drift",
    "best_of_k_psnr",
    "classifier_accuracy",
    "frechet_distance",
}


def evaluate(*flags):
    """(exit status, stdout, stderr); never a download."""
    command = [sys.executable, PROGRAM, "--feature_weights=", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def refused(*flags):
    """The one line with which the flags are refused."""
    status, out, err = evaluate(*flags)
    assert status != 0 and out == "" and "Traceback" not in err, err
    lines = [line for line in err.splitlines() if line.startswith("evaluate.py: ")]
    assert len(lines) == 1 and err.splitlines()[-1] == lines[0], err
    return lines[0]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "standin" / "1"
    write_export(str(folder), any_size=False, image_size=16)
    return str(folder.parent)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "val", counts={"train": 4, "val": 70})


def test_a_model_is_measured_and_the_run_can_be_repeated(export, data, tmp_path):
    output = str(tmp_path / "report")
    flags = [f"--model={export}", f"--data={data}", f"--output={output}", "--k=4", "--batch_size=16"]
    flags.append("--groups=val-000")
    status, out, err = evaluate(*flags)
    assert status == 0, err
    assert out.splitlines()[-1] == os.path.join(output, "report.md")
    with open(os.path.join(output, "report.json"), encoding="utf-8") as file:
        report = json.load(file)

    assert set(report["systems"]) == {"truth", "truth_half_a", "truth_half_b", "grey", "shuffled", "standin"}
    assert all(set(entry) >= METRICS for entry in report["systems"].values())
    assert sorted(report["photos"]["keys"]) == [f"val-{i:04d}" for i in range(70)]
    assert report["k"] == 4 and report["seed"] == 0
    loaded = inference.load_export(export)
    own = report["systems"]["standin"]
    assert own["about"]["checksum"] == loaded.checksum
    assert own["photos"] == 70 and own["groups"]["val-000"]["photos"] == 10

    # The number itself, from the stand-in's closed form, the noise of Algorithm 2 and the photos read once more.
    from colorgan_tf.records import photos

    diversities, colorful = [], []
    for photo in photos(data, "val", 16).as_numpy_iterator():
        gray = color.luminance(photo["rgb"])[None]
        uv = [standin_chroma(gray, sampling.noise([photo["key"].decode()], r, 100, 0))[0] for r in range(4)]
        rgb = np.clip(color.yuv_to_rgb(np.repeat(gray, 4, 0), np.stack(uv)), 0, 1)
        diversities.append(metrics.diversity(color.rgb_to_yuv(rgb)[1]))
        colorful.append(metrics.colorfulness(rgb).mean())
    assert own["diversity"] == pytest.approx(np.mean(diversities), abs=1e-3)
    assert own["colorfulness"] == pytest.approx(np.mean(colorful), abs=1e-3)

    grey, truth = report["systems"]["grey"], report["systems"]["truth"]
    assert grey["colorfulness"] == pytest.approx(0, abs=1e-6) and grey["diversity"] == pytest.approx(0, abs=1e-6)
    assert grey["colorfulness_gap"] == pytest.approx(truth["colorfulness"], abs=1e-6)
    assert grey["classifier_accuracy"] > 0.9
    assert truth["luminance_drift"] == pytest.approx(0, abs=1e-6) and truth["diversity"] is None
    assert all(entry["frechet_distance"] is None for entry in report["systems"].values())
    assert any("No Frechet distance" in note for note in report["notes"])
    sizes = {
        name: Image.open(os.path.join(output, "pictures", name)).size
        for name in ("side_by_side.png", "groups_standin.png", "grid_standin_0.png")
    }
    assert sizes["grid_standin_0.png"] == (2 * 16 + 2, 2 * 16 + 2)  # 4 colourings make a square of 2 x 2
    assert sizes["groups_standin.png"][0] == 2 * (5 * 16 + 4 * 2) + 8
    with open(os.path.join(output, "report.md"), encoding="utf-8") as file:
        assert "| standin | 4 |" in file.read()

    # Into the same folder: the earlier report is replaced. The classifier's own repeatability has its own test.
    status, _, err = evaluate(*flags, "--classifier_photos=0")
    assert status == 0, err
    with open(os.path.join(output, "report.json"), encoding="utf-8") as file:
        again = json.load(file)
    for entry in (*report["systems"].values(), *again["systems"].values()):
        del entry["classifier"], entry["classifier_accuracy"]
    assert again["systems"] == report["systems"] and again["photos"] == report["photos"]


def test_folders_of_other_systems_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("truth", "own"):
        (tmp_path / folder).mkdir()
    for name in "abcde":
        picture = rng.integers(60, 200, (24, 30, 3), dtype=np.uint8)
        Image.fromarray(picture).save(tmp_path / "truth" / f"{name}.png")
        if name != "e":
            for i in (1, 2):
                Image.fromarray(picture[..., ::-1] if i == 1 else picture).save(tmp_path / "own" / f"{name}-{i}.png")
    output = str(tmp_path / "report")
    status, out, err = evaluate(
        f"--images={tmp_path / 'own'}",
        f"--truth={tmp_path / 'truth'}",
        f"--output={output}",
        "--image_size=24",
        "--skip=1",
    )
    assert status == 0, err
    with open(os.path.join(output, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    own = report["systems"]["own"]
    assert report["photos"]["keys"] == ["b", "c", "d"] and own["k"] == 2
    assert own["best_of_k_psnr"] is None  # the second is the truth: infinitely good
    assert own["truth_distance"] > 1 and own["diversity"] > 1 and own["classifier_accuracy"] is None
    assert "1 true photos were left out" in out


def test_contradicting_flags_are_refused(tmp_path):
    there = f"--output={tmp_path / 'report'}"
    (tmp_path / "file").write_text("mine")
    assert "--output is missing" in refused("--model=x", "--data=y")
    assert "both missing" in refused(there, "--data=y")
    assert "one of --data and --truth" in refused(there, "--model=x")
    assert "expected --truth=DIR" in refused(there, "--images=x", "--data=y")
    assert "no such folder" in refused(there, "--images=x", f"--truth={tmp_path / 'nowhere'}")
    assert "is no part of a report" in refused(f"--output={tmp_path}", "--model=x", "--data=y")
    assert "yardstick" in refused(there, "--model=grey=x", "--data=y")
    assert "two systems are called x" in refused(there, "--model=x=a", "--model=x=b", "--data=y")
    assert (tmp_path / "file").read_text() == "mine"
    status, _, err = evaluate(there, "--model=x", "--data=y", "--k=0")
    assert status != 0 and "--k=0" in err and "Traceback" not in err
    assert not (tmp_path / "report").exists()


def test_bad_input_is_one_line_and_leaves_nothing(export, data, tmp_path):
    output = tmp_path / "report"
    there = f"--output={output}"
    other = tmp_path / "other" / "1"
    write_export(str(other), any_size=False, image_size=32)
    line = refused(there, f"--model={export}", f"--model=other={other}", f"--data={data}")
    assert "a model of 32 x 32 pixels; expected 16" in line
    assert "no photo to measure" in refused(there, f"--model={export}", f"--data={data}", "--skip=70")
    line = refused(there, f"--model={export}", f"--data={data}", "--normalization=batch")
    assert "batch statistics need a run directory" in line
    line = refused(there, f"--model={export}", f"--data={data}", f"--feature_weights={tmp_path / 'none.h5'}")
    assert "none.h5: no such file" in line
    damaged = pathlib.Path(shutil.copytree(data, tmp_path / "damaged"))
    shard = sorted(damaged.glob("*val*"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    line = refused(there, f"--model={export}", f"--data={damaged}")
    assert re.search(rf"{re.escape(str(shard))}: record \d+: ", line)
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert "a.png: " in refused(there, f"--model={export}", f"--truth={tmp_path / 'truth'}")
    assert not output.exists() and not os.path.exists(f"{output}.partial")
