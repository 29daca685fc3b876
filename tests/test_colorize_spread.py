"""Which colourings are kept, against exhaustive search."""

import itertools

import numpy as np
import pytest

from colorgan_tf import spread as spreading


def closest(chroma, chosen):
    return min(np.sqrt(np.mean((chroma[i] - chroma[j]) ** 2)) for i, j in itertools.combinations(chosen, 2))


def test_distances_are_rms_differences():
    chroma = np.random.default_rng(0).normal(size=(5, 3, 4, 2))
    for i, j in itertools.product(range(5), repeat=2):
        expected = np.sqrt(((chroma[i] - chroma[j]) ** 2).mean())
        assert spreading.distances(chroma)[i, j] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_the_chosen_differ_nearly_as_much_as_any_could(seed):
    chroma = np.random.default_rng(seed).normal(size=(9, 2, 3, 2))
    chosen = spreading.spread(chroma, 4)
    assert len(set(chosen)) == 4
    best = max(closest(chroma, others) for others in itertools.combinations(range(9), 4))
    assert closest(chroma, chosen) >= best / 2
    assert list(spreading.vividness(chroma)[chosen]) == sorted(spreading.vividness(chroma)[chosen])


def test_one_of_each_kind_rather_than_more_of_one():
    kinds = np.array([0, 0, 0, 0, 1, 0, 2, 2, 0, 0])
    chroma = np.zeros((10, 4, 4, 2)) + kinds[:, None, None, None] * 0.1
    chroma += np.random.default_rng(0).normal(scale=1e-3, size=chroma.shape)
    chosen = spreading.spread(chroma, 3)
    assert list(kinds[chosen]) == [0, 1, 2]  # and calm to vivid


def test_all_and_equal_ones():
    chroma = np.zeros((6, 2, 2, 2))
    assert sorted(spreading.spread(chroma, 6)) == list(range(6))
    assert len(spreading.spread(chroma, 1)) == 1


def test_calmest_leaves_the_most_vivid_out():
    strength = np.array([5, 1, 7, 2, 8, 3, 6, 4])
    chroma = np.random.default_rng(3).normal(size=(8, 5, 5, 2)) * strength[:, None, None, None]
    assert list(spreading.calmest(chroma, 6)) == [0, 1, 3, 5, 6, 7]
    assert list(spreading.calmest(chroma, 8)) == list(range(8))
