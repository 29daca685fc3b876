"""The tests of a study. Shares are means over participants, so each function says over what it takes independence.

The arrays may have leading axes: a thousand simulated studies are tested by the same lines as one real study.
"""

from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
ALPHA = 1.0 - CONFIDENCE


def wilson(successes: int, trials: int) -> list[float]:
    """Wilson's 95 % interval of a share. Takes every judgement as independent: a lower bound of the uncertainty."""
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(CONFIDENCE, method="wilson")
    return [float(interval.low), float(interval.high)]


def crossed_bootstrap(real: np.ndarray, judged: np.ndarray, samples: int, seed: int) -> list[float]:
    """95 % percentile interval of sum(real) / sum(judged), both [p, q], over resampled participants *and* questions.

    Takes participants, and questions, as drawn at random, and allows that a participant is lenient and a question is
    hard. Owen (2007) shows this to be mildly conservative.
    """
    rng = np.random.default_rng(seed)
    participants, questions = real.shape
    by_participant = rng.multinomial(participants, np.full(participants, 1 / participants), samples)
    by_question = rng.multinomial(questions, np.full(questions, 1 / questions), samples)
    above = ((by_participant @ real) * by_question).sum(axis=1)
    below = ((by_participant @ judged) * by_question).sum(axis=1)
    shares = above[below > 0] / below[below > 0]
    return [float(bound) for bound in np.quantile(shares, [ALPHA / 2, 1 - ALPHA / 2])]


def _nan_unless_varied(values):
    """The values [..., n], but NaN where all n are the same: a t-test of those would divide rounding errors."""
    return np.where(np.ptp(values, axis=-1, keepdims=True) > 1e-12, values, np.nan)


def compare(first: np.ndarray, second: np.ndarray, margin: float) -> dict[str, Any]:
    """Compares the shares judged real of two kinds of pictures.

    first: [..., q, m], second: [..., q, n]: the share of every picture, by question; the axes in front are studies.
    Everything in the result has the axes in front.

    * paired: Student's t-test over the questions' differences (a question's share is the mean of its pictures). Takes
      the questions as drawn at random and independent; whatever participants and pictures of one question share
      is allowed.
    * welch: Welch's t-test over pictures. Also takes the pictures of one question as independent.
    * tost: two one-sided paired t-tests against -margin and +margin; its p is the larger of the two. The kinds are
      equivalent at 5 % if it is below 0.05, which is to say: the 90 % interval lies within the margin.

    Where all questions (or all pictures of a kind) have the very same figure there is nothing to test with: NaN.
    """
    difference = first.mean(axis=-1) - second.mean(axis=-1)
    varied = _nan_unless_varied(difference)
    paired = stats.ttest_1samp(varied, 0.0, axis=-1)
    ci95, ci90 = paired.confidence_interval(CONFIDENCE), paired.confidence_interval(1 - 2 * ALPHA)
    flat_a, flat_b = (shares.reshape(*shares.shape[:-2], -1) for shares in (first, second))
    welch = stats.ttest_ind(_nan_unless_varied(flat_a), _nan_unless_varied(flat_b), axis=-1, equal_var=False)
    welch_ci = welch.confidence_interval(CONFIDENCE)
    above = stats.ttest_1samp(varied, -margin, axis=-1, alternative="greater").pvalue
    below = stats.ttest_1samp(varied, margin, axis=-1, alternative="less").pvalue
    return {
        "difference": difference.mean(axis=-1),
        "paired": {"t": paired.statistic, "df": paired.df, "p": paired.pvalue, "ci95": [ci95.low, ci95.high]},
        "welch": {"t": welch.statistic, "df": welch.df, "p": welch.pvalue, "ci95": [welch_ci.low, welch_ci.high]},
        "tost": {"margin": margin, "p": np.maximum(above, below), "ci90": [ci90.low, ci90.high]},
    }


def credibility_ranks(shares: np.ndarray) -> np.ndarray:
    """Ranks in a group, [..., k] to [..., k]: 1 for the largest share judged real, ties get their mean rank."""
    return stats.rankdata(-shares, axis=-1)


def mean_rank(ranks: np.ndarray, group: int) -> dict[str, Any]:
    """The mean of one picture's ranks [q] in groups of `group`, against (group + 1) / 2, where it does not matter.

    The t interval takes the questions as independent. `others_ahead` is the paper's (rank - 1) / (group - 1): the share
    of the other pictures that were found more credible.
    """
    null = (group + 1) / 2
    test = stats.ttest_1samp(_nan_unless_varied(ranks), null)
    interval = test.confidence_interval(CONFIDENCE)
    mean = float(ranks.mean())
    return {
        "mean": mean,
        "null": null,
        "ci95": [interval.low, interval.high],
        "p": test.pvalue,
        "others_ahead": (mean - 1) / (group - 1),
    }


def fleiss_kappa(real: np.ndarray, judged: np.ndarray) -> float:
    """Fleiss' kappa of two categories over pictures: `real` of `judged` participants took each for real, [n] both.

    1 is full agreement, 0 what chance gives, NaN where all say the same of all. Pictures with fewer than two
    judgements are left out; the number of judgements may differ.
    """
    enough = judged >= 2
    real, judged = real[enough].astype(float), judged[enough].astype(float)
    if not len(judged):
        return float("nan")
    poor = judged - real
    agreement = ((real * (real - 1) + poor * (poor - 1)) / (judged * (judged - 1))).mean()
    share = real.sum() / judged.sum()
    chance = share**2 + (1 - share) ** 2
    return float((agreement - chance) / (1 - chance)) if chance < 1 else float("nan")
