"""The Python interface: luminance, gamut, sizes, seeds, and independence of what else is coloured."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import standin
from PIL import Image

import colorgan_tf
from colorgan_tf import colorizer as module
from colorgan_tf import photos, upsample
from colorgan_tf.colorizer import Colorizer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
GRAY = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    standin.write_export(str(folder / "1"), image_size=32)
    return Colorizer(folder)


def textured(height, width, seed=0):
    """Luminance float64 [h, w] with flat parts, edges and both ends of the range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    gray = 0.5 + 0.3 * np.sin(x / 9.0) * np.cos(y / 13.0) + 0.2 * ((x // 17 + y // 11) % 2) - 0.1
    return np.clip(gray + rng.normal(scale=0.05, size=gray.shape), 0.0, 1.0)


def as_bytes(images):
    return [image.tobytes() for image in images]


@pytest.mark.parametrize("top, dtype", [(255, np.uint8), (65535, np.uint16)])
def test_luminance_is_the_photo_s(colorizer, top, dtype):
    gray = np.round(textured(70, 110) * top).astype(dtype)
    images = colorizer(gray, n=3)
    assert len(images) == 3
    for image in images:
        assert image.size == (110, 70) and image.mode == "RGB"
        drift = np.abs(np.asarray(image) / 255.0 @ GRAY - gray / top)
        assert drift.max() <= 1 / 255
        assert np.asarray(image).std(axis=-1).max() > 5  # colour did arrive


def test_out_of_gamut_keeps_luminance_and_hue_and_gives_up_chroma():
    y, u, v = (a.ravel().astype(np.float32) for a in np.meshgrid(
        np.linspace(0, 1, 52), np.linspace(-0.5, 0.5, 21), np.linspace(-0.5, 0.5, 21)
    ))  # fmt: skip
    rgb = module.to_rgb8(y[None], u[None], v[None])[0] / 255.0
    assert np.abs(rgb @ GRAY - y).max() <= 0.5001 / 255
    # Eq. 5 and BT.601 in float64, by hand.
    want_r, want_b = y + 1.402 * v.astype(np.float64), y + 1.772 * u.astype(np.float64)
    want = np.stack([want_r, (y - 0.299 * want_r - 0.114 * want_b) / 0.587, want_b], -1)
    inside = (want >= 0).all(-1) & (want <= 1).all(-1)
    assert 0.1 < inside.mean() < 0.9
    assert np.abs(rgb - want)[inside].max() <= 0.501 / 255
    # Outside, the result lies between grey and the wanted colour: want - y shortened by one factor in [0, 1]...
    wanted, got = (want - y[:, None])[~inside], (rgb - y[:, None])[~inside]
    factor = (wanted * got).sum(-1) / (wanted * wanted).sum(-1)
    assert (factor > -0.05).all() and (factor < 1.05).all()  # give or take the rounding
    assert np.abs(got - factor[:, None] * wanted).max() < 1 / 255
    # ... which is as large as fits: some channel is at 0 or 1.
    edge = np.minimum(rgb, 1 - rgb).min(-1)[~inside]
    assert edge.max() <= 0.5001 / 255


def test_clipping_would_have_failed_that():
    assert abs(np.clip([0.9 + 1.402 * 0.4, 0.9 - 0.714 * 0.4, 0.9], 0, 1) @ GRAY - 0.9) > 10 / 255


def test_same_bytes_alone_after_others_and_again(colorizer):
    photo = (textured(60, 90) * 255).astype(np.uint8)
    alone = as_bytes(colorizer(photo, n=4, seed=7))
    colorizer((textured(90, 60, 1) * 255).astype(np.uint8), n=2, seed=1)
    assert as_bytes(colorizer(photo, n=4, seed=7)) == alone
    assert as_bytes(Colorizer(colorizer.generator.path)(photo, n=4, seed=7)) == alone
    assert as_bytes(colorizer(photo, n=4, seed=8)) != alone
    assert len(set(alone)) == 4


def test_noise_repeats_one_colouring_bit_for_bit(colorizer):
    photo = photos.read_photo((textured(60, 90) * 255).astype(np.uint8))
    colorings = colorizer.propose(photo, 4, 0)
    for coloring, image in zip(colorings, colorizer(photo, n=4), strict=True):
        assert as_bytes(colorizer(photo, noise=coloring.noise[None])) == as_bytes([image])
    both = colorizer(photo, noise=np.stack([colorings[2].noise, colorings[0].noise]))
    assert as_bytes(both) == as_bytes([colorizer(photo, n=4)[i] for i in (2, 0)])


def test_calm_to_vivid_and_different(colorizer):
    images = colorizer((textured(50, 50) * 200 + 20).astype(np.uint8), n=5)
    vivid = []
    for image in images:
        rgb = np.asarray(image) / 255.0
        y = rgb @ GRAY
        vivid.append(np.hypot((rgb[..., 2] - y) / 1.772, (rgb[..., 0] - y) / 1.402).mean())
    assert all(later > earlier - 1e-3 for earlier, later in zip(vivid, vivid[1:], strict=False))
    assert vivid[-1] > vivid[0] + 0.01


def test_more_draws_find_colourings_that_differ_more(colorizer):
    photo = photos.read_photo((textured(40, 40) * 255).astype(np.uint8))

    def closest(draws):
        maps = [c.chroma.planes[2:] for c in colorizer.propose(photo, 4, draws=draws)]
        return min(np.sqrt(np.mean((a - b) ** 2)) for i, a in enumerate(maps) for b in maps[:i])

    assert closest(32) > closest(4)


def test_draws_begin_alike_and_cover_the_range():
    few, many = module.draw_noise(3, 4, 100), module.draw_noise(3, 64, 100)
    np.testing.assert_array_equal(few, many[:4])
    assert many.dtype == np.float32 and many.min() >= -1 and many.max() <= 1
    assert abs(many.mean()) < 0.03 and abs(many.var() - 1 / 3) < 0.02
    assert not np.array_equal(few, module.draw_noise(4, 4, 100))


@pytest.mark.parametrize("size", [(16, 16), (16, 700), (33, 31), (500, 20)])
def test_every_size_and_shape(colorizer, size):
    gray = (textured(*size) * 255).astype(np.uint8)
    for image in colorizer(gray, n=2):
        assert image.size == size[::-1]
        assert np.abs(np.asarray(image) / 255.0 @ GRAY - gray / 255.0).max() <= 1 / 255


def test_the_generator_sees_the_whole_frame_in_its_proportions():
    assert module.working_size(600, 800, 64) == (64, 85)
    assert module.working_size(1200, 800, 64) == (96, 64)
    assert module.working_size(16, 12_000, 64) == (64, 256)


def test_reduction_matches_pillow(colorizer):
    gray = np.round(textured(300, 420) * 255).astype(np.uint8)
    expected = Image.fromarray((gray / 255).astype(np.float32)).resize((64, 46), Image.Resampling.LANCZOS)
    got = module.reduced(photos.Photo(gray), 46, 64)
    assert np.abs(got - np.clip(np.asarray(expected), 0, 1)).mean() < 0.004
    halved = module.reduced(photos.Photo(gray.astype(np.uint16) * 257), 150, 210)
    np.testing.assert_allclose(halved, module.reduced(photos.Photo(gray), 150, 210), atol=1e-5)


def test_fixed_size_export_is_given_its_square(tmp_path):
    standin.write_export(str(tmp_path / "1"), any_size=False, image_size=16)
    image = Colorizer(tmp_path)((textured(40, 90) * 255).astype(np.uint8), n=1)[0]
    assert image.size == (90, 40)


def test_alpha_comes_back(colorizer):
    rgba = np.random.default_rng(0).integers(0, 256, (40, 50, 4), np.uint8)
    image = colorizer(rgba, n=1)[0]
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image)[..., 3], rgba[..., 3])


