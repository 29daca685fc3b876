"""Decoding: every kind of everyday file against the pixels it was made from."""

import io
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from colorgan_tf import photos

RNG = np.random.default_rng(0)
HEIGHT, WIDTH = 40, 56


def smooth(channels=3, top=255, dtype=np.uint8):
    """A soft colourful picture (JPEG and WebP change it little), different in every corner."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / 60.0
    planes = [x, y, 1 - x, 0.3 + 0.5 * x * y][:channels]
    return np.round(np.stack(planes, -1) * 0.9 * top).astype(dtype)


def gray64(rgb, full=255.0):
    """Eq. 5 in float64."""
    return np.asarray(rgb, np.float64)[..., :3] @ [0.299, 0.587, 0.114] / full


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind, options, tolerance",
    [("PNG", {}, 1e-5), ("BMP", {}, 1e-5), ("TIFF", {}, 1e-5), ("WEBP", {"lossless": True}, 1e-5)]
    + [("TIFF", {"compression": "tiff_lzw"}, 1e-5), ("JPEG", {"quality": 95, "subsampling": 0}, 0.01)],
)
def test_rgb_becomes_its_luminance(kind, options, tolerance):
    photo = photos.read_photo(encoded(Image.fromarray(smooth()), kind, **options))
    assert photo.size == (WIDTH, HEIGHT) and photo.alpha is None
    np.testing.assert_allclose(photo.gray(), gray64(smooth()), atol=tolerance)
    np.testing.assert_array_equal(photo.gray(3, 9), photo.gray()[3:9])


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "JPEG", "WEBP"])
def test_grey_of_8_bits_is_kept_as_it_is(kind):
    values = smooth(1)[..., 0]
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "JPEG" else {}
    photo = photos.read_photo(encoded(Image.fromarray(values), kind, **options))
    if kind != "WEBP":  # which has no grey
        assert photo.luminance.dtype == np.uint8
    np.testing.assert_allclose(photo.gray(), values / 255, atol=0.006 if kind == "JPEG" else 1e-5)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_them(kind):
    values = smooth(1, 65535, np.uint16)[..., 0]
    data = encoded(Image.fromarray(values), kind)
    photo = photos.read_photo(data)
    np.testing.assert_array_equal(photo.luminance, values)
    seen = np.asarray(photos.open_photo(data))
    assert seen.dtype == np.uint8 and seen.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(seen[..., 1] / 255, values / 65535, atol=1 / 255)


def test_tiff_with_white_as_zero():
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        values = smooth(1, top, dtype)[..., 0]
        data = encoded(Image.fromarray(top - values if top > 255 else values), "TIFF", tiffinfo={262: 0})
        np.testing.assert_array_equal(photos.read_photo(data).luminance, values)


def test_alpha_is_kept():
    rgba = smooth(4)
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})):
        data = encoded(Image.fromarray(rgba), kind, **options)
        photo = photos.read_photo(data)
        np.testing.assert_array_equal(photo.alpha, rgba[..., 3])
        np.testing.assert_allclose(photo.gray(), gray64(rgba), atol=1e-5)
        np.testing.assert_array_equal(np.asarray(photos.open_photo(data)), rgba)
    la = np.stack([rgba[..., 0], rgba[..., 3]], -1)
    photo = photos.read_photo(encoded(Image.fromarray(la), "PNG"))
    np.testing.assert_array_equal(photo.luminance, la[..., 0])
    np.testing.assert_array_equal(photo.alpha, la[..., 1])


def test_palettes_with_and_without_transparency():
    indices = RNG.integers(0, 4, (HEIGHT, WIDTH), np.uint8)
    palette = np.array([[200, 30, 10], [0, 255, 0], [12, 34, 56], [255, 255, 255]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette(palette.tobytes())
    photo = photos.read_photo(encoded(image, "PNG"))
    np.testing.assert_allclose(photo.gray(), gray64(palette[indices]), atol=1e-5)
    photo = photos.read_photo(encoded(image, "PNG", transparency=2))
    np.testing.assert_array_equal(photo.alpha, np.where(indices == 2, 0, 255))
    bits = indices > 1
    np.testing.assert_array_equal(photos.read_photo(encoded(Image.fromarray(bits), "PNG")).gray(), bits)


def test_cmyk():
    cmyk = smooth(4)
    photo = photos.read_photo(encoded(Image.fromarray(cmyk, "CMYK"), "TIFF"))
    inks = 1 - cmyk / 255.0
    np.testing.assert_allclose(photo.gray(), gray64(inks[..., :3] * inks[..., 3:], 1.0), atol=2 / 255)
    jpeg = photos.read_photo(encoded(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=98))
    np.testing.assert_allclose(jpeg.gray(), photo.gray(), atol=0.03)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied_and_not_kept(orientation, kind):
    upright = smooth()
    # The EXIF standard: where row 0 and column 0 of the stored picture are in the upright one.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.DateTime] = "1957:06:01 12:00:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1957:05:04 03:02:01"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"secret"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    photo = photos.read_photo(data)
    np.testing.assert_allclose(photo.gray(), gray64(upright), atol=0.01)
    assert photos.open_photo(data).size == (WIDTH, HEIGHT)
    again = Image.Exif()
    again.load(photo.exif.tobytes())
    assert again[ExifTags.Base.DateTime] == "1957:06:01 12:00:00"
    if kind != "TIFF":  # Pillow writes no inner directories there
        assert again.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1957:05:04 03:02:01"
        assert again.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert ExifTags.Base.Orientation not in again
    assert ExifTags.Base.MakerNote not in again.get_ifd(ExifTags.IFD.Exif)


def test_damaged_exif_does_not_cost_the_photo():
    data = encoded(Image.fromarray(smooth()), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff")
    assert photos.read_photo(data).size == (WIDTH, HEIGHT)


def rgb_profile(gamma, primaries):
    """A minimal ICC v2 matrix profile: the given gamma and D50 XYZ columns."""

    def s15(value):
        return struct.pack(">i", round(value * 65536))

    def tag(kind, body):
        return (kind + b"\0\0\0\0" + body).ljust(-(-len(body) // 4) * 4 + 8, b"\0")

    text = tag(b"desc", struct.pack(">I", 5) + b"test\0" + b"\0" * 78)
    tags = {b"desc": text, b"cprt": tag(b"text", b"none\0"), b"wtpt": tag(b"XYZ ", s15(0.9642) + s15(1) + s15(0.8249))}
    curve = tag(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for name, column in zip(b"rgb", np.transpose(primaries), strict=True):
            letter = bytes([name])
            tags[letter + b"XYZ"] = tag(b"XYZ ", b"".join(map(s15, column)))
            tags[letter + b"TRC"] = curve
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    space = b"GRAY" if primaries is None else b"RGB "
    header = struct.pack(">I", start + len(body)) + b"\0\0\0\0\x02\x40\0\0mntr" + space + b"XYZ " + b"\0" * 12
    header += b"acsp" + b"\0" * 28 + s15(0.9642) + s15(1) + s15(0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


# D50-adapted Adobe RGB (1998) and sRGB, from their published definitions.
ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def srgb_encode(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def test_colour_profile_is_applied():
    rgb = (80 + smooth() * 0.4).astype(np.uint8)  # muted, so that sRGB can show all of it
    data = encoded(Image.fromarray(rgb), "PNG", icc_profile=rgb_profile(563 / 256, ADOBE))
    linear = (rgb / 255.0) ** (563 / 256) @ ADOBE.T @ np.linalg.inv(SRGB).T
    expected = gray64(srgb_encode(linear), 1.0)
    assert np.abs(expected - gray64(rgb)).max() > 0.02  # the profile matters here
    np.testing.assert_allclose(photos.read_photo(data).gray(), expected, atol=1.5 / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_profile_is_applied(dtype):
    top = np.iinfo(dtype).max
    values = smooth(1, top, dtype)[..., 0]
    data = encoded(Image.fromarray(values), "PNG", icc_profile=rgb_profile(1.8, None))
    expected = srgb_encode((values / top) ** 1.8)
    assert np.abs(expected - values / top).max() > 0.02  # the profile matters here
    np.testing.assert_allclose(photos.read_photo(data).gray(), expected, atol=1.5 / 255)


def test_srgb_profile_changes_nothing_and_a_broken_one_neither():
    rgb = smooth()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, srgb[:200], b"nonsense", rgb_profile(1.0, None)):
        data = encoded(Image.fromarray(rgb), "PNG", icc_profile=profile)
        np.testing.assert_allclose(photos.read_photo(data).gray(), gray64(rgb), atol=1e-5)


def test_arrays_and_pil_pictures():
    rgba = smooth(4)
    for source in (rgba, rgba / 255.0, (rgba.astype(np.uint16) * 257), Image.fromarray(rgba)):
        photo = photos.read_photo(source)
        np.testing.assert_allclose(photo.gray(), gray64(rgba), atol=2e-5)
        np.testing.assert_array_equal(photo.alpha, rgba[..., 3])
    np.testing.assert_array_equal(photos.read_photo(rgba[..., :1]).luminance, rgba[..., 0])
    for bad in (rgba / 1.0, rgba[..., :2], rgba.astype(np.int64), np.full((32, 32), np.nan), rgba[:4]):
        with pytest.raises(ValueError):
            photos.read_photo(bad)


def test_what_is_no_photo_is_one_line_with_its_name(tmp_path):
    good = encoded(Image.fromarray(smooth()), "PNG")
    cases = {
        "missing.png": (None, "no such file"),
        "empty.jpg": (b"", "not a photo"),
        "text.jpg": (b"hello\n" * 100, "not a photo"),
        "half.png": (good[: len(good) // 2], "truncated"),
        "small.png": (encoded(Image.new("L", (1, 1)), "PNG"), "1 x 1"),
        "long.png": (encoded(Image.new("L", (50_000, 1)), "PNG"), "50000 x 1"),
        "float.tif": (encoded(Image.new("F", (32, 32)), "TIFF"), "floating point"),
        "vector.gif": (encoded(Image.new("L", (32, 32)), "GIF"), "not a photo"),
    }
    for name, (data, word) in cases.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError) as caught:
            photos.read_photo(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ") and word in message and "\n" not in message
    os.mkfifo(tmp_path / "pipe.jpg")
    for odd in (tmp_path, tmp_path / "pipe.jpg"):
        assert photos.pixels(odd) == 0
        with pytest.raises(ValueError, match="not a file"):
            photos.read_photo(odd)
    with pytest.raises(ValueError, match="expected 1 to 30"):
        photos.open_photo(good, max_side=30)


def test_the_extension_does_not_matter(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(Image.fromarray(smooth()), "PNG"))
    assert photos.read_photo(tmp_path / "photo.jpg").size == (WIDTH, HEIGHT)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_is_either_survived_or_a_value_error(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP"]))
    content = bytearray(encoded(Image.fromarray(smooth()), kind))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, min(len(content) - 1, 400)))
        content[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        photo = photos.read_photo(bytes(content[:cut]))
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert photo.gray().min() >= 0.0 and photo.gray().max() <= 1.0
