"""Drawn rooms: the truth that they claim about themselves is true."""

import subprocess
import sys

import numpy as np
import pytest

from data import laws
from data.laws import KINDS, LAWS, RADIUS
from data.rooms import KIND_NAMES, MIXED, RoomSource, draw_room

# What one unit of U and of V adds to R, G and B; from the definition of full-range BT.601.
CHANNELS = {
    "R": np.array([0.0, 1.402]),
    "G": np.array([-0.114 * 1.772, -0.299 * 1.402]) / 0.587,
    "B": np.array([1.772, 0.0]),
}


def uv_of(rgb: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(rgb.astype(np.float64) / 255.0, -1, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack([(b - y) / 1.772, (r - y) / 1.402], axis=-1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_colour_of_any_law_is_ever_clipped(kind):
    """Extremes of R, G, B over an ellipse have a closed form: mean + radius * sqrt(a' C a)."""
    spec = KINDS[kind]
    for mean, covariance in zip(spec.law.means, spec.law.covariances, strict=True):
        for direction in CHANNELS.values():
            reach = RADIUS * np.sqrt(direction @ covariance @ direction)
            assert spec.darkest + direction @ mean - reach > 0.0
            assert spec.brightest + direction @ mean + reach < 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_law(kind):
    law = LAWS[kind]
    sample = laws.LAWS[kind].sample(np.random.default_rng(3), 20_000)
    error = 5 * np.sqrt(np.diag(law.covariance()) / len(sample))
    assert (np.abs(sample.mean(axis=0) - law.mean()) < error).all()
    np.testing.assert_allclose(np.cov(sample.T), law.covariance(), atol=0.06 * np.trace(law.covariance()))
    assert (law.density(sample) > 0).all()


@pytest.mark.parametrize("kind", ["wall", "blanket", "lamp"])
def test_the_density_is_that_of_the_samples(kind):
    law = LAWS[kind]
    step = 0.001
    axis = np.arange(-0.25, 0.25, step) + step / 2
    u, v = np.meshgrid(axis, axis, indexing="ij")
    mass = law.density(np.stack([u, v], axis=-1)) * step**2
    assert mass.sum() == pytest.approx(1.0, abs=0.01)
    line = law.mean() @ [1.0, 0.37] + 0.002
    half = mass[u + 0.37 * v > line].sum()  # the share on one side of a line, by integration and by sampling
    sample = laws.LAWS[kind].sample(np.random.default_rng(4), 20_000)
    assert (sample @ [1.0, 0.37] > line).mean() == pytest.approx(half, abs=0.025)


def test_every_pixel_of_an_item_has_the_chroma_that_was_drawn():
    seen = set()
    for index in range(40):
        room = draw_room(index, 0, 64)
        uv = uv_of(room.rgb)
        for kind, mask in room.masks.items():
            if mask.any():
                seen.add(kind)
                # 8 bits: each channel is at most half a level off, so U and V are at most 0.0039 off
                assert np.abs(uv[mask] - room.chroma[kind]).max() < 0.0045
    assert len(seen) >= 14


def test_the_chroma_of_rooms_follows_the_laws():
    drawn = {kind: [] for kind in KIND_NAMES}
    for index in range(300):
        for kind, uv in draw_room(index, 1, 16).chroma.items():
            drawn[kind].append(uv)
    for kind in ("wall", "floor", "blanket", "ceiling"):
        values, law = np.array(drawn[kind]), LAWS[kind]
        assert (law.density(values.astype(np.float64)) > 0).mean() > 0.995  # float32 rounding at the rim
        assert (np.abs(values.mean(axis=0) - law.mean()) < 5 * np.sqrt(np.diag(law.covariance()) / len(values))).all()


def test_luminance_knows_nothing_of_the_colours(monkeypatch):
    """With every law replaced by another one, the grey pictures stay what they are."""
    before = [draw_room(index, 0, 48).gray for index in range(5)]
    same_draws = {kind: laws.Law(law.weights, law.means * 0, law.covariances * 1e-9) for kind, law in LAWS.items()}
    monkeypatch.setattr("data.rooms.LAWS", same_draws)
    for index, gray in enumerate(before):
        room = draw_room(index, 0, 48)
        assert np.abs(uv_of(room.rgb)).max() < 0.004
        assert np.abs(room.gray - gray).max() <= 1.01 / 255


def test_masks_cover_the_picture_except_borders():
    for index in range(10):
        room = draw_room(index, 0, 64)
        total = sum(mask.astype(int) for mask in room.masks.values()) + (room.items == MIXED)
        assert (total == 1).all()
        assert (room.items == MIXED).mean() < 0.25
        assert set(room.laws) == set(room.chroma) == set(room.masks)


def test_borders_lie_between_their_items():
    """A mixed pixel is a weighted mean of colours nearby, so its chroma lies within their range."""
    room = draw_room(3, 0, 64)
    uv = uv_of(room.rgb)
    chromas = np.array(list(room.chroma.values()))
    mixed = uv[room.items == MIXED]
    assert len(mixed) and (mixed > chromas.min(axis=0) - 0.0045).all() and (mixed < chromas.max(axis=0) + 0.0045).all()


def test_rooms_differ():
    rooms = [draw_room(index, 0, 32).gray.ravel() for index in range(50)]
    correlation = np.corrcoef(rooms) - np.eye(50)
    assert correlation.max() < 0.97
    shares = np.array([[(draw_room(i, 0, 32).items == k).mean() for k in range(len(KIND_NAMES))] for i in range(50)])
    assert shares[:, KIND_NAMES.index("blanket")].std() > 0.03
    present = (shares > 0).mean(axis=0)
    assert 0.1 < present[KIND_NAMES.index("rug")] < 0.95


def test_the_same_room_in_any_order_and_process():
    here = [draw_room(index, 9, 32).rgb.sum() for index in (5, 2, 5)]
    assert here[0] == here[2] != here[1]
    code = "from data.rooms import draw_room; print(draw_room(2, 9, 32).rgb.sum())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert int(there) == here[1]
    assert (draw_room(2, 10, 32).rgb != draw_room(2, 9, 32).rgb).any()


def test_a_room_looks_the_same_at_every_size():
    small, large = (draw_room(4, 0, size).gray[..., 0] for size in (32, 128))
    reduced = large.reshape(32, 4, 32, 4).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.9


def test_as_a_source():
    source = RoomSource(3, 7)
    assert list(source.keys()) == ["room-00000000", "room-00000001", "room-00000002"]
    np.testing.assert_array_equal(source.jobs(["room-00000002"])[0].picture(32), draw_room(2, 7, 32).rgb)
