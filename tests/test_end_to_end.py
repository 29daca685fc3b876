"""The programs as a user runs them: drawn rooms -> shards -> training -> export -> TF's C++ session."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = [
    "--image_size=16",
    "--noise_size=8",
    "--batch_size=4",
    "--generator_filters=8,6,6,6,4",
    "--discriminator_filters=4",
    "--noise_form=code",
    "--ema_decay=0.9",
    "--steps=4",
    "--log_every=2",
    "--sample_every=2",
    "--sample_photos=2",
    "--sample_colorings=2",
    "--checkpoint_every=2",
]


def run(*command, **options):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        **options,
    )


def error_line(done) -> str:
    """The one line a user mistake ends with: non-zero status, no trace."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(("train.py:", "export.py:", "FATAL"))]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data, run and export of a tiny training, each made by its program."""
    base = tmp_path_factory.mktemp("end_to_end")
    data, run_dir, exports = base / "rooms", base / "run", base / "exports"
    convert = ["--source=rooms", "--max_images=60", "--image_size=16", "--val_fraction=0.2", f"--output={data}"]
    for command in (
        ["-m", "data.convert", *convert],
        ["train.py", f"--data={data}", f"--run_dir={run_dir}", *TINY],
        ["export.py", f"--run_dir={run_dir}", f"--model_dir={exports}"],
    ):
        done = run(*command)
        assert done.returncode == 0, done.stderr[-3000:]
    return data, run_dir, exports


def test_a_run_leaves_its_story(trained):
    data, run_dir, _ = trained
    assert f"--data={data}" in (run_dir / "flags.txt").read_text()
    assert sorted(p.name for p in (run_dir / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]
    assert (run_dir / "samples" / "step-00000004.png").stat().st_size > 0

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / "logs")).Reload()
    tags = events.Tags()
    assert tags["graph"]
    tensors = set(tags["tensors"])
    wanted = {f"train/{name}" for name in ("d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm")}
    wanted |= {"train/images_per_second", "train/d_loss_scale", "flags", "samples"}
    wanted |= {f"samples/{name}" for name in ("colorfulness", "diversity", "local_diversity", "edge_agreement")}
    assert wanted <= tensors, wanted - tensors
    assert [event.step for event in events.Tensors("train/g_loss")] == [2, 4]


def test_flags_txt_repeats_the_run(trained, tmp_path):
    _, run_dir, _ = trained
    again = tmp_path / "again_dry_run"
    done = run("train.py", f"--flagfile={run_dir / 'flags.txt'}", f"--run_dir={again}", "--dry_run")
    assert done.returncode == 0, done.stderr
    kept = [line for line in (run_dir / "flags.txt").read_text().splitlines() if "run_dir" not in line]
    assert {*kept, f"--run_dir={again}"} <= set(done.stdout.splitlines())
    assert "--dry_run" not in done.stdout and not again.exists()


def test_the_export_runs_in_the_cpp_session_and_noise_matters(trained, tmp_path):
    """saved_model_cli runs a C++ session, as TF Serving does; Python's own loader forgives more."""
    _, _, exports = trained
    rng = np.random.default_rng(0)
    gray = rng.uniform(size=(1, 20, 24, 1)).repeat(3, 0).astype(np.float32)
    noise = rng.uniform(-1, 1, (3, 8)).astype(np.float32)
    noise[2] = noise[0]
    np.savez(tmp_path / "in.npz", gray=gray, noise=noise)
    cli = [
        "-m",
        "tensorflow.python.tools.saved_model_cli",
        "run",
        *("--dir", exports / "1", "--tag_set", "serve", "--signature_def", "serving_default"),
        *("--inputs", f"gray={tmp_path}/in.npz[gray];noise={tmp_path}/in.npz[noise]", "--outdir", tmp_path),
    ]
    done = run(*cli)
    assert done.returncode == 0, done.stderr[-3000:]
    rgb, chroma = np.load(tmp_path / "rgb.npy"), np.load(tmp_path / "chroma.npy")
    assert rgb.shape == (3, 20, 24, 3) and chroma.shape == (3, 20, 24, 2)
    assert rgb.dtype == np.float32 and rgb.min() >= 0 and rgb.max() <= 1
    luminance = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luminance - gray[..., 0]).max() < 1 / 255
    np.testing.assert_allclose(rgb[0], rgb[2], atol=1e-6)
    assert np.abs(rgb[0] - rgb[1]).max() > 1e-4


def test_the_export_is_the_run_s_generator(trained):
    """Against the Keras model restored from the checkpoint, outside of any export."""
    _, run_dir, exports = trained
    from colorgan_tf import inference, runs

    generator, settings, step = runs.load_generator(str(run_dir))
    export = inference.load_export(exports)
    assert (settings.image_size, step, export.info["step"]) == (16, 4, 4)
    rng = np.random.default_rng(1)
    gray = rng.uniform(size=(2, 16, 16, 1)).astype(np.float32)
    noise = rng.uniform(-1, 1, (2, 8)).astype(np.float32)
    _, chroma = export(gray, noise)
    expected = 0.5 * np.asarray(generator([2 * gray - 1, noise], training=False))
    np.testing.assert_allclose(chroma, expected, atol=1e-5)
    raw, _, _ = runs.load_generator(str(run_dir), ema=False)
    assert np.abs(np.asarray(raw([2 * gray - 1, noise])) - 2 * chroma).max() > 1e-6