def test_strips_do_not_show(colorizer, monkeypatch):
    photo = photos.read_photo((textured(200, 150) * 255).astype(np.uint8))
    coloring = colorizer.propose(photo, 1)[0]
    whole = np.asarray(module.render(photo, coloring)).astype(int)
    for pixels in (1, 1000, 1 << 30):
        monkeypatch.setattr(module, "_STRIP_PIXELS", pixels)
        difference = np.abs(np.asarray(module.render(photo, coloring)) - whole)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3  # a rounding here and there


def test_wrong_arguments_are_value_errors(colorizer):
    photo = np.zeros((20, 20), np.uint8)
    for wrong in (
        {"n": 0},
        {"noise": np.zeros((1, 7), np.float32)},
        {"noise": np.zeros(100, np.float32)},
        {"noise": np.zeros((0, 100), np.float32)},
    ):
        with pytest.raises(ValueError):
            colorizer(photo, **wrong)
    with pytest.raises(ValueError, match="no such file"):
        colorizer("missing.jpg")


def test_default_model_is_the_shipped_one_else_the_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROOT", str(tmp_path))
    with pytest.raises(ValueError, match="no model"):
        module.default_model()
    for name, version, when in (("old", "3", 100), ("new", "1", 200), ("older", "9", 50)):
        folder = tmp_path / "exports" / name / version
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").touch()
        os.utime(folder / "saved_model.pb", (when, when))
    (tmp_path / "exports" / "empty").mkdir()
    assert module.default_model() == str(tmp_path / "exports" / "new" / "1")
    (tmp_path / "pretrained" / "colorgan").mkdir(parents=True)
    assert module.default_model() == str(tmp_path / "pretrained" / "colorgan")


