"""From judgements to the figures of a study: one dict that is `analysis.json`."""

import itertools
from typing import Any

import numpy as np

from colorgan_tf.study import statistics
from colorgan_tf.study.judgements import Judgements, filtered
from colorgan_tf.study.manifest import TRUTH, Declared, Study

GENERATED = "generated"  # all systems together
BOOTSTRAP_SAMPLES = 4000
ASSUMPTIONS = [
    "Wilson intervals take every judgement as independent. Judgements of one picture by many people, and of many "
    "pictures by one person, are not: these intervals are too narrow, the more so the more the pictures differ.",
    "The crossed bootstrap resamples participants and questions, and so allows for both.",
    "The paired t-test, its interval and TOST take the questions as a random sample, independent of each other; what "
    "is shared within a question (its photo, its participants) is allowed. More participants sharpen each question's "
    "share, but only more questions can average out that pictures differ.",
    "Welch's t-test over pictures also takes the pictures of one question as independent.",
    "A large p of a t-test does not show truth and generated to be equal; a small p of TOST does, within its margin.",
    "p-values are not corrected for the number of comparisons.",
]


def analyse(judgements: Judgements, declared: Declared, started: int | None = None) -> dict[str, Any]:
    """All figures after the declared filters, and the main ones without them; numbers are plain Python or None.

    started: how many people opened the study. ValueError in one line where there is too little to analyse.
    """
    if not len(judgements.real):
        raise ValueError("nobody has answered a question yet")
    kept, excluded = filtered(judgements, declared)
    if not len(kept.real):
        raise ValueError(f"the declared filters leave no participant of {len(judgements.real)} ({excluded})")
    real, judged = kept.counts()
    shown = judged[:, 0] > 0
    if shown.sum() < 2:
        raise ValueError(f"only {shown.sum()} question has answers; the tests need at least 2")
    shares = real[shown] / judged[shown]
    columns = _columns(kept.systems)
    result = {
        "participants": {
            "started": len(judgements.real) if started is None else started,
            "answered": len(judgements.real),
            "complete": int(judgements.answered.all(axis=1).sum()),
            "excluded": excluded,
            "kept": len(kept.real),
        },
        "declared": {
            "too_fast": declared.too_fast,
            "exclude_always_none": declared.exclude_always_none,
            "margin": declared.margin,
        },
        "answers": int(kept.answered.sum()),
        "median_seconds": float(np.nanmedian(kept.seconds)),
        "shares": {name: _share(kept, where) for name, where in columns.items()},
        "comparisons": _comparisons(shares, columns, declared.margin),
        "credibility_rank": _ranks(shares, columns),
        "fleiss_kappa": statistics.fleiss_kappa(real[shown].ravel(), judged[shown].ravel()),
        "without_filters": _headline(judgements, declared.margin),
        "assumptions": ASSUMPTIONS,
    }
    return _plain(result)


def _columns(systems):
    """{name: places in a question}: truth, all systems together, and each system."""
    systems = np.array(systems)
    columns = {TRUTH: np.flatnonzero(systems == TRUTH), GENERATED: np.flatnonzero(systems != TRUTH)}
    for name in dict.fromkeys(systems[columns[GENERATED]].tolist()):
        columns[f"system {name}"] = np.flatnonzero(systems == name)
    return columns


def _share(judgements, where):
    real = (judgements.real[:, :, where] == 1).sum(axis=2)
    judged = judgements.answered * len(where)
    successes, trials = int(real.sum()), int(judged.sum())
    return {
        "real": successes,
        "judged": trials,
        "share": successes / trials,
        "wilson95": statistics.wilson(successes, trials),
        "crossed_bootstrap95": statistics.crossed_bootstrap(real, judged, BOOTSTRAP_SAMPLES, seed=0),
    }


def _comparisons(shares, columns, margin):
    """Truth against generated first; with several systems also each against truth and against each other."""
    systems = [name for name in columns if name not in (TRUTH, GENERATED)]
    pairs = [(TRUTH, GENERATED)]
    if len(systems) > 1:
        pairs += [(TRUTH, name) for name in systems] + list(itertools.combinations(systems, 2))
    return [
        {"first": a, "second": b, **statistics.compare(shares[:, columns[a]], shares[:, columns[b]], margin)}
        for a, b in pairs
    ]


def _ranks(shares, columns):
    ranks = statistics.credibility_ranks(shares)
    result = statistics.mean_rank(ranks[:, columns[TRUTH][0]], shares.shape[1])
    result["mean_of_systems"] = {
        name: ranks[:, where].mean() for name, where in columns.items() if name not in (TRUTH, GENERATED)
    }
    return result


def _headline(judgements, margin):
    real, judged = judgements.counts()
    shown = judged[:, 0] > 0
    columns = _columns(judgements.systems)
    shares = real[shown] / judged[shown]
    comparison = statistics.compare(shares[:, columns[TRUTH]], shares[:, columns[GENERATED]], margin)
    return {
        "shares": {
            name: real[:, where].sum() / judged[:, where].sum()
            for name, where in columns.items()
            if name in (TRUTH, GENERATED)
        },
        "difference": comparison["difference"],
        "paired_p": comparison["paired"]["p"],
        "tost_p": comparison["tost"]["p"],
    }


def question_table(study: Study, judgements: Judgements) -> list[dict[str, Any]]:
    """Per question: key, number of answers, share of truth and of generated, rank of truth, and every picture's share.

    Shares are None where nobody has answered.
    """
    real, judged = judgements.counts()
    rows = []
    for question, ones, total in zip(study.questions, real, judged[:, 0], strict=True):
        shares = ones / total if total else np.full(len(ones), np.nan)
        rank = statistics.credibility_ranks(shares)[0] if total else None
        names = [picture.name for picture in question.pictures]
        rows.append(
            {
                "key": question.key,
                "answers": total,
                "truth": shares[0],
                "generated": shares[1:].mean(),
                "truth_rank": rank,
                "pictures": [
                    {"name": name, "system": system, "share": share}
                    for name, system, share in zip(names, judgements.systems, shares, strict=True)
                ],
            }
        )
    return _plain(rows)


def _plain(value):
    """NumPy to plain Python, not-a-number to None: what JSON can say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
