"""The tests of the Turing test against scipy, closed forms and brute force."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from colorgan_tf.study import simulate, statistics
from colorgan_tf.study.manifest import TRUTH

SYSTEMS = (TRUTH, "a", "a", "a", "a")


@pytest.fixture(scope="module")
def shares():
    rng = np.random.default_rng(1)
    return rng.integers(20, 81, (20, 5)) / 80


def test_wilson_is_the_closed_form():
    z = stats.norm.ppf(0.975)
    for k, n in ((1120, 1600), (0, 10), (10, 10), (1, 3), (4006, 6400)):
        p = k / n
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        np.testing.assert_allclose(statistics.wilson(k, n), [middle - half, middle + half], atol=1e-12)


def test_t_tests_are_the_textbooks_and_scipys(shares):
    found = statistics.compare(shares[:, :1], shares[:, 1:], margin=0.1)
    # By hand, in plain Python.
    d = [row[0] - sum(row[1:]) / 4 for row in shares.tolist()]
    mean = sum(d) / 20
    sd = math.sqrt(sum((x - mean) ** 2 for x in d) / 19)
    t = mean / (sd / math.sqrt(20))
    assert found["difference"] == pytest.approx(mean)
    assert found["paired"]["t"] == pytest.approx(t) and found["paired"]["df"] == 19
    assert found["paired"]["p"] == pytest.approx(2 * stats.t.sf(abs(t), 19))
    half = stats.t.ppf(0.975, 19) * sd / math.sqrt(20)
    assert found["paired"]["ci95"] == pytest.approx([mean - half, mean + half])
    a, b = shares[:, 0], shares[:, 1:].ravel()
    va, vb = a.var(ddof=1) / 20, b.var(ddof=1) / 80
    welch_t = (a.mean() - b.mean()) / math.sqrt(va + vb)
    df = (va + vb) ** 2 / (va**2 / 19 + vb**2 / 79)
    assert found["welch"]["t"] == pytest.approx(welch_t) and found["welch"]["df"] == pytest.approx(df)
    assert found["welch"]["p"] == pytest.approx(2 * stats.t.sf(abs(welch_t), df))
    # scipy, called in the plainest way.
    assert found["paired"]["p"] == pytest.approx(stats.ttest_rel(a, shares[:, 1:].mean(axis=1)).pvalue)
    assert found["welch"]["p"] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


@pytest.mark.parametrize("margin", [0.02, 0.1, 0.3])
def test_tost_is_two_one_sided_tests_and_the_90_percent_interval(shares, margin):
    found = statistics.compare(shares[:, :1], shares[:, 1:], margin)["tost"]
    d = shares[:, 0] - shares[:, 1:].mean(axis=1)
    error = d.std(ddof=1) / math.sqrt(20)
    below = stats.t.cdf((d.mean() - margin) / error, 19)  # H0: difference >= margin
    above = stats.t.sf((d.mean() + margin) / error, 19)  # H0: difference <= -margin
    assert found["p"] == pytest.approx(max(below, above))
    low, high = found["ci90"]
    assert (found["p"] < 0.05) == (-margin < low and high < margin)


@pytest.mark.filterwarnings("error")
def test_without_any_variance_there_is_no_p_value():
    same = np.tile([0.7, 0.6, 0.6, 0.6, 0.6], (20, 1))
    found = statistics.compare(same[:, :1], same[:, 1:], 0.1)
    assert found["difference"] == pytest.approx(0.1)
    assert all(math.isnan(found[test]["p"]) for test in ("paired", "welch", "tost"))


def test_many_studies_are_tested_as_each_alone(shares):
    rng = np.random.default_rng(2)
    many = rng.integers(0, 41, (7, 12, 5)) / 40
    found = statistics.compare(many[..., :1], many[..., 1:], 0.1)
    for i in range(7):
        one = statistics.compare(many[i, :, :1], many[i, :, 1:], 0.1)
        for test in ("paired", "welch", "tost"):
            assert found[test]["p"][i] == pytest.approx(one[test]["p"])


@pytest.mark.parametrize(
    "people",
    [
        simulate.People(0.626, 0.626),
        simulate.People(0.65, 0.65, picture_sd=0.9),
        simulate.People(0.7, 0.7, picture_sd=0.5, participant_sd=1.0),
    ],
    ids=["coins", "pictures differ", "people differ, too"],
)
def test_p_values_are_uniform_where_there_is_no_difference(people):
    row = simulate.power(np.random.default_rng(11), people, 4, 80, 20, studies=1000, margin=0.1)
    for test in ("paired", "welch"):
        p = row["p_values"][test]
        assert len(p) == 1000 and stats.kstest(p, "uniform").pvalue > 0.01
        assert 0.03 < row[test] < 0.07


def test_ignoring_that_pictures_differ_would_not_be_uniform():
    """The test above can fail: a chi-square over all judgements, as if each were independent, is far from uniform."""
    rng = np.random.default_rng(12)
    people = simulate.People(0.65, 0.65, picture_sd=0.9)
    p_values = []
    for _ in range(200):
        real = simulate.draw(rng, people, SYSTEMS, 80, 20)
        table = [[part.sum(), part.size - part.sum()] for part in (real[..., :1], real[..., 1:])]
        p_values.append(stats.chi2_contingency(table, correction=False).pvalue)
    assert stats.kstest(p_values, "uniform").pvalue < 1e-6
    assert np.mean(np.array(p_values) < 0.05) > 0.3


def test_equivalence_is_claimed_wrongly_in_5_percent_at_the_margin_and_mostly_where_it_is_true():
    at_margin = simulate.People(0.70, 0.60, picture_sd=0.3)
    rate = simulate.power(np.random.default_rng(13), at_margin, 4, 60, 20, studies=1000, margin=0.1)["tost"]
    assert 0.03 < rate < 0.07
    equal = simulate.People(0.65, 0.65, picture_sd=0.3)
    assert simulate.power(np.random.default_rng(14), equal, 4, 60, 20, studies=300, margin=0.1)["tost"] > 0.95


def test_wilson_and_bootstrap_agree_for_coins_and_part_where_pictures_differ():
    def widths(picture_sd, participant_sd=0.0):
        people = simulate.People(0.65, 0.65, picture_sd, participant_sd)
        real = simulate.draw(np.random.default_rng(15), people, (TRUTH,), 60, 40)[..., 0]
        low, high = statistics.crossed_bootstrap(real, np.ones_like(real), 2000, seed=0)
        wilson = statistics.wilson(real.sum(), real.size)
        return (high - low) / (wilson[1] - wilson[0])

    assert 0.9 < widths(0.0) < 2.0  # conservative: Owen's factor for independent judgements is up to sqrt(3)
    assert widths(1.0) > 2.5
    assert widths(0.0, 1.0) > 2.5


def test_the_bootstrap_covers_the_truth_where_wilson_does_not():
    people, rng = simulate.People(0.65, 0.65, picture_sd=0.9, participant_sd=0.5), np.random.default_rng(16)
    covered = {"wilson": 0, "bootstrap": 0}
    for _ in range(150):
        real = simulate.draw(rng, people, (TRUTH,), 40, 20)[..., 0]
        for name, (low, high) in (
            ("wilson", statistics.wilson(real.sum(), real.size)),
            ("bootstrap", statistics.crossed_bootstrap(real, np.ones_like(real), 500, seed=0)),
        ):
            covered[name] += low <= 0.65 <= high
    assert covered["bootstrap"] / 150 > 0.88
    assert covered["wilson"] / 150 < 0.75


def test_credibility_ranks_with_ties():
    shares = np.array([[0.9, 0.5, 0.5, 0.2, 0.5], [0.1, 0.2, 0.3, 0.4, 0.5], [0.7] * 5])
    ranks = statistics.credibility_ranks(shares)
    np.testing.assert_array_equal(ranks, [[1, 3, 3, 5, 3], [5, 4, 3, 2, 1], [3, 3, 3, 3, 3]])
    found = statistics.mean_rank(ranks[:, 0], 5)
    assert found["mean"] == 3.0 == found["null"] and found["p"] == pytest.approx(1.0)
    assert math.isnan(statistics.mean_rank(np.array([1.0, 1.0, 1.0]), 5)["p"])
    assert statistics.mean_rank(np.array([2.0, 3.0]), 5)["others_ahead"] == pytest.approx(0.375)  # the paper's figure


def test_the_mean_rank_is_3_under_the_null_and_less_where_truth_is_more_credible():
    rng = np.random.default_rng(17)

    def ranks(truth):
        people = simulate.People(truth, 0.6)
        return statistics.credibility_ranks(simulate.draw(rng, people, SYSTEMS, 40, 3000).mean(axis=0))[:, 0]

    null = statistics.mean_rank(ranks(0.6), 5)
    assert abs(null["mean"] - 3.0) < 4 * math.sqrt(2.0 / 3000)  # the variance of a rank out of 5 is at most 2
    assert null["ci95"][0] < 3.0 < null["ci95"][1]
    assert statistics.mean_rank(ranks(0.7), 5)["mean"] < 2.3


def test_fleiss_kappa_is_agreement_of_pairs_beyond_chance():
    rng = np.random.default_rng(18)
    votes = [list(rng.random(rng.integers(2, 9)) < rng.random()) for _ in range(30)]  # unequal numbers of raters
    pairs = [np.mean([a == b for a, b in itertools.combinations(raters, 2)]) for raters in votes]
    share = np.mean([vote for raters in votes for vote in raters])
    chance = share**2 + (1 - share) ** 2
    real, judged = np.array([sum(v) for v in votes]), np.array([len(v) for v in votes])
    assert statistics.fleiss_kappa(real, judged) == pytest.approx((np.mean(pairs) - chance) / (1 - chance))
    assert statistics.fleiss_kappa(np.array([8, 0, 8]), np.array([8, 8, 8])) == pytest.approx(1.0)
    assert math.isnan(statistics.fleiss_kappa(np.array([8, 8]), np.array([8, 8])))
    coins = rng.binomial(80, 0.6, 5000)
    assert abs(statistics.fleiss_kappa(coins, np.full(5000, 80))) < 0.002
