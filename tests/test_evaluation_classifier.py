"""The classifier test must see what is there to be seen, and nothing else."""

import numpy as np
import pytest
import scipy.stats

from colorgan_tf import color
from colorgan_tf.evaluation import classifier
from colorgan_tf.evaluation.measure import TRUTH
from colorgan_tf.evaluation.realism import HALVES, ClassifierTest
from colorgan_tf.evaluation.sources import Batch


def photos(count, size=16, seed=0):
    """Blocks of smoothly shaded colour, uint8; whatever is learnt of one says nothing of another."""
    rng = np.random.default_rng(seed)
    blocks = rng.uniform(0.2, 0.8, (count, 4, 4, 3)).repeat(size // 4, 1).repeat(size // 4, 2)
    shade = rng.uniform(-0.2, 0.2, (count, 1, 1, 1)) * np.linspace(-1, 1, size)[None, :, None, None]
    return classifier.to_bytes(blocks + shade)


TRUE = photos(240)
IN_TRAIN = np.arange(240) % 2 == 0


@pytest.mark.parametrize(("correct", "count"), [(0, 20), (10, 20), (37, 50), (50, 50)])
def test_wilson_interval_is_scipys(correct, count):
    expected = scipy.stats.binomtest(correct, count).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(classifier.wilson_interval(correct, count), (expected.low, expected.high), atol=1e-6)


def test_truth_against_truth_is_at_chance():
    in_b = np.random.default_rng(5).random(240) < 0.5
    verdict = classifier.halves(TRUE, in_b, IN_TRAIN, seed=0)
    assert verdict.train_accuracy > 0.6  # it did learn something, by heart
    assert verdict.interval[0] < 0.5 < verdict.interval[1]
    assert verdict.test_pictures == 120


def test_wrong_colours_on_the_same_luminance_are_seen():
    y, chroma = color.rgb_to_yuv(TRUE / 255.0)
    pale = classifier.to_bytes(color.yuv_to_rgb(y, 0.3 * chroma))
    verdict = classifier.paired(TRUE, pale, IN_TRAIN, seed=0)
    assert verdict.accuracy > 0.9
    assert verdict.interval[0] > 0.5
    assert verdict.train_pictures == verdict.test_pictures == 240
    assert classifier.paired(TRUE, pale, IN_TRAIN, seed=0) == verdict  # the seed fixes it


def test_only_the_colour_is_looked_at():
    """A copy that is darker everywhere, its chroma untouched, must be no easier than the photo itself."""
    y, chroma = color.rgb_to_yuv(TRUE / 255.0)
    seen = classifier.features(TRUE, TRUE)
    darker = classifier.features(TRUE, classifier.to_bytes(color.yuv_to_rgb(0.8 * y + 0.1, 0.5 * chroma)))
    np.testing.assert_array_equal(seen[..., 0], darker[..., 0])
    same = classifier.paired(TRUE, TRUE.copy(), IN_TRAIN, seed=0)
    assert same.accuracy == 0.5  # of one photo's two copies one is always called wrong


def test_no_photo_is_in_both_halves_and_all_systems_get_the_same_photos(monkeypatch):
    asked = []
    verdict = classifier.Verdict(0.5, (0.4, 0.6), 0.5, 1, 1)

    def paired(truth, shown, in_train, seed):
        asked.append((truth, shown, in_train))
        return verdict

    monkeypatch.setattr(classifier, "paired", paired)
    monkeypatch.setattr(classifier, "halves", lambda *_: verdict)
    test = ClassifierTest(size=100, seed=1)
    keys = [f"photo-{i}" for i in range(240)]
    for start in range(0, 240, 40):  # a system whose pictures are the negatives of the truth
        batch = Batch(keys[start : start + 40], TRUE[start : start + 40] / np.float32(255))
        test(TRUTH, batch, batch.rgb[:, None])
        test("negative", batch, np.stack([1 - batch.rgb, batch.rgb], axis=1))
    results = test.results()
    assert set(results) == {"negative", *HALVES}
    (truth, shown, in_train) = asked[0]
    assert len(truth) == 100  # the subsample
    np.testing.assert_array_equal(shown, 255 - truth)  # pairs of one photo, and its first colouring
    assert 30 < in_train.sum() < 70


def test_too_few_photos_give_no_number():
    test = ClassifierTest(size=100, seed=1)
    batch = Batch([f"photo-{i}" for i in range(12)], TRUE[:12] / np.float32(255))
    test(TRUTH, batch, batch.rgb[:, None])
    test("same", batch, batch.rgb[:, None])
    assert test.results() == dict.fromkeys(["same", *HALVES])
