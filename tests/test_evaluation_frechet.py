"""Frechet distances from running sums against NumPy and SciPy, and no number without trained weights."""

import numpy as np
import pytest
import scipy.linalg

from colorgan_tf.evaluation import frechet
from colorgan_tf.evaluation.measure import TRUTH
from colorgan_tf.evaluation.realism import HALVES, FrechetTest, half
from colorgan_tf.evaluation.sources import Batch

RNG = np.random.default_rng(2)


def by_scipy(a, b):
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(s1 + s2 - 2 * root)


def test_running_moments_are_numpys_in_any_batches():
    vectors = RNG.normal(3.0, 2.0, (57, 5))
    a, b = frechet.Gaussian(5), frechet.Gaussian(5)
    a.add(vectors[:20])
    a.add(vectors[20:31])
    b.add(vectors[31:])
    mean, covariance = (a + b).moments()
    np.testing.assert_allclose(mean, vectors.mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(vectors, rowvar=False), atol=1e-9)


def test_distances_of_systems_and_halves_are_scipys():
    rgb = RNG.uniform(size=(80, 4, 4, 3))
    shown = 0.5 * rgb + 0.3 * RNG.uniform(size=rgb.shape)
    keys = [f"k{i}" for i in range(80)]

    def features(pictures):
        return pictures.mean(axis=(1, 2)) * 10

    test = FrechetTest(features, size=3, seed=4)
    for start in (0, 30):
        at = slice(start, start + 30 if start == 0 else 80)
        batch = Batch(keys[at], rgb[at])
        test(TRUTH, batch, rgb[at, None])
        test("shown", batch, np.stack([shown[at], rgb[at]], axis=1))
    results = test.results()
    assert results["shown"] == pytest.approx(by_scipy(features(rgb), features(shown)), abs=1e-6)
    in_b = np.array([half(4, key) == "b" for key in keys])
    between = by_scipy(features(rgb[in_b]), features(rgb[~in_b]))
    assert results[HALVES[0]] == results[HALVES[1]] == pytest.approx(between, abs=1e-6)
    assert results["shown"] > results[HALVES[0]]


def test_one_picture_has_no_distance():
    a, b = frechet.Gaussian(2), frechet.Gaussian(2)
    a.add(RNG.normal(size=(1, 2)))
    b.add(RNG.normal(size=(9, 2)))
    assert a.distance(b) is None


def test_missing_weights_are_one_line(tmp_path):
    with pytest.raises(ValueError, match="no such file; expected InceptionV3's weights"):
        frechet.Inception(str(tmp_path / "weights.h5"))
    (tmp_path / "weights.h5").write_bytes(b"not HDF5 at all")
    with pytest.raises(ValueError, match="not an HDF5 file; expected InceptionV3's weights"):
        frechet.Inception(str(tmp_path / "weights.h5"))


def test_another_models_weights_are_one_line(tmp_path):
    import keras

    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other.save_weights(str(tmp_path / "other.weights.h5"))
    with pytest.raises(ValueError, match="not InceptionV3's weights") as caught:
        frechet.Inception(str(tmp_path / "other.weights.h5"))
    assert "\n" not in str(caught.value)


def test_one_layer_without_its_weights_is_enough_to_refuse():
    """Keras leaves a layer that the file lacks as it was made, with a warning."""
    import keras

    first, second = keras.layers.BatchNormalization(), keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((3,)), first, second])
    first.moving_mean.assign([0.1, 0.0, 0.2])
    with pytest.raises(ValueError, match="file.h5: 1 of 2 layers there were never trained"):
        frechet.check_trained(model, "file.h5")
    second.moving_mean.assign([0.0, 0.3, 0.0])
    frechet.check_trained(model, "file.h5")


def test_untrained_weights_are_refused_and_others_used_and_marked(tmp_path):
    from keras.applications import InceptionV3

    model = InceptionV3(include_top=False, pooling="avg", input_shape=(299, 299, 3), weights=None)
    untrained, trained = str(tmp_path / "untrained.weights.h5"), str(tmp_path / "trained.weights.h5")
    model.save_weights(untrained)
    with pytest.raises(ValueError, match="94 of 94 layers there were never trained"):
        frechet.Inception(untrained)
    for variable in model.non_trainable_variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(RNG.normal(0, 0.1, variable.shape))
    model.save_weights(trained)
    inception = frechet.Inception(trained)
    assert not inception.published
    rgb = RNG.uniform(size=(2, 299, 299, 3))  # the network's own size, so that nothing is scaled
    expected = model.predict(np.round(rgb * 255) / 127.5 - 1, verbose=0)
    np.testing.assert_allclose(inception(rgb), expected, rtol=1e-4, atol=1e-5)


def test_a_failed_download_is_one_line(monkeypatch):
    import keras.applications

    def fails(**_):
        raise Exception("URL fetch failure\non ...")

    monkeypatch.setattr(keras.applications, "InceptionV3", fails)
    with pytest.raises(ValueError, match="could not get InceptionV3's weights") as caught:
        frechet.Inception("download")
    assert "\n" not in str(caught.value)
