"""Synthetic participants, and the whole analysis on answers whose truth is known."""

import json
import math
import os

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs requirements-survey.txt")

from PIL import Image
from scipy import stats
from survey_helpers import OPEN, make_study

from colorgan_tf.study import analysis, judgements, report, simulate
from colorgan_tf.study.manifest import TRUTH, Declared
from colorgan_tf.study.store import Store

SYSTEMS = (TRUTH, "a", "a", "a", "a")


@pytest.mark.parametrize("picture_sd, participant_sd", [(0.0, 0.0), (0.9, 0.0), (0.0, 1.5), (2.0, 1.0)])
def test_the_mean_rates_are_those_asked_for_whatever_differs(picture_sd, participant_sd):
    people = simulate.People(0.7, 0.3, picture_sd, participant_sd)
    rng = np.random.default_rng(1)
    means = np.array([simulate.draw(rng, people, SYSTEMS, 40, 40).mean(axis=(0, 1)) for _ in range(150)])
    for values, rate in ((means[:, 0], 0.7), (means[:, 1:].mean(axis=1), 0.3)):
        assert abs(values.mean() - rate) < 4 * values.std(ddof=1) / math.sqrt(150)


def test_pictures_differ_as_much_as_asked_for():
    people, rng = simulate.People(0.7, 0.626, picture_sd=0.9), np.random.default_rng(2)
    real = simulate.draw(rng, people, SYSTEMS, 400, 4000)
    found = real[..., 0].mean(axis=0)
    sd = simulate.share_sd(0.7, 0.9)
    coins = (0.7 * 0.3 - sd**2) / 400
    assert found.std() == pytest.approx(math.sqrt(sd**2 + coins), rel=0.05)


def test_the_papers_p_value_tells_how_much_its_pictures_differed():
    people = simulate.People(0.70, 0.626)
    wanted, sd = simulate.implied_picture_sd(people, 80, 20, 4, p_value=0.1359)
    t = 0.074 / (wanted / math.sqrt(20))
    assert 2 * stats.t.sf(t, 19) == pytest.approx(0.1359)
    rng = np.random.default_rng(3)
    shares = simulate.draw(rng, simulate.People(0.70, 0.626, sd), SYSTEMS, 80, 4000).mean(axis=0)
    difference = shares[:, 0] - shares[:, 1:].mean(axis=1)
    assert difference.std(ddof=1) == pytest.approx(wanted, rel=0.05)
    with pytest.raises(ValueError, match="coins alone"):
        simulate.implied_picture_sd(people, 80, 20, 4, p_value=1e-9)


def from_scratch(study, store):
    """Shares {picture name: (taken for real, judged)} counted from the stored rows one by one."""
    counts = {name: [0, 0] for name in study.picture_names}
    for _, question, marked, _ in store.answers():
        for picture in study.questions[question].pictures:
            counts[picture.name][0] += picture.name not in marked
            counts[picture.name][1] += 1
    return counts


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The paper's study: 80 people, 20 questions, two systems blind, answers in a real store."""
    directory = str(tmp_path_factory.mktemp("simulated") / "study")
    study = make_study(directory, 20, runs=("one", "two"))
    store = Store(os.path.join(directory, "simulated.sqlite"), study.digest())
    people = simulate.People(0.70, 0.626)
    said = simulate.draw_judgements(np.random.default_rng(0), people, judgements.places(study), 80, 20)
    simulate.write(study, said, store, now=0.0)
    yield study, store, directory, said
    store.close()


def test_what_was_drawn_is_what_is_read(simulated):
    study, store, _, said = simulated
    read, started = judgements.read(study, store)
    np.testing.assert_array_equal(read.real, said.real)
    np.testing.assert_allclose(read.seconds, said.seconds)
    assert started == 80 and read.systems == (TRUTH, "one", "one", "two", "two")


def test_the_analysis_recovers_the_papers_rates_and_agrees_with_scipy_on_the_raw_rows(simulated):
    study, store, _, _ = simulated
    read, started = judgements.read(study, store)
    result = analysis.analyse(read, study.declared, started)
    assert result["answers"] == 1600 and result["participants"]["kept"] == 80
    counts = from_scratch(study, store)
    for name, rate, trials in (("truth", 0.70, 1600), ("generated", 0.626, 6400)):
        share = result["shares"][name]
        assert share["judged"] == trials
        assert abs(share["share"] - rate) < 3 * math.sqrt(rate * (1 - rate) / trials)
        assert share["wilson95"][0] < rate < share["wilson95"][1]
    shares = [[counts[p.name][0] / counts[p.name][1] for p in question.pictures] for question in study.questions]
    truth, generated = [row[0] for row in shares], [sum(row[1:]) / 4 for row in shares]
    main = result["comparisons"][0]
    assert main["paired"]["p"] == pytest.approx(stats.ttest_rel(truth, generated).pvalue)
    flat = [share for row in shares for share in row[1:]]
    assert main["welch"]["p"] == pytest.approx(stats.ttest_ind(truth, flat, equal_var=False).pvalue)
    ranks = [1 + sum(s > row[0] for s in row[1:]) + sum(s == row[0] for s in row[1:]) / 2 for row in shares]
    assert result["credibility_rank"]["mean"] == pytest.approx(np.mean(ranks))
    # Two models blind: each against the truth, and against each other.
    pairs = [(c["first"], c["second"]) for c in result["comparisons"]]
    assert pairs == [("truth", "generated"), ("truth", "system one"), ("truth", "system two"),
                     ("system one", "system two")]  # fmt: skip
    one = [sum(row[1:3]) / 2 for row in shares]
    two = [sum(row[3:]) / 2 for row in shares]
    assert result["comparisons"][3]["paired"]["p"] == pytest.approx(stats.ttest_rel(one, two).pvalue)


