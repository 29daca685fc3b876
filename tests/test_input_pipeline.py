"""The stream of training photos: each once an epoch, the same again after a stop, shared out between workers."""

import collections
import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from colorgan_tf import records
from colorgan_tf.input_pipeline import Share, training_batches
from tests.conftest import write_dataset

PHOTOS = 41  # a prime, so that no batch, worker or window divides it
BATCH, UPDATES = 6, 2


@pytest.fixture(scope="module")
def many_files(tmp_path_factory) -> records.Source:
    directory = tmp_path_factory.mktemp("pipeline") / "many"
    return records.open_split(write_dataset(directory, counts={"train": PHOTOS, "val": 2}, shards=7), "train", 16)


@pytest.fixture(scope="module")
def few_files(tmp_path_factory) -> records.Source:
    directory = tmp_path_factory.mktemp("pipeline") / "few"
    return records.open_split(write_dataset(directory, counts={"train": PHOTOS, "val": 2}, shards=2), "train", 16)


def stream(source, steps, start=0, seed=5, share=None, augmentation="none"):
    """uint8 [steps, rows, updates, 16, 16, 3]."""
    batches = training_batches(
        source, BATCH, UPDATES, seed, start, shuffle_buffer=8, share=share, augmentation=augmentation
    )
    return np.stack([batch.numpy() for batch in batches.take(steps)])


def photos(batches) -> list[bytes]:
    """One entry for every photo, in the order they come in."""
    return [picture.tobytes() for picture in batches.reshape(-1, 16, 16, 3)]


def test_every_epoch_shows_every_photo_once_in_an_order_of_its_own(many_files):
    seen = photos(stream(many_files, steps=12))  # 144 photos: three epochs and a bit
    epochs = [seen[i * PHOTOS : (i + 1) * PHOTOS] for i in range(3)]
    assert all(len(set(epoch)) == PHOTOS for epoch in epochs)
    assert set(epochs[0]) == set(epochs[1]) == set(epochs[2])
    assert epochs[0] != epochs[1] != epochs[2]
    assert photos(stream(many_files, steps=12, seed=6)) != seen


@pytest.mark.parametrize("start", [1, 3, 4, 9])
def test_a_resumed_stream_goes_on_where_it_stopped(many_files, start):
    """Inside the first epoch and behind it, augmentation included."""
    whole = stream(many_files, steps=12, augmentation="flip_crop")
    rest = stream(many_files, steps=12 - start, start=start, augmentation="flip_crop")
    np.testing.assert_array_equal(rest, whole[start:])


def test_augmentation_differs_between_epochs(many_files):
    plain, flipped = stream(many_files, steps=12), stream(many_files, steps=12, augmentation="flip")
    mirrored = (plain != flipped).any(axis=(-1, -2, -3)).reshape(-1)
    pairs = zip(plain.reshape(-1, 16, 16, 3), flipped.reshape(-1, 16, 16, 3), strict=True)
    assert all((p == f).all() or (p[:, ::-1] == f).all() for p, f in pairs)
    assert 40 < mirrored.sum() < 104  # of 144, p = 1/2: five standard deviations
    assert (mirrored[:PHOTOS] != mirrored[PHOTOS : 2 * PHOTOS]).any()


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_with_files_of_their_own_see_every_photo_once_an_epoch(many_files, workers):
    assert Share(0, workers).divides_files(many_files)
    parts = [photos(stream(many_files, steps=21, share=Share(w, workers))) for w in range(workers)]
    # What one process would call its stream: one photo of every worker in turn. 252 photos, six epochs.
    together = [photo for turn in zip(*parts, strict=True) for photo in turn]
    for epoch in range(6):
        assert collections.Counter(together[epoch * PHOTOS : (epoch + 1) * PHOTOS]).most_common(1)[0][1] == 1
    for worker in range(workers):
        rest = photos(stream(many_files, steps=11, start=10, share=Share(worker, workers)))
        assert rest == parts[worker][-len(rest) :]


def test_workers_with_files_of_their_own_do_not_read_the_others(many_files, tmp_path):
    """A worker of three, with seven files: at least three of them stay closed in an epoch."""
    opened = []
    for path in many_files.files:
        without = tuple(str(tmp_path / "missing") if file == path else file for file in many_files.files)
        source = dataclasses.replace(many_files, files=without)
        try:
            stream(source, steps=3, share=Share(1, 3))  # 12 photos of its 13 or 14
            opened.append(False)
        except tf.errors.NotFoundError:
            opened.append(True)
    assert 2 <= sum(opened) <= 4


@pytest.mark.parametrize("replicas", [1, 3])
def test_workers_that_share_rows_make_up_the_batches_of_one_process(few_files, replicas):
    assert not Share(0, 2).divides_files(few_files)
    whole = stream(few_files, steps=9, augmentation="flip_crop")
    parts = []
    for worker in range(2):
        share = Share(worker, 2, replicas)
        part = stream(few_files, steps=9 * replicas, share=share, augmentation="flip_crop")
        assert part.shape[1] == BATCH // 2 // replicas
        parts.append(part.reshape(9, BATCH // 2, *part.shape[2:]))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_shards_with_fewer_records_than_promised_are_an_error_and_no_endless_loop(few_files, tmp_path):
    short = dataclasses.replace(few_files, counts=(few_files.counts[0], few_files.counts[1] + 1))
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 42 elements"):
        stream(short, steps=9)
    empty = pathlib.Path(tmp_path / "empty.tfrecord")
    empty.touch()
    with pytest.raises(tf.errors.FailedPreconditionError):
        stream(dataclasses.replace(few_files, files=(str(empty),), counts=(41,)), steps=1)
