"""Every flagfile: its first comment, and that what it says is built and stepped (its tiny twin, in seconds)."""

import glob
import json
import math
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OVERLAYS = ("configs/tiny.flags", "configs/paper_mini.flags")  # given after another config
ALL = sorted(os.path.relpath(path, ROOT) for path in glob.glob(f"{ROOT}/configs/**/*.flags", recursive=True))
CONFIGS = [path for path in ALL if path not in OVERLAYS]
PAPER = {
    "objective": "gan",
    "optimizer": "adam",
    "k_d": 1,
    "noise_form": "map",
    "noise_layers": "multi",
    "condition_layers": "multi",
    "generator": "fully_conv",
    "color_space": "yuv",
    "l1_weight": 0.0,
    "discriminator_norm": "batch",
}
ABLATIONS = {  # in what each differs from the paper's model, as issue and paper have it
    "fig1_regression": {"objective": "regression"},
    "fig3_encoder_decoder": {"generator": "encoder_decoder"},
    "fig3_unet": {"generator": "unet"},
    "fig6_rgb_l1": {"color_space": "rgb", "l1_weight": 10.0},
    "fig7_single_layer_noise": {"noise_layers": "single"},
    "fig8_single_layer_condition": {"condition_layers": "single"},
    "fig9_wgan": {"objective": "wgan", "k_d": 5, "optimizer": "rmsprop"},
    "fig9_wgan_gp": {"objective": "wgan_gp", "k_d": 5, "discriminator_norm": "layer"},
    "noise_code": {"noise_form": "code"},
}


@pytest.fixture(scope="module")
def stepped(tiny_data, tmp_path_factory):
    """flagfile -> what its tiny twin did."""
    twins = [f"{config}+configs/tiny.flags" for config in CONFIGS]
    mini = "configs/paper.flags+configs/paper_mini.flags+configs/tiny.flags"
    done = subprocess.run(
        [sys.executable, "tests/step_configs.py", tiny_data, str(tmp_path_factory.mktemp("run")), *twins, mini],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = dict(json.loads(line) for line in done.stdout.splitlines())
    return {name.removesuffix("+configs/tiny.flags"): entry for name, entry in found.items()}


@pytest.mark.parametrize("config", [*CONFIGS, "configs/paper.flags+configs/paper_mini.flags"])
def test_tiny_twin_steps(stepped, config):
    entry = stepped[config]
    assert entry["image_size"] == 16
    assert all(math.isfinite(value) for value in entry["losses"].values())
    assert entry["moved"]["generator"]
    assert entry["moved"]["discriminator"] == (entry["objective"] != "regression")
    assert entry["painted"] == (3 if entry["color_space"] == "rgb" else 2)
    if entry["objective"] == "wgan":
        assert entry["largest_d_weight"] <= 0.01 + 1e-9


def test_each_ablation_differs_from_the_paper_in_what_it_is_about(stepped):
    found = {os.path.basename(name)[: -len(".flags")]: entry for name, entry in stepped.items() if "ablations/" in name}
    assert set(found) == set(ABLATIONS)
    for name, entry in found.items():
        assert {field: entry[field] for field in PAPER} == {**PAPER, **ABLATIONS[name]}, name


@pytest.mark.parametrize("config", [path for path in ALL if "ablations" in path or "paper" in path or "tiny" in path])
def test_comments_name_command_cost_and_expectation(config):
    with open(os.path.join(ROOT, config), encoding="utf-8") as file:
        lines = file.read().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert lines[0].startswith("# ")
    assert any("python train.py --flagfile=" in line for line in comments)
    assert any("Cost:" in line for line in comments) and any("Expected" in line for line in comments)


def test_paper_is_as_published(tiny_data, tmp_path):
    """--dry_run of the real sizes, but for the pictures at hand: 157,000 iterations are 20 epochs of 503,900."""
    done = subprocess.run(
        [
            *(sys.executable, "train.py", "--flagfile=configs/paper.flags", "--dry_run", "--image_size=16"),
            *(f"--data={tiny_data}", f"--run_dir={tmp_path / 'run'}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    values = dict(line[2:].split("=", 1) for line in done.stdout.splitlines() if line.startswith("--") and "=" in line)
    steps, batch = int(values["steps"]), int(values["batch_size"])
    assert batch == 64 and steps * batch / 503_900 == pytest.approx(20, abs=0.1)
    assert (values["noise_size"], values["k_d"], values["k_g"]) == ("100", "1", "1")
    assert (float(values["d_learning_rate"]), float(values["g_learning_rate"])) == (2e-4, 1e-4)
