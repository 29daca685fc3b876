"""Edge-aware chroma: against closed forms and a plain enlargement."""

import cv2
import numpy as np

from colorgan_tf import upsample

RNG = np.random.default_rng(0)


def carried_up(gray, chroma):
    """What colorizer does, on a float32 luminance [h, w]: chroma [h, w, 2]."""
    height, width = upsample.middle_size(gray.shape, chroma.shape[:2])
    middle = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    return np.stack(upsample.fit(middle, chroma).rows(gray, 0, len(gray)), -1)


def two_walls(size=384, low=32, at=199):
    """A dark blue and a bright red wall that meet at a column within a small pixel; with the true chroma."""
    right = np.arange(size) >= at
    gray = np.where(right, 0.7, 0.3).astype(np.float32)[None].repeat(size, 0)
    chroma = np.where(right[:, None], [-0.15, 0.2], [0.2, -0.1]).astype(np.float32)[None].repeat(size, 0)
    return gray, chroma, cv2.resize(chroma, (low, low), interpolation=cv2.INTER_AREA)


def test_one_colour_stays_that_colour():
    gray = RNG.random((90, 130)).astype(np.float32)
    chroma = np.tile(np.float32([0.1, -0.2]), (20, 30, 1))
    np.testing.assert_allclose(carried_up(gray, chroma), np.broadcast_to([0.1, -0.2], (90, 130, 2)), atol=1e-4)


def test_colours_stop_where_things_stop():
    gray, chroma, low = two_walls()
    plain = cv2.resize(low, gray.shape[::-1], interpolation=cv2.INTER_LINEAR)
    ours = carried_up(gray, low)
    near = np.abs(np.arange(gray.shape[1]) - 199) < 12
    error = np.abs(ours - chroma)[:, near].mean()
    assert error < 0.35 * np.abs(plain - chroma)[:, near].mean()
    # Halfway through the small pixel that straddles the edge the jump is as sharp as the luminance's.
    jump = np.abs(np.diff(ours[100, 190:210, 0])).max()
    assert jump > 0.2 and np.abs(np.diff(plain[100, 190:210, 0])).max() < 0.05


def test_small_pixels_keep_their_own_mean_colour():
    coarse = RNG.random((6, 8)).astype(np.float32)
    gray = cv2.resize(coarse, (256, 192), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    low = cv2.resize(RNG.uniform(-0.2, 0.2, (5, 7, 2)).astype(np.float32), (32, 24), interpolation=cv2.INTER_CUBIC)
    back = carried_up(gray, low).reshape(24, 8, 32, 8, 2).mean(axis=(1, 3))
    assert np.abs(back - low).max() < 0.02


def test_strips_meet():
    gray = RNG.random((101, 67)).astype(np.float32)
    middle = cv2.resize(gray, upsample.middle_size((101, 67), (24, 16))[::-1], interpolation=cv2.INTER_AREA)
    chroma = upsample.fit(middle, RNG.uniform(-0.3, 0.3, (24, 16, 2)).astype(np.float32))
    whole = np.stack(chroma.rows(gray, 0, 101))
    for step in (1, 7, 64):
        parts = [np.stack(chroma.rows(gray[top : top + step], top, 101)) for top in range(0, 101, step)]
        # OpenCV has other arithmetic for single rows, good to 1.5e-5.
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=3e-5)


def test_maps_are_enlarged_as_opencv_enlarges():
    planes = RNG.random((4, 9, 13)).astype(np.float32)
    gray = RNG.random((47, 52)).astype(np.float32)
    slope_u, _, offset_u, _ = (cv2.resize(plane, (52, 47), interpolation=cv2.INTER_LINEAR) for plane in planes)
    u, _ = upsample.ChromaMap(planes).rows(gray, 0, 47)
    np.testing.assert_allclose(u, slope_u * gray + offset_u, atol=1e-4)


def test_photos_smaller_than_the_chroma():
    for shape in ((16, 16), (16, 300), (1, 5), (63, 64), (64, 64)):
        gray = RNG.random(shape).astype(np.float32)
        chroma = carried_up(gray, np.full((64, 64, 2), 0.1, np.float32))
        assert chroma.shape == (*shape, 2)
        np.testing.assert_allclose(chroma, 0.1, atol=1e-4)
