"""colorize.py as a user runs it."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import standin
from PIL import ExifTags, Image

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GRAY = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    standin.write_export(str(folder / "1"), image_size=32)
    return folder


def picture(seed, height=48, width=64):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    gray = 128 + 70 * np.sin(x / 7.0 + seed) * np.cos(y / 9.0) + rng.normal(scale=6, size=(height, width))
    return Image.fromarray(np.clip(gray, 0, 255).astype(np.uint8))


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    (folder / "deep").mkdir(parents=True)
    for i, name in enumerate(["a.png", "b.jpg", "c.tif", "deep/d.webp", "deep/e.bmp"]):
        picture(i, 40 + 9 * i, 64 - 5 * i).save(folder / name, lossless=True)
    return folder


def by_hand(*arguments):
    """The command itself."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    command = [sys.executable, os.path.join(ROOT, "colorize.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


# The same in one process for many commands, since each would load TensorFlow again.
LOOP = """
import contextlib, io, json, sys, colorize
for line in sys.stdin:
    heard = io.StringIO()
    colorize.flags.FLAGS.unparse_flags()
    try:
        with contextlib.redirect_stderr(heard):
            colorize.app.run(colorize.main, ["colorize.py", *json.loads(line)])
    except SystemExit as end:
        print("=" + json.dumps([end.code or 0, heard.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def colorize():
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def call(*arguments):
        process.stdin.write(json.dumps([str(argument) for argument in arguments]) + "\n")
        process.stdin.flush()
        code, heard = json.loads(next(line for line in process.stdout if line.startswith("="))[1:])
        return subprocess.CompletedProcess(arguments, code, stderr=heard)

    yield call
    process.stdin.close()
    process.wait(timeout=60)


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_album_alone_and_together_give_the_same_bytes(colorize, model, album, tmp_path):
    out = tmp_path / "out"
    result = by_hand(album, f"--output={out}", f"--model={model}", "--n=2", "--seed=5")
    assert result.returncode == 0, result.stderr
    together = digests(out)
    stems = ["a", "b", "c", "deep/d", "deep/e"]
    assert sorted(together) == sorted(f"{stem}-{end}.png" for stem in stems for end in ("1", "2", "sheet"))
    gray = np.asarray(Image.open(album / "a.png")) / 255.0
    for i in (1, 2):
        assert np.abs(np.asarray(Image.open(out / f"a-{i}.png")) / 255.0 @ GRAY - gray).max() <= 1 / 255

    alone = tmp_path / "alone"
    colorize(album / "deep/d.webp", f"--output={alone}", f"--model={model}", "--n=2", "--seed=5")
    assert digests(alone) == {name[5:]: digest for name, digest in together.items() if name.startswith("deep/d")}
    backwards = tmp_path / "backwards"
    colorize(album / "c.tif", album / "a.png", f"--output={backwards}", f"--model={model}", "--n=2", "--seed=5",
             "--workers=1")  # fmt: skip
    assert digests(backwards) == {name: digest for name, digest in together.items() if name[0] in "ac"}


def test_failures_are_listed_and_the_others_done(colorize, model, album, tmp_path):
    (album / "broken.jpg").write_bytes((album / "b.jpg").read_bytes()[:300])
    (album / "empty.png").touch()
    (album / "IMG_1.HEIC").touch()
    out = tmp_path / "out"
    result = colorize(album, f"--output={out}", f"--model={model}", "--n=1")
    assert result.returncode == 1 and "passed over, no photos by their extension: 1 .heic\n" in result.stderr
    assert "2 of 7 photos failed" in result.stderr and "Traceback" not in result.stderr
    closing = result.stderr.splitlines()[-2:]
    assert f"{album / 'broken.jpg'}: " in closing[0] and f"{album / 'empty.png'}: not a photo" in closing[1]
    assert len(list(out.rglob("*.png"))) == 10
    assert not list(out.rglob("*.part"))


def test_results_there_are_never_replaced_unasked(colorize, model, album, tmp_path):
    out = tmp_path / "out"
    arguments = [album, f"--output={out}", f"--model={model}", "--n=1"]
    assert colorize(*arguments).returncode == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    result = colorize(*arguments)
    assert result.returncode == 1 and "is there already" in result.stderr and "--resume" in result.stderr
    (out / "b-sheet.png").unlink()  # as if stopped in the middle of b
    assert colorize(*arguments, "--resume").returncode == 0
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    changed = {path.name for path, when in after.items() if before.get(path) != when}
    assert set(after) == set(before) and changed == {"b-1.png", "b-sheet.png"}
    assert colorize(*arguments, "--overwrite", "--seed=1").returncode == 0
    assert digests(out)["a-1.png"] != hashlib.sha256(b"").hexdigest()
    assert all(path.stat().st_mtime_ns > when for path, when in after.items())


def test_finished_photos_are_counted_when_nothing_is_left(colorize, model, album, tmp_path):
    arguments = [album / "deep", f"--output={tmp_path / 'out'}", f"--model={model}", "--n=1", "--resume"]
    assert "done before" not in colorize(*arguments).stderr
    again = colorize(*arguments)
    assert again.returncode == 0 and again.stderr == "2 of 2 photos were done before\n"


def test_outputs_that_cannot_be_are_one_line(colorize, album, tmp_path):
    before = digests(album)
    for output, word in (
        (album / "a.png", f"--output={album / 'a.png'}: not a folder"),
        ("/proc/no/such", "--output=/proc/no/such: not a folder, and cannot be made one"),
        (album, f"{album}: the output folder"),
    ):
        result = colorize(album, f"--output={output}", "--overwrite")
        assert result.returncode == 1 and word in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert digests(album) == before


def test_a_result_never_takes_a_photo_s_place(colorize, model, album):
    for name in ("a-1.png", "a-sheet.png"):
        picture(9).save(album / name)
        before = digests(album)
        for flag in ("--overwrite", "--resume", "--nooverwrite"):
            result = colorize(album / "*.png", f"--output={album}", f"--model={model}", "--n=1", flag)
            assert result.returncode == 1
            assert result.stderr.startswith(f"colorize.py: {album / name}: a photo to colour and a result of ")
        assert digests(album) == before
        (album / name).unlink()


def test_a_result_that_cannot_be_written_is_listed_and_the_others_done(colorize, model, album, tmp_path):
    out = tmp_path / "out"
    (out / "b-1.png" / "in the way").mkdir(parents=True)
    result = colorize(album, f"--output={out}", f"--model={model}", "--n=1", "--overwrite")
    assert result.returncode == 1
    closing = result.stderr.splitlines()[-1]
    assert closing.startswith(f"  {album / 'b.jpg'}: {out / 'b-1.png'}: cannot be written (") and "Errno" not in closing
    assert len([path for path in out.rglob("*-1.png") if path.is_file()]) == 4
    assert not list(out.rglob("*.part"))


@pytest.mark.parametrize("kind, suffix", [("png", ".png"), ("jpeg", ".jpg"), ("webp", ".webp")])
def test_noise_of_a_liked_colouring_is_kept_and_used_again(colorize, model, tmp_path, kind, suffix):
    photo, other = tmp_path / "photo.png", tmp_path / "other.png"
    picture(1).save(photo)
    picture(2, 80, 60).save(other)
    out, again = tmp_path / "out", tmp_path / "again"
    common = [f"--model={model}", f"--format={kind}"]
    assert colorize(photo, f"--output={out}", *common).returncode == 0
    liked = out / f"photo-3{suffix}"
    result = colorize(photo, other, f"--output={again}", f"--noise={liked}", *common)
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(again)) == sorted(
        [f"photo-1{suffix}", "photo-sheet.png", f"other-1{suffix}", "other-sheet.png"]
    )
    assert (again / f"photo-1{suffix}").read_bytes() == liked.read_bytes()


def test_dates_and_resolution_survive(colorize, model, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1957:05:04 03:02:01"
    picture(1, 40, 60).save(tmp_path / "p.jpg", exif=exif, dpi=(300, 300), quality=95)
    for kind, suffix in (("png", "png"), ("jpeg", "jpg"), ("webp", "webp")):
        result = colorize(tmp_path / "p.jpg", f"--output={tmp_path}", f"--model={model}", "--n=1", f"--format={kind}",
                          "--overwrite", "--nosheet")  # fmt: skip
        assert result.returncode == 0, result.stderr
        with Image.open(tmp_path / f"p-1.{suffix}") as image:
            found = image.getexif()
            assert image.size == (40, 60) and ExifTags.Base.Orientation not in found
            assert found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1957:05:04 03:02:01"
            if kind != "webp":
                assert image.info["dpi"] == pytest.approx((300, 300), abs=0.5)
    assert not (tmp_path / "p-sheet.png").exists()


def test_alpha_in_each_format(colorize, model, tmp_path):
    alpha = Image.new("L", (64, 48), 255)
    alpha.paste(0, (0, 0, 32, 48))
    photo = picture(1).convert("RGB")
    photo.putalpha(alpha)
    photo.save(tmp_path / "p.png")
    for kind, suffix in (("png", "png"), ("webp", "webp"), ("jpeg", "jpg")):
        arguments = [f"--output={tmp_path}", f"--model={model}", "--n=1", "--overwrite", f"--format={kind}"]
        assert colorize(tmp_path / "p.png", *arguments).returncode == 0
        with Image.open(tmp_path / f"p-1.{suffix}") as image:
            if kind == "jpeg":
                assert np.asarray(image)[:, :30].min() > 240
            else:
                np.testing.assert_array_equal(np.asarray(image.getchannel("A")), np.asarray(alpha))


def test_sheet_shows_the_original_and_every_colouring(colorize, model, tmp_path):
    picture(1, 300, 400).save(tmp_path / "p.png")
    assert colorize(tmp_path / "p.png", f"--output={tmp_path}", f"--model={model}", "--n=5").returncode == 0
    sheet = np.asarray(Image.open(tmp_path / "p-sheet.png")).astype(int)
    white = (sheet == 255).all(-1)
    # 3 x 2 pictures of 360 x 270 with gaps of 8 pixels.
    assert sheet.shape == (2 * 278 + 8, 3 * 368 + 8, 3)
    assert white[:8].all() and white[:, :8].all() and white[278:286].all()
    tiles = [sheet[8 + r * 278 : 278 + r * 278, 8 + c * 368 : 368 + c * 368] for r in (0, 1) for c in (0, 1, 2)]
    assert np.ptp(tiles[0], axis=-1).max() == 0
    gray = np.asarray(Image.open(tmp_path / "p.png").resize((360, 270), Image.Resampling.LANCZOS)) / 255
    for tile in tiles:
        assert np.abs(tile / 255 @ GRAY - gray).max() < 0.05
    assert all(np.ptp(tile, axis=-1).max() > 10 for tile in tiles[1:])


@pytest.mark.parametrize(
    "arguments, word",
    [
        (["--n=0", "x.png"], "--n=0"),
        (["--n=1.5", "x.png"], "--n=1.5"),
        (["--seed=-1", "x.png"], "--seed=-1"),
        (["--format=gif", "x.png"], "--format=gif"),
        (["--n=20", "x.png"], "--draws"),
        (["--quality=80", "x.png"], "--quality"),
        (["--overwrite", "--resume", "x.png"], "exclude"),
        (["--colour", "x.png"], "colour"),
        (["--output=", "x.png"], "expected a folder for the results"),
        (["--model=", "x.png"], "--model=: expected"),
        (["--noise=", "x.png"], "expected a colouring"),
        ([], "expected photos"),
        (["missing.png"], "missing.png: no such file"),
    ],
)
def test_wrong_commands_are_refused_at_once(tmp_path, monkeypatch, arguments, word):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # writes every import to stderr
    result = by_hand(f"--output={tmp_path / 'out'}", *arguments)
    assert result.returncode != 0 and word in result.stdout + result.stderr
    assert "Traceback" not in result.stderr and not (tmp_path / "out").exists()
    assert "absl.flags" in result.stderr and "tensorflow" not in result.stderr


def test_only_what_is_needed_is_loaded(model, tmp_path, monkeypatch):
    picture(1).save(tmp_path / "p.png")
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    result = by_hand(tmp_path / "p.png", f"--output={tmp_path / 'out'}", f"--model={model}")
    assert result.returncode == 0 and (tmp_path / "out" / "p-4.png").exists()
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines() if line.startswith("import time:")}
    assert {"tensorflow", "colorgan_tf.inference"} <= loaded
    assert not loaded & {"keras", "matplotlib", "colorgan_tf.models", "colorgan_tf.training"}


def test_wrong_files_are_one_line(colorize, model, tmp_path):
    picture(1).save(tmp_path / "p.png")
    np.save(tmp_path / "short.npy", np.zeros(7))
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "loud.npy", np.full(100, 3.0))
    for arguments, word in (
        ([f"--model={tmp_path}"], f"{tmp_path}: no exported model"),
        ([f"--model={tmp_path / 'p.png'}"], "p.png: no such directory"),
        ([f"--model={model}", f"--noise={tmp_path / 'p.png'}"], "p.png: expected a colouring made by"),
        ([f"--model={model}", f"--noise={tmp_path / 'no.npy'}"], "no.npy: no such file"),
        ([f"--model={model}", f"--noise={tmp_path / 'short.npy'}"], "short.npy: noise of shape (1, 7)"),
        ([f"--model={model}", f"--noise={tmp_path / 'objects.npy'}"], "objects.npy: expected"),
        ([f"--model={model}", f"--noise={tmp_path / 'loud.npy'}"], "loud.npy: noise outside [-1, 1]"),
    ):
        result = colorize(tmp_path / "p.png", f"--output={tmp_path / 'out'}", *arguments)
        assert result.returncode == 1 and word in result.stderr, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        assert not list((tmp_path / "out").glob("*"))
