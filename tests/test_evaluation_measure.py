"""Photos in, pairs of pictures found, sums kept: each against NumPy or by hand."""

import numpy as np
import pytest
from PIL import Image

from colorgan_tf import color, metrics
from colorgan_tf.evaluation import measure, sources, systems
from colorgan_tf.evaluation.sources import Batch

RNG = np.random.default_rng(9)


def save(path, size=(20, 20), seed=0):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(path)


@pytest.mark.parametrize(
    ("count", "sizes"), [(10, [4, 3, 3]), (8, [4, 4]), (9, [4, 3, 2]), (3, [3]), (5, [3, 2]), (0, [])]
)
def test_batches_keep_order_and_leave_no_crumb(count, sizes):
    photos = [(f"k{i}", np.full((2, 2, 3), i, np.float32)) for i in range(count)]
    found = list(sources.batches(iter(photos), 4))
    assert [len(batch.keys) for batch in found] == sizes
    assert [key for batch in found for key in batch.keys] == [key for key, _ in photos]
    assert [value for batch in found for value in batch.rgb[:, 0, 0, 0]] == list(range(count))
    assert sum(len(batch.keys) for batch in sources.batches(iter(photos), 4, limit=5)) == min(count, 5)


def test_a_subsample_is_the_same_in_any_order_and_bounded():
    keys = [f"k{i}" for i in range(300)]
    made = []

    def fill(order):
        sample = sources.Subsample(20, seed=3, purpose="test")
        for key in order:
            sample.offer(key, lambda key=key: made.append(key) or key.upper())
        return sample.items()

    forward, backward = fill(keys), fill(keys[::-1])
    assert forward == backward and len(forward) == 20
    assert all(value == key.upper() for key, value in forward)
    assert len(made) < 300  # a value is made for the chosen only
    positions = np.mean([keys.index(key) for key, _ in forward])
    assert 100 < positions < 200  # from everywhere, not from the start


