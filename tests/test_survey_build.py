"""What a study's files say, and do not say, about which picture is true."""

import os
import re
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from survey_helpers import OPEN, fake_generator, make_photos, make_study

from colorgan_tf.color import luminance
from colorgan_tf.study import build, pictures
from colorgan_tf.study.manifest import TRUTH, Study


def png_chunks(path):
    """[(type, length)] read from the bytes of a PNG, without Pillow."""
    with open(path, "rb") as file:
        content = file.read()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        found.append((kind, length, content[at + 8 : at + 8 + length] if kind == b"IHDR" else None))
        at += 12 + length
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    directory = tmp_path_factory.mktemp("build") / "study"
    return make_study(directory, questions=40, side=32), str(directory)


def load(directory, name):
    with Image.open(pictures.path(directory, name)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def test_files_of_truth_and_generated_differ_in_their_pixels_only(built):
    study, directory = built
    folder = os.path.join(directory, pictures.FOLDER)
    files = os.listdir(folder)
    assert sorted(files) == sorted(name + ".png" for name in study.picture_names) and len(files) == 200
    about = [os.stat(os.path.join(folder, file)) for file in files]
    assert len({(s.st_size, s.st_mtime_ns, s.st_mode, s.st_uid) for s in about}) == 1
    chunks = {tuple(png_chunks(os.path.join(folder, file))) for file in files}
    assert len(chunks) == 1  # same header, same encoding, same lengths, for all
    assert {kind for kind, _, _ in chunks.pop()} == {b"IHDR", b"IDAT", b"IEND"}  # and no metadata
    # The pixels themselves would give it away if they were compressed: that is why they are not.
    packed = {True: [], False: []}
    for question in study.questions:
        for picture in question.pictures:
            packed[picture.system == TRUTH].append(len(zlib.compress(load(directory, picture.name).tobytes())))
    assert min(packed[True]) > max(packed[False])


def test_names_are_random_and_tell_nothing(built, tmp_path):
    study, _ = built
    assert all(re.fullmatch(r"[0-9a-f]{24}", name) for name in study.picture_names)
    # Where the truth stands if a question's names are sorted: uniform over the five places (seen over 240 questions).
    more = make_study(tmp_path / "more", questions=200, side=16)
    places = Counter()
    for question in study.questions + more.questions:
        places[sorted(picture.name for picture in question.pictures).index(question.pictures[0].name)] += 1
    assert stats.chisquare([places[i] for i in range(5)]).pvalue > 1e-6


def test_the_seed_repeats_the_pictures_but_neither_names_nor_orders(tmp_path):
    one, two = (make_study(tmp_path / name, seed=3) for name in ("one", "two"))
    other = make_study(tmp_path / "other", seed=4)

    def contents(name, study):
        return [[load(str(tmp_path / name), p.name).tobytes() for p in q.pictures] for q in study.questions]

    assert contents("one", one) == contents("two", two)
    assert contents("one", one) != contents("other", other)
    assert not one.picture_names & two.picture_names
    assert one.secret != two.secret and one.order("a" * 22) != two.order("a" * 22)


def test_the_truth_is_the_photo_and_the_rest_are_colourings_of_its_grey_version(built):
    study, directory = built
    photos = dict(make_photos(44, 32))
    assert len({question.key for question in study.questions}) == 40
    for question in study.questions:
        assert [picture.system for picture in question.pictures] == [TRUTH] + ["fake"] * 4
        truth = load(directory, question.pictures[0].name)
        np.testing.assert_array_equal(truth, np.rint(photos[question.key] * 255.0))  # 8 bits in, 8 bits out
        gray = luminance(truth / 255.0)[..., 0]
        colourings = [load(directory, picture.name) / 255.0 for picture in question.pictures[1:]]
        assert len({c.tobytes() for c in colourings}) == 4  # other noise, other colours
        for colouring in colourings:  # the fake paints a * grey + b, clipped
            inside = ((colouring > 0.02) & (colouring < 0.98)).all(axis=-1)
            if inside.sum() > 50:
                assert np.corrcoef(gray[inside], colouring[..., 0][inside])[0, 1] > 0.99


def test_every_participant_sees_all_of_it_in_an_order_of_their_own(built):
    study, _ = built
    truths = {index: question.pictures[0].name for index, question in enumerate(study.questions)}
    truth_places, first_questions, truth_first_page = Counter(), Counter(), Counter()
    orders = set()
    for person in range(500):
        order = study.order(f"token-{person}")
        assert sorted(index for index, _ in order) == list(range(40))
        for index, names in order:
            assert sorted(names) == sorted(picture.name for picture in study.questions[index].pictures)
            truth_places[names.index(truths[index])] += 1
        first_questions[order[0][0]] += 1
        truth_first_page[order[0][1].index(truths[order[0][0]])] += 1
        orders.add(tuple(index for index, _ in order))
    assert len(orders) == 500
    assert stats.chisquare([truth_places[i] for i in range(5)]).pvalue > 1e-6
    assert stats.chisquare([truth_first_page[i] for i in range(5)]).pvalue > 1e-6
    assert stats.chisquare([first_questions[i] for i in range(40)]).pvalue > 1e-6
    assert study.order("token-1") == Study.read(built[1]).order("token-1")  # and the same at every visit


def test_several_systems_share_each_question(tmp_path):
    study = make_study(tmp_path / "study", runs=("runs/a", "runs/b", "else/a"), generated=6)
    assert [system.name for system in study.systems] == ["a", "b", "a-2"]
    for question in study.questions:
        assert [p.system for p in question.pictures] == ["truth", "a", "a", "b", "b", "a-2", "a-2"]


def test_systems_are_called_as_asked_for():
    generators = [fake_generator("x"), fake_generator("y"), fake_generator("x")]
    assert [system.name for system in build.describe(generators, ["", "x", ""])] == ["x-2", "x", "x-3"]
    with pytest.raises(ValueError, match="expected them all different"):
        build.describe(generators, ["x", "x", ""])
    with pytest.raises(ValueError, match="none to be truth"):
        build.describe(generators, ["truth", "", ""])


@pytest.mark.parametrize(
    "changes, generators, sentence",
    [
        ({"questions": 11}, [fake_generator()], "--questions is 11; test has only 10 photos in its split val"),
        ({"generated": 3}, [fake_generator(), fake_generator()], "--generated is 3; expected a multiple of the 2"),
        ({}, [fake_generator(side=64, any_size=False)], "takes 64 x 64 only; the study is of 16 x 16"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_whole(tmp_path, changes, generators, sentence):
    plan = build.Plan(**{"questions": 4, "generated": 4, "seed": 0, "image_size": 16} | changes, data="test",
                      split="val", declared=OPEN)  # fmt: skip
    with pytest.raises(ValueError, match=re.escape(sentence)):
        build.build(plan, generators, make_photos(10, 16), 10, str(tmp_path / "study"))
    assert os.listdir(tmp_path) == []


def test_a_failing_model_leaves_nothing_behind(tmp_path):
    generator = fake_generator()
    generator.__class__ = type(
        "Broken", (type(generator),), {"__call__": lambda self, gray, _: (np.nan * gray.repeat(3, -1),) * 2}
    )
    plan = build.Plan(4, 4, 0, 16, "test", "val", OPEN)
    with pytest.raises(ValueError, match="/exports/fake/1: a picture has values that are not numbers"):
        build.build(plan, [generator], make_photos(10, 16), 10, str(tmp_path / "study"))
    assert os.listdir(tmp_path) == []


def test_a_study_is_never_overwritten_and_its_key_is_private(tmp_path):
    study = make_study(tmp_path / "study")
    with pytest.raises(ValueError, match="is already there"):
        make_study(tmp_path / "study")
    assert Study.read(str(tmp_path / "study")) == study
    assert os.stat(tmp_path / "study" / "study.json").st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', '{"declared": 3}', "\x00"])
def test_a_damaged_manifest_is_one_clear_sentence(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(ValueError, match="study.json: not a study"):
        Study.read(str(tmp_path))