def test_the_report_says_what_the_analysis_says(simulated, tmp_path):
    study, store, directory, _ = simulated
    read, started = judgements.read(study, store)
    result = analysis.analyse(read, study.declared, started)
    questions = analysis.question_table(study, read)
    report.write(result, questions, directory, str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted(report.FILES)
    with open(tmp_path / "analysis.json", encoding="utf-8") as file:
        written = json.load(file)
    counts = from_scratch(study, store)
    for row, question in zip(written["questions"], study.questions, strict=True):
        assert row["key"] == question.key and row["answers"] == 80
        assert [p["share"] for p in row["pictures"]] == [counts[p.name][0] / 80 for p in question.pictures]
        assert row["truth"] == counts[question.pictures[0].name][0] / 80
    text = (tmp_path / "analysis.md").read_text()
    share = result["shares"]["truth"]
    assert f"| truth | {share['real']} | 1600 | {100 * share['share']:.1f} % |" in text
    assert f"Mean rank {result['credibility_rank']['mean']:.2f}" in text and text.count("photo-") == 20
    for name in report.FILES[2:]:
        assert f"({name})" in text
        with Image.open(tmp_path / name) as image:
            assert image.convert("L").getextrema()[0] < 50 and image.width > 400


def made_up(rows):
    """Judgements from {person: [(marks of one question or None, seconds)]}."""
    real = np.full((len(rows), len(rows[0]), 5), judgements.UNANSWERED, np.int8)
    seconds = np.full(real.shape[:2], np.nan)
    for p, row in enumerate(rows):
        for q, answer in enumerate(row):
            if answer is not None:
                real[p, q], seconds[p, q] = [place not in answer[0] for place in range(5)], answer[1]
    return judgements.Judgements(real, seconds, SYSTEMS)


def test_the_declared_filters_take_out_whom_they_name_and_say_so():
    said = made_up(
        [
            [([0], 5.0), ([1, 2], 6.0), ([], 7.0)],  # kept
            [([3], 0.2), ([], 0.3), ([4], 60.0)],  # too fast: the median counts, not the pause
            [([], 5.0), ([], 5.0), ([], 5.0)],  # always none
            [([], 0.1), ([], 0.1), ([], 0.1)],  # both
            [([0, 1], 4.0), None, None],  # stopped early: kept
        ]
    )
    kept, excluded = judgements.filtered(said, Declared(1.0, True, 0.1))
    assert excluded == {"too_fast": 2, "always_none": 2}
    np.testing.assert_array_equal(kept.real, said.real[[0, 4]])
    result = analysis.analyse(said, Declared(1.0, True, 0.1), started=7)
    assert result["participants"] == {"started": 7, "answered": 5, "complete": 4, "kept": 2,
                                      "excluded": {"too_fast": 2, "always_none": 2}}  # fmt: skip
    assert result["answers"] == 4
    assert result["shares"]["truth"]["real"] == 2 and result["shares"]["truth"]["judged"] == 4
    assert result["shares"]["generated"]["real"] == 16 - 3 and result["shares"]["generated"]["judged"] == 16
    assert result["without_filters"]["shares"]["truth"] == pytest.approx(11 / 13)
    _, excluded = judgements.filtered(said, OPEN)
    assert excluded == {"too_fast": 0, "always_none": 0}


def test_too_little_to_analyse_is_one_clear_sentence_and_no_nan_reaches_the_json():
    with pytest.raises(ValueError, match="nobody has answered"):
        analysis.analyse(made_up([[None, None]]).keep(np.array([False])), OPEN)
    with pytest.raises(ValueError, match="only 1 question has answers"):
        analysis.analyse(made_up([[([1], 5.0), None]]), OPEN)
    with pytest.raises(ValueError, match="filters leave no participant of 1"):
        analysis.analyse(made_up([[([], 5.0), ([], 5.0)]]), Declared(1.0, True, 0.1))
    result = analysis.analyse(made_up([[([1], 5.0), ([1], 5.0)]]), OPEN)  # no variance: a t-test has no p here
    plain = json.loads(json.dumps(result, allow_nan=False))
    assert plain["participants"]["kept"] == 1 and plain["comparisons"][0]["paired"]["p"] is None
