"""Splits and choices: the same for any order and number, uniform, and cheap in memory."""

import hashlib
import tracemalloc

import numpy as np
import pytest

from data.choice import Chooser, split_of


def chosen(keys, wanted, seed, batch=100):
    chooser = Chooser(wanted, seed)
    for start in range(0, len(keys), batch):
        chooser.offer(keys[start : start + batch])
    return {key for key in keys if chooser.takes(key)}


KEYS = [hashlib.sha1(str(i).encode()).hexdigest() for i in range(3000)]


@pytest.mark.parametrize("wanted", [1, 7, 1000, 2999, 3000, 5000])
@pytest.mark.parametrize("batch", [1, 999, 3000])
def test_the_choice_equals_sorting_all_keys_by_their_hash(wanted, batch):
    by_hash = sorted(KEYS, key=lambda key: hashlib.sha256(f"5:{key}".encode()).digest())
    assert chosen(KEYS, wanted, 5, batch) == set(by_hash[:wanted])


def test_the_choice_ignores_the_order_and_follows_the_seed():
    first = chosen(KEYS, 500, 0)
    assert chosen(KEYS[::-1], 500, 0) == first
    other = chosen(KEYS, 500, 1)
    assert len(first & other) == pytest.approx(500 * 500 / 3000, abs=40)  # as two independent draws would


def test_every_key_is_as_likely_as_any_other():
    """Counts over many seeds are binomial: chi squared within five standard deviations of its mean."""
    keys = KEYS[:60]
    draws, wanted = 800, 15
    picks = [chosen(keys, wanted, seed) for seed in range(draws)]
    counts = np.array([sum(key in picked for picked in picks) for key in keys])
    p = wanted / len(keys)
    chi = ((counts - draws * p) ** 2 / (draws * p * (1 - p))).sum()
    assert abs(chi - (len(keys) - 1)) < 5 * np.sqrt(2 * len(keys))


def test_zero_takes_all():
    assert chosen(KEYS, 0, 0) == set(KEYS)


def test_memory_does_not_grow_with_the_number_of_keys():
    def peak(count):
        tracemalloc.start()
        chooser = Chooser(10_000, 0)
        for start in range(0, count, 1000):
            chooser.offer([str(i) for i in range(start, start + 1000)])
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(100_000) < 1.2 * peak(20_000) < 1_000_000


def test_a_key_stays_in_its_split():
    splits = {key: split_of(key, 0.1) for key in KEYS}
    assert splits == {key: split_of(key, 0.1) for key in reversed(KEYS)}
    assert sum(split == "val" for split in splits.values()) == pytest.approx(300, abs=5 * np.sqrt(3000 * 0.1 * 0.9))
    larger = {key for key in KEYS if split_of(key, 0.3) == "val"}
    assert {key for key, split in splits.items() if split == "val"} < larger  # more val photos: none goes back to train
    assert {split_of(key, 0.0) for key in KEYS} == {"train"}
    assert {split_of(key, 1.0) for key in KEYS} == {"val"}


def test_choice_and_split_are_independent():
    picked = chosen(KEYS, 1500, 0)
    share = np.mean([split_of(key, 0.5) == "val" for key in picked])
    assert share == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(1500))