def test_pairs_by_name_and_number(tmp_path):
    for name in ("bed.png", "hall-2.jpg", "hall-1.jpg", "hall-10.jpg", "other.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    truth = {"bed": "", "hall": "", "desk": ""}
    found = systems.pair(str(tmp_path), truth)
    names = {key: [path.rsplit("/", 1)[1] for path in paths] for key, paths in found.items()}
    assert names == {"bed": ["bed.png"], "hall": ["hall-1.jpg", "hall-2.jpg", "hall-10.jpg"]}


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        sources.list_pictures(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no pictures there"):
        sources.list_pictures(str(tmp_path))
    save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="pairs with a true photo; expected names as b.png or b-1.png"):
        systems.pair(str(tmp_path), {"b": ""})
    save(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="both a.bmp and a.png"):
        sources.list_pictures(str(tmp_path))


def test_pictures_of_other_systems_are_read_in_order(tmp_path):
    truth_dir, own_dir = tmp_path / "truth", tmp_path / "own"
    truth_dir.mkdir()
    own_dir.mkdir()
    save(truth_dir / "a.png", (24, 16))
    save(truth_dir / "b.png", (20, 20))
    for i in (1, 2):
        save(own_dir / f"a-{i}.png", (24, 16), seed=i)
    for i in (1, 2, 3):
        save(own_dir / f"b-{i}.png", (20, 20), seed=10 + i)
    truth = sources.list_pictures(str(truth_dir))
    own = systems.Pictures("own", str(own_dir), truth, k=16, image_size=16)
    assert own.k == 2  # as many as there are of every photo
    (batch,) = sources.batches(sources.from_pictures(truth, 16), 8)
    rgb = own.paint(batch)
    expected = np.asarray(Image.open(own_dir / "a-2.png"))[:, 4:20] / 255  # the centre square, no scaling needed
    np.testing.assert_allclose(rgb[0, 1], expected, atol=1e-6)

    save(own_dir / "b-1.png", (40, 40))  # twice the size is the same picture
    own.paint(batch)
    save(own_dir / "b-1.png", (20, 26))
    with pytest.raises(ValueError, match="b-1.png: 20 x 26 pixels; expected its truth's proportions"):
        own.paint(batch)
    (own_dir / "b-1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(ValueError, match="b-1.png: ") as caught:
        own.paint(batch)
    assert "\n" not in str(caught.value)


def test_shuffled_keeps_luminance_and_takes_every_colour_from_another_photo():
    tints = np.array([[0.1, 0.0], [0.0, 0.1], [-0.1, 0.0]])
    y = RNG.uniform(0.4, 0.6, (3, 8, 8, 1))
    rgb = color.yuv_to_rgb(y, np.broadcast_to(tints[:, None, None], (3, 8, 8, 2)))
    painted = systems.Shuffled(4).paint(Batch(["a", "b", "c"], rgb.astype(np.float32)))
    shown_y, chroma = color.rgb_to_yuv(painted.astype(np.float64))
    np.testing.assert_allclose(shown_y, np.broadcast_to(y[:, None], shown_y.shape), atol=1e-6)
    for i in range(3):
        for r in range(4):
            donors = [j for j in range(3) if np.allclose(chroma[i, r], tints[j], atol=1e-5)]
            assert len(donors) == 1 and donors[0] != i


def test_sums_are_numpys_mean_maximum_and_standard_error():
    values, sums = RNG.normal(size=37), measure.Sums()
    for value in values:
        sums.add({"x": value, "pair": [value, 2 * value]})
    assert sums.mean("x") == pytest.approx(values.mean(), abs=1e-12)
    np.testing.assert_allclose(sums.mean("pair"), [values.mean(), 2 * values.mean()], atol=1e-12)
    assert sums.max("x") == values.max()
    assert sums.standard_error("x") == pytest.approx(values.std(ddof=1) / np.sqrt(37), abs=1e-9)
    assert sums.mean("never") is None and sums.standard_error("never") is None


def test_what_is_reported_is_the_mean_over_photos_of_each_metric():
    """Two batches of three photos and a system with three colourings, all recomputed photo by photo."""
    truth = RNG.uniform(size=(6, 12, 12, 3)).astype(np.float32)
    shown = RNG.uniform(size=(6, 3, 12, 12, 3)).astype(np.float32)
    keys = [f"{'inn' if i % 2 else 'out'}-{i}" for i in range(6)]

    class Stub:
        name, k, about = "stub", 3, {}

        def paint(self, batch):
            return shown[[keys.index(key) for key in batch.keys]]

    seen = []
    measured, found = measure.run(
        [Batch(keys[:3], truth[:3]), Batch(keys[3:], truth[3:])],
        [Stub()],
        lambda key: "a" if key in keys[:4] else "b",
        ["inn"],
        {"watch": lambda name, batch, rgb: seen.append((name, rgb.shape))},
        measure.Profile(),
    )
    assert found == keys
    assert seen == 2 * [("truth", (3, 1, 12, 12, 3)), ("stub", (3, 3, 12, 12, 3))]
    assert measured["truth_half_a"].all.count == 4 and measured["truth_half_b"].all.count == 2

    entry = measure.summary(measured["stub"].all, 3, measured["truth"].all)
    y, true_chroma = color.rgb_to_yuv(truth.astype(np.float64))
    chroma = color.rgb_to_yuv(shown.astype(np.float64))[1]
    colorful, true_colorful = metrics.colorfulness(shown), metrics.colorfulness(truth)
    psnr = np.stack([metrics.psnr(truth[i], shown[i]) for i in range(6)])
    rough = np.stack([metrics.roughness(y[i], chroma[i]) for i in range(6)])
    tints, true_tints = 255 * chroma.mean(axis=(2, 3)), 255 * true_chroma.mean(axis=(1, 2))
    expected = {
        "photos": 6,
        "k": 3,
        "colorfulness": colorful.mean(),
        "colorfulness_gap": abs(colorful.mean() - true_colorful.mean()),
        "colorfulness_gap_per_photo": np.abs(colorful - true_colorful[:, None]).mean(),
        "diversity": np.mean([metrics.diversity(c) for c in chroma]),
        "local_diversity": np.mean([metrics.local_diversity(c) for c in chroma]),
        "pairwise_rms": np.mean([metrics.pairwise_rms(c) for c in chroma]),
        "edge_agreement": np.mean([metrics.edge_agreement(y[i], chroma[i]) for i in range(6)]),
        "roughness": np.sqrt(np.mean(rough**2)),
        "luminance_drift": max(metrics.luminance_drift(y[i], shown[i]).max() for i in range(6)),
        "psnr": psnr.mean(),
        "best_of_k_psnr": psnr.max(axis=1).mean(),
        "tint_distance": np.linalg.norm(tints.mean(axis=(0, 1)) - true_tints.mean(axis=0)),
        "tint_distance_per_photo": np.linalg.norm(tints - true_tints[:, None], axis=-1).mean(),
    }
    for name, value in expected.items():
        assert entry[name] == pytest.approx(value, abs=1e-6), name
    curve = [psnr[:, : j + 1].max(axis=1).mean() for j in range(3)]
    np.testing.assert_allclose(entry["best_of_k_psnr_curve"], curve, atol=1e-6)
    inn = measure.summary(measured["stub"].groups["inn"], 3, measured["truth"].groups["inn"])
    assert inn["photos"] == 3 and inn["colorfulness"] == pytest.approx(colorful[1::2].mean(), abs=1e-6)
    assert "out" not in measured["stub"].groups


def test_the_same_photo_twice_and_no_photo_are_refused():
    photo = np.full((1, 12, 12, 3), 0.5, np.float32)
    arguments = ([], lambda key: "a", [], {}, measure.Profile())
    with pytest.raises(ValueError, match="two photos have the key x"):
        measure.run([Batch(["x"], photo), Batch(["x"], photo)], *arguments)
    with pytest.raises(ValueError, match="no photo"):
        measure.run([], *arguments)


def test_a_number_that_is_none_is_null_and_not_infinity():
    """A colouring equal to its truth has an infinite PSNR, which JSON does not know."""
    photo, sums = RNG.uniform(size=(12, 12, 3)), measure.Sums()
    sums.add(measure.measure_photo(photo, photo[None]))
    entry = measure.summary(sums, 1, sums)
    assert entry["psnr"] is None and entry["best_of_k_psnr"] is None and entry["best_of_k_psnr_curve"] is None
    assert entry["diversity"] is None  # of one colouring
    assert entry["truth_distance"] == pytest.approx(0.0, abs=1e-6)
