"""colorize_png against the same work done with Pillow, OpenCV and NumPy, and against bytes that are no photo."""

import io
import resource

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from colorgan_tf import color
from tests import serving_helpers as helpers
from tests.serving_double.models import LoadedModel

GRAY16 = (helpers.picture().astype(np.uint32).sum(-1) * 85).astype(np.uint16)
RGBA = np.dstack([helpers.picture(), np.tile(np.arange(70, dtype=np.uint8) * 3, (45, 1))])
PHOTOS = {
    "png_rgb": (helpers.encode(helpers.picture()), helpers.picture() / 255),
    "png_gray": (helpers.encode(helpers.picture()[..., 0]), helpers.picture()[..., 0] / 255),
    "png_rgba": (helpers.encode(RGBA), helpers.picture() / 255),
    "png_gray_alpha": (
        helpers.encode(Image.fromarray(np.ascontiguousarray(RGBA[..., ::3]), "LA")),
        helpers.picture()[..., 0] / 255,
    ),
    "png_16_bits": (helpers.encode(GRAY16), GRAY16 / 65535),
    "png_palette": (
        helpers.encode(Image.fromarray(helpers.picture()).quantize(64)),
        np.asarray(Image.fromarray(helpers.picture()).quantize(64).convert("RGB")) / 255,
    ),
    "png_small": (helpers.encode(helpers.picture(9, 5)), helpers.picture(9, 5) / 255),
    "png_one_pixel": (helpers.encode(helpers.picture(1, 1)), helpers.picture(1, 1) / 255),
    "png_strips": (helpers.encode(helpers.picture(700, 1001)), helpers.picture(700, 1001) / 255),
    "jpeg": (helpers.encode(helpers.picture(), "jpeg", quality=90), None),
    "jpeg_gray": (helpers.encode(helpers.picture()[..., 1], "jpeg"), None),
    "jpeg_progressive": (helpers.encode(helpers.picture(90, 64), "jpeg", progressive=True), None),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    loaded = LoadedModel(helpers.export(tmp_path_factory.mktemp("exports"), helpers.CODE))
    yield loaded
    loaded.close()


def colorize(model, photos, seeds):
    return model.run("colorize_png", {"image_bytes": np.array(photos, object), "seed": np.array(seeds, np.int64)})


def in_python(model, pixels, noise):
    """The documented steps in other libraries: float pixels [h, w(, 3)] in [0, 1] to uint8 RGB."""
    y = pixels if pixels.ndim == 2 else pixels @ [0.299, 0.587, 0.114]
    shown = Image.fromarray(y.astype(np.float32)).resize((32, 32), Image.Resampling.LANCZOS)
    gray = np.clip(np.asarray(shown), 0, 1)[None, :, :, None]
    chroma = model.run("serving_default", {"gray": gray, "noise": noise[None]})["chroma"][0]
    large = cv2.resize(chroma, y.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(*y.shape, 2)
    rgb = color.yuv_to_rgb(y[..., None], color.fit_chroma(y[..., None], large.astype(np.float64)))
    return 255 * np.clip(rgb, 0, 1)


@pytest.mark.parametrize("name", PHOTOS)
def test_agrees_with_python(model, name):
    content, pixels = PHOTOS[name]
    if pixels is None:
        pixels = np.asarray(Image.open(io.BytesIO(content))) / 255
    outputs = colorize(model, [content], [3])
    found = Image.open(io.BytesIO(outputs["png_bytes"][0]))
    assert found.format == "PNG" and found.mode == "RGB" and found.size == pixels.shape[1::-1]
    difference = np.abs(np.asarray(found) - in_python(model, pixels, outputs["noise"][0]))
    assert difference.max() < 0.55  # 0.5 is the rounding to 8 bits


def test_luminance_is_kept_and_colour_is_there(model):
    content, pixels = PHOTOS["png_rgb"]
    found = np.asarray(Image.open(io.BytesIO(colorize(model, [content], [0])["png_bytes"][0]))) / 255
    assert np.abs((found - pixels) @ [0.299, 0.587, 0.114]).max() < 0.6 / 255
    assert np.ptp(found, axis=-1).mean() > 0.02


def test_cmyk_jpeg(model):
    image = Image.fromarray(helpers.picture()).convert("CMYK")
    found = Image.open(io.BytesIO(colorize(model, [helpers.encode(image, "jpeg", quality=95)], [0])["png_bytes"][0]))
    luminance = np.asarray(found) @ [0.299, 0.587, 0.114]
    assert np.abs(luminance - helpers.picture() @ [0.299, 0.587, 0.114]).mean() < 3


def test_sizes_mix_in_one_request(model):
    names = ["png_small", "jpeg", "png_16_bits", "png_rgb"]
    outputs = colorize(model, [PHOTOS[name][0] for name in names], range(4))
    sizes = [Image.open(io.BytesIO(png)).size for png in outputs["png_bytes"]]
    assert sizes == [(5, 9), (70, 45), (70, 45), (70, 45)] and outputs["noise"].shape == (4, 100)


@pytest.mark.parametrize("name", helpers.bad_images())
def test_bad_bytes_get_the_documented_error_before_memory_is_spent(model, name):
    content, word = helpers.bad_images()[name]
    colorize(model, [PHOTOS["png_rgb"][0]], [0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match=word):
        colorize(model, [content], [0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 << 10  # KiB; 100 megapixels are 300 MB
    assert len(colorize(model, [PHOTOS["png_rgb"][0]], [0])["png_bytes"]) == 1


def test_as_many_seeds_as_photos(model):
    with pytest.raises(tf.errors.InvalidArgumentError, match="as many"):
        colorize(model, [PHOTOS["png_rgb"][0]] * 2, [0])