def test_three_lines_and_no_training_code(colorizer):
    code = f"""
import sys
from colorgan_tf import Colorizer
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
c = Colorizer({colorizer.generator.path!r})
import numpy as np
images = c(np.zeros((20, 30), np.uint8), n=2)
assert [image.size for image in images] == [(30, 20)] * 2
for name in ("gan", "losses", "models", "records", "monitoring", "serving", "training", "runs"):
    assert "colorgan_tf." + name not in sys.modules, name
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    with pytest.raises(AttributeError):
        colorgan_tf.Colourizer  # noqa: B018


def test_chroma_map_is_small(colorizer):
    photo = photos.read_photo(np.zeros((3000, 2000), np.uint8))
    coloring = colorizer.propose(photo, 1)[0]
    assert coloring.chroma.planes.shape == (4, upsample.MIDDLE * 72, upsample.MIDDLE * 48)


def test_a_generator_s_sums_do_not_depend_on_neighbours(tmp_path):
    """With real convolutions, whose kernels add in an order that may follow the batch."""
    from colorgan_tf import models, serving

    settings = models.ModelSettings(image_size=32, noise_form="code", context_filters=8)
    serving.save(models.build_generator(settings), settings, serving.describe(settings, 0, "random"), str(tmp_path))
    colorizer = Colorizer(tmp_path)
    photo = photos.read_photo((textured(60, 80) * 255).astype(np.uint8))
    others = [photos.read_photo((textured(50 + i, 70, i) * 255).astype(np.uint8)) for i in range(4)]
    noise = module.draw_noise(1, 7, 100)
    alone = [colorizer.propose(photo, noise=row[None])[0].chroma.planes for row in noise]
    assert len({planes.tobytes() for planes in alone}) == 7
    for order in (range(7), range(6, -1, -1), [3, 3, 0, 6, 1]):
        together = colorizer.propose(photo, noise=noise[list(order)])
        for i, coloring in zip(order, together, strict=True):
            np.testing.assert_array_equal(coloring.chroma.planes, alone[i])
    expected = [c.chroma.planes for c in colorizer.propose(photo, 3)]
    with ThreadPoolExecutor(4) as pool:  # among other photos, several at once
        mixed = [photo, *others] * 3
        for source, colorings in zip(mixed, pool.map(lambda p: colorizer.propose(p, 3), mixed), strict=True):
            if source is photo:
                np.testing.assert_array_equal([c.chroma.planes for c in colorings], expected)
