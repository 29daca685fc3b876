"""Decoding, cutting, resizing: every format that people have lying around, against arrays made by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from data import pictures
from data.pictures import Unusable, decode_square, encode_png, mean_chroma


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def smooth(height: int, width: int) -> np.ndarray:
    """A smooth colour picture without any symmetry, uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    return np.stack([40 + 150 * x, 60 + 140 * y, 200 - 120 * x * y], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(40, 64), (64, 40), (40, 40), (41, 64)])
def test_cuts_the_maximum_centre_square(height, width):
    photo = smooth(height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    out = decode_square(encoded(Image.fromarray(photo)), side)
    np.testing.assert_array_equal(out, photo[top : top + side, left : left + side])


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_reads_every_format(file_format):
    photo = smooth(48, 48)
    options = {"JPEG": {"quality": 98}, "WEBP": {"quality": 98}}.get(file_format, {})
    out = decode_square(encoded(Image.fromarray(photo), file_format, **options), 48)
    limit = {"PNG": 0, "BMP": 0, "GIF": 24}.get(file_format, 6)  # a GIF has 256 colours
    assert np.abs(out.astype(int) - photo).mean() <= limit / 3
    assert np.abs(out.astype(int) - photo).max() <= limit


def test_resizing_is_antialiased():
    """Stripes far too fine for the small picture become their mean, not a moire pattern."""
    photo = np.zeros((252, 252, 3), np.uint8)
    photo[:, ::2] = 200
    out = decode_square(encoded(Image.fromarray(photo)), 36).astype(int)
    assert np.abs(out - 100)[1:-1, 1:-1].max() <= 2  # taking single pixels would be 100 off


def test_resizing_agrees_with_block_means():
    """On a smooth picture every good filter agrees: here the mean over the 8 x 8 pixels under each output pixel."""
    photo = smooth(320, 320)
    blocks = photo.astype(float).reshape(40, 8, 40, 8, 3).mean(axis=(1, 3))
    for file_format, options, limit in (("PNG", {}, 1.5), ("JPEG", {"quality": 98}, 3.0)):  # JPEG is reduced otherwise
        out = decode_square(encoded(Image.fromarray(photo), file_format, **options), 40)
        assert np.abs(out - blocks)[1:-1, 1:-1].max() <= limit


@pytest.mark.parametrize("orientation", range(1, 9))
def test_applies_exif_rotation(orientation):
    photo = smooth(30, 50)
    # What a viewer must do to the stored pixels, by the EXIF standard.
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }[orientation](photo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = decode_square(encoded(Image.fromarray(photo), exif=exif), 30)
    cut = upright[:, 10:40] if upright.shape[1] == 50 else upright[10:40]
    np.testing.assert_array_equal(out, cut)


def test_transparency_is_laid_over_white():
    photo = np.zeros((16, 16, 4), np.uint8)
    photo[..., 0] = 200  # red
    photo[:8, :, 3] = 255  # opaque above, clear below
    photo[12:, :, 3] = 128
    out = decode_square(encoded(Image.fromarray(photo, "RGBA")), 16)
    np.testing.assert_array_equal(out[:8], np.broadcast_to([200, 0, 0], (8, 16, 3)))
    np.testing.assert_array_equal(out[8:12], np.full((4, 16, 3), 255))
    assert np.abs(out[12:].astype(int) - [227, 127, 127]).max() <= 1  # 255 + (colour - 255) * 128 / 255


def test_hidden_colour_does_not_bleed():
    """Clear pixels have a colour too; resizing must not mix it into the opaque ones."""
    photo = np.zeros((64, 64, 4), np.uint8)
    photo[:, :32] = [0, 0, 255, 255]
    photo[:, 32:] = [0, 255, 0, 0]  # invisible green
    out = decode_square(encoded(Image.fromarray(photo, "RGBA")), 16).astype(int)
    assert (out[..., 1] <= out[..., 0] + 2).all()  # blue over white has as much red as green


def test_palette_with_a_clear_colour():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 250, 0, 0])
    image.paste(1, (0, 0, 8, 4))
    out = decode_square(encoded(image, transparency=0), 8)
    np.testing.assert_array_equal(out[:4], np.broadcast_to([250, 0, 0], (4, 8, 3)))
    np.testing.assert_array_equal(out[4:], np.full((4, 8, 3), 255))


def test_sixteen_bit_grey_is_scaled_not_clipped():
    values = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    out = decode_square(encoded(Image.fromarray(values)), 16)
    np.testing.assert_array_equal(out, np.rint(values / 257.0)[..., None].repeat(3, axis=-1))


def test_cmyk_and_grey_jpeg():
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    out = decode_square(encoded(cyan, "JPEG", quality=98), 16).astype(int)
    assert (out[..., 0] < 20).all() and (out[..., 1:] > 230).all()
    grey = decode_square(encoded(Image.new("L", (16, 16), 77), "JPEG"), 16)
    np.testing.assert_array_equal(grey, np.full((16, 16, 3), 77))


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for file_format, options in (("GIF", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode_square(data, 16), np.broadcast_to([255, 0, 0], (16, 16, 3)))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_truncated_photo_is_named_not_guessed(file_format):
    data = encoded(Image.fromarray(smooth(64, 64)), file_format)
    with pytest.raises(Unusable) as caught:
        decode_square(data[: len(data) // 2], 32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", bytes(1000)])
def test_not_a_photo(data):
    with pytest.raises(Unusable):
        decode_square(data, 32)


def test_the_reason_is_the_same_every_time():
    """Reasons are written to dataset.json, which must not differ from run to run."""
    reasons = set()
    for _ in range(3):
        with pytest.raises(Unusable) as caught:
            decode_square(b"not a picture", 32)
        reasons.add(str(caught.value))
    assert len(reasons) == 1 and "0x" not in reasons.pop()


@pytest.mark.parametrize("factor", [1, 3])  # beyond the limit, and beyond twice the limit, where Pillow itself refuses
def test_decompression_bombs_are_refused_before_they_are_decoded(monkeypatch, factor):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(Unusable, match="pixels"):
        decode_square(encoded(Image.new("RGB", (1001, factor))), 32)
    assert pictures.MAX_PIXELS == 89_478_485


def test_png_is_lossless():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(encode_png(noise)))), noise)


def test_mean_chroma_is_on_the_0_255_scale():
    assert mean_chroma(np.full((4, 4, 3), 93, np.uint8)) == pytest.approx(0, abs=1e-4)
    rgb = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    r, g, b = np.moveaxis(rgb.astype(np.float64), -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    expected = np.hypot((b - y) / 1.772, (r - y) / 1.402).mean()
    assert mean_chroma(rgb) == pytest.approx(expected, rel=1e-5)