def test_exporting_again_writes_the_next_version(trained):
    _, run_dir, exports = trained
    done = run("export.py", f"--run_dir={run_dir}", f"--model_dir={exports}", "--step=2", "--weights=raw")
    assert done.returncode == 0, done.stderr
    assert json.loads((exports / "2" / "colorgan.json").read_text())["step"] == 2
    assert not [p.name for p in exports.iterdir() if not p.name.isdecimal()]


def test_a_finished_run_has_nothing_left_to_do_and_other_flags_are_told(trained):
    data, run_dir, _ = trained
    for rate, told in (("2e-4", False), ("3e-4", True), ("2e-4", True)):
        done = run("train.py", f"--data={data}", f"--run_dir={run_dir}", *TINY, f"--d_learning_rate={rate}")
        assert done.returncode == 0 and "4 steps taken" in done.stdout
        assert ("other flags than before: --d_learning_rate" in done.stderr) == told, done.stderr


BAD_TRAINING = [
    (["--data=nowhere"], r"nowhere: no dataset.json there"),
    (["--image_size=32"], r"pictures are 16 pixels a side, the model wants 32"),
    (["--image_size=24"], r"image_size=24: expected a multiple of 16"),
    (["--batch_size=1"], r"batch_size=1"),
    (["--objective=guess"], r"objective"),
    (["--generator_filters=8,x,6,6,4"], r"generator_filters=8,x,6,6,4: expected integers"),
    (["--noise_layers=single"], r"checkpoint of another model: it has noise_layers=multi, the flags say single"),
    (["--ema_decay=0"], r"trained with --ema_decay"),
    (["--ema_decay=2"], r"ema_decay"),
    (["--objective=wgan_gp"], r"objective=wgan_gp: .*expected --discriminator_norm"),
    (["--l1_weight=3"], r"l1_weight"),
    (["--cpu_replicas=3"], r"batch_size=4: expected a multiple of the 3 replicas"),
    (["--cpu_replicas=2", "--strategy=one_device"], r"cpu_replicas=2: expected 1 with strategy=one_device"),
    (["--objective=regression", "--k_d=2"], r"objective=regression: has no discriminator"),
    (["--objective=wgan_gp", "--discriminator_norm=layer", "--r1_weight=1"], r"r1_weight: wgan_gp has"),
    (["--val_data=nowhere"], r"nowhere: no dataset.json there"),
    (["--g_learning_rate=nan"], r"g_learning_rate=nan: expected a finite number"),
    (["--profile_steps=0,3"], r"profile_steps.*expected FIRST,LAST, from 1 on"),
]


@pytest.mark.parametrize("changes, message", BAD_TRAINING, ids=lambda x: x[0] if isinstance(x, list) else "")
def test_a_wrong_training_flag_is_one_clear_line(trained, changes, message):
    data, run_dir, _ = trained
    flags = (run_dir / "flags.txt").read_text()
    before = sorted((run_dir / "checkpoints").rglob("*"))
    done = run("train.py", f"--data={data}", f"--run_dir={run_dir}", *TINY, "--steps=6", *changes)
    assert re.search(message, error_line(done)), done.stderr
    assert sorted((run_dir / "checkpoints").rglob("*")) == before
    assert (run_dir / "flags.txt").read_text() == flags


def test_a_second_training_in_the_same_directory_is_refused(trained):
    data, run_dir, _ = trained
    from colorgan_tf import runs

    with runs.held(str(run_dir)):
        done = run("train.py", f"--data={data}", f"--run_dir={run_dir}", *TINY, "--steps=6")
    assert error_line(done) == f"train.py: --run_dir={run_dir}: another training is writing there"


def test_a_cut_off_shard_is_named(trained, tmp_path):
    data, _, _ = trained
    copy = tmp_path / "cut"
    copy.mkdir()
    for path in data.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    shard = sorted(copy.glob("*train*.tfrecord"))[0]
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    done = run("train.py", f"--data={copy}", f"--run_dir={tmp_path / 'run'}", *TINY)
    assert shard.name in error_line(done)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--run_dir=nowhere"], "nowhere: no checkpoints there"),
        (["--run_dir={run}", "--step=3"], "no checkpoint of step 3"),
    ],
)
def test_a_wrong_export_is_one_clear_line(trained, tmp_path, arguments, message):
    _, run_dir, _ = trained
    done = run("export.py", *[a.format(run=run_dir) for a in arguments], f"--model_dir={tmp_path / 'out'}")
    assert message in error_line(done)
    assert not (tmp_path / "out").exists()
