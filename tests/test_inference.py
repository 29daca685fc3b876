"""Loading exports: what a good one gives, and that every bad one is refused in one line."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import standin

from colorgan_tf import inference


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    standin.write_export(str(folder / "2"))
    return folder


def inputs(batch=2, height=24, width=40):
    rng = np.random.default_rng(0)
    return rng.random((batch, height, width, 1), np.float32), rng.uniform(-1, 1, (batch, 100)).astype(np.float32)


def test_outputs_are_the_model_s(export):
    generator = inference.load_export(export / "2")
    assert (generator.image_size, generator.noise_size, generator.any_size, generator.color_space) == (
        64,
        100,
        True,
        "yuv",
    )
    assert generator.info["run"] == "stand-in" and generator.path == str(export / "2")
    gray, noise = inputs()
    rgb, chroma = generator(gray, noise)
    np.testing.assert_allclose(chroma, standin.chroma(gray, noise), atol=1e-5)
    assert rgb.shape == (2, 24, 40, 3) and rgb.dtype == chroma.dtype == np.float32


def test_highest_version_by_number_not_by_name(export, tmp_path):
    for version in ("2", "9", "10"):
        shutil.copytree(export / "2", tmp_path / version)
    for other in ("11-tmp", "12"):  # not a number; no model in it
        (tmp_path / other).mkdir()
    assert inference.load_export(tmp_path).path == str(tmp_path / "10")


def test_checksum_follows_the_content_only(export, tmp_path):
    first = inference.checksum(export / "2")
    copy = shutil.copytree(export / "2", tmp_path / "7")
    assert inference.checksum(copy) == first
    weights = next((copy / "variables").glob("*.data-*"))
    data = bytearray(weights.read_bytes())
    data[0] ^= 1
    weights.write_bytes(data)
    assert inference.checksum(copy) != first


def nothing(folder):
    shutil.rmtree(folder)


def no_info(folder):
    (folder / "colorgan.json").unlink()


def info_is_no_json(folder):
    (folder / "colorgan.json").write_text("{")


def truncated_model(folder):
    (folder / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes()[:500])


def empty_model(folder):
    (folder / "saved_model.pb").write_bytes(b"")


def no_variables(folder):
    shutil.rmtree(folder / "variables")


def other_noise_size(folder):
    path = folder / "colorgan.json"
    path.write_text(path.read_text().replace('"noise_size": 100', '"noise_size": 64'))


def noise_size_no_number(folder):
    path = folder / "colorgan.json"
    path.write_text(path.read_text().replace('"noise_size": 100', '"noise_size": "100"'))


@pytest.mark.parametrize(
    "damage, word",
    [
        (nothing, "no such directory"),
        (no_info, "colorgan.json"),
        (info_is_no_json, "JSON"),
        (truncated_model, "cannot load"),
        (empty_model, "cannot load"),
        (no_variables, "cannot load"),
        (other_noise_size, "noise"),
        (noise_size_no_number, "noise_size"),
    ],
)
def test_what_is_no_export_is_one_clear_line(export, tmp_path, damage, word):
    folder = shutil.copytree(export / "2", tmp_path / "1")
    damage(folder)
    with pytest.raises(ValueError) as caught:
        inference.load_export(folder)
    message = str(caught.value)
    assert str(folder) in message and word in message and "\n" not in message


def test_a_saved_model_of_something_else_is_refused(export, tmp_path):
    import tensorflow as tf

    folder = shutil.copytree(export / "2", tmp_path / "1")
    info = (folder / "colorgan.json").read_text()
    shutil.rmtree(folder)
    module = tf.Module()
    module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.double})
    (folder / "colorgan.json").write_text(info)
    with pytest.raises(ValueError, match="has no gray"):
        inference.load_export(folder)


def test_shapes_are_checked(export, tmp_path):
    generator = inference.load_export(export)
    gray, noise = inputs()
    for bad in (gray[..., 0], np.repeat(gray, 3, -1)):
        with pytest.raises(ValueError, match="gray has the shape"):
            generator(bad, noise)
    with pytest.raises(ValueError, match="noise has the shape"):
        generator(gray, noise[:1])
    standin.write_export(str(tmp_path / "1"), any_size=False, image_size=32)
    fixed = inference.load_export(tmp_path)
    with pytest.raises(ValueError, match="32 square"):
        fixed(gray, noise)
    assert fixed(*inputs(1, 32, 32))[0].shape == (1, 32, 32, 3)


def test_importing_does_not_load_tensorflow():
    code = "import sys, colorgan_tf.inference; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_a_shipped_export_that_was_changed_is_refused(export, tmp_path):
    folder = tmp_path / "shipped" / "1"
    shutil.copytree(export / "2", folder)
    guard = folder.with_name("1.sha256")
    guard.write_text(inference.checksum(str(folder)) + "\n")
    assert inference.load_export(folder.parent).checksum == guard.read_text().strip()
    with open(folder / "colorgan.json", "a", encoding="utf-8") as file:
        file.write(" ")
    with pytest.raises(ValueError, match="not as it was shipped"):
        inference.load_export(folder.parent)
