"""Synthetic participants with known probabilities: to plan a study, and to test the analysis.

The chance that a participant takes a picture for real is logistic(a + picture + participant), where `picture` and
`participant` are normal with the given standard deviations, drawn once each, and `a` is set so that the mean over both
is the wanted rate. With both deviations 0 every judgement is an independent toss of one coin a kind.
"""

import dataclasses
import functools
from typing import Any

import numpy as np
from scipy import integrate, optimize, special, stats

from colorgan_tf.study import statistics
from colorgan_tf.study.judgements import Judgements
from colorgan_tf.study.manifest import TRUTH, Study
from colorgan_tf.study.store import Store

TYPICAL_SECONDS = 8.0  # median of the made-up answering times


@dataclasses.dataclass(frozen=True)
class People:
    """What the synthetic participants are like."""

    truth_rate: float  # mean chance that a true picture is taken for real, in (0, 1)
    generated_rate: float  # the same for a generated one
    picture_sd: float = 0.0  # how much pictures of one kind differ, standard deviation in logits
    participant_sd: float = 0.0  # how much participants differ in leniency, standard deviation in logits


def _expect(function, sd):
    """The mean of function(x) for x normal with deviation sd, mean 0."""
    if sd == 0:
        return function(0.0)
    return integrate.quad(lambda x: function(x) * stats.norm.pdf(x, scale=sd), -9 * sd, 9 * sd)[0]


@functools.cache
def intercept(rate: float, sd: float) -> float:
    """The a for which the mean of logistic(a + normal(0, sd)) is `rate`, in (0, 1)."""
    return optimize.brentq(lambda a: _expect(lambda x: special.expit(a + x), sd) - rate, -60.0, 60.0)


def share_sd(rate: float, sd: float) -> float:
    """The standard deviation of logistic(a + normal(0, sd)) with mean `rate`: `picture_sd` in shares."""
    a = intercept(rate, sd)
    return float(np.sqrt(max(0.0, _expect(lambda x: special.expit(a + x) ** 2, sd) - rate**2)))


def implied_picture_sd(
    people: People, participants: int, questions: int, generated: int, p_value: float
) -> tuple[float, float]:
    """How much pictures must differ for a study with exactly these rates to have a paired t-test of `p_value`.

    Returns (standard deviation of the questions' differences, picture_sd in logits). That deviation is the sum of what
    pictures differ by and what tossing coins adds. ValueError if coins alone differ more.
    """
    t = stats.t.isf(p_value / 2, questions - 1)
    wanted = abs(people.truth_rate - people.generated_rate) * np.sqrt(questions) / t

    def variance(sd):
        total = 0.0
        for rate, pictures in ((people.truth_rate, 1), (people.generated_rate, generated)):
            between = share_sd(rate, sd) ** 2
            coins = (rate * (1 - rate) - between) / participants
            total += (between + coins) / pictures
        return total

    if variance(0.0) > wanted**2:
        raise ValueError(f"coins alone make the differences vary more than p = {p_value} allows")
    sd = optimize.brentq(lambda sd: variance(sd) - wanted**2, 0.0, 20.0, xtol=1e-4)
    return float(wanted), float(sd)


def draw(
    rng: np.random.Generator, people: People, systems: tuple[str, ...], participants: int, questions: int
) -> np.ndarray:
    """One study's judgements: int8 [participants, questions, len(systems)], 1 taken for real, 0 marked."""
    sd = float(np.hypot(people.picture_sd, people.participant_sd))
    rates = [people.truth_rate if system == TRUTH else people.generated_rate for system in systems]
    logits = np.array([intercept(rate, sd) for rate in rates])
    logits = logits + people.picture_sd * rng.standard_normal((1, questions, len(systems)))
    if people.participant_sd:
        logits = logits + people.participant_sd * rng.standard_normal((participants, 1, 1))
    chances = special.expit(logits)
    return (rng.random((participants, questions, len(systems))) < chances).astype(np.int8)


def draw_judgements(
    rng: np.random.Generator, people: People, systems: tuple[str, ...], participants: int, questions: int
) -> Judgements:
    """`draw` with made-up answering times, as the analysis takes it."""
    seconds = rng.lognormal(np.log(TYPICAL_SECONDS), 0.5, (participants, questions))
    return Judgements(draw(rng, people, systems, participants, questions), seconds, systems)


def write(study: Study, judgements: Judgements, store: Store, now: float) -> None:
    """Stores simulated judgements as if people had clicked them; the tokens say that they are none."""
    rows = []
    for participant, (real, seconds) in enumerate(zip(judgements.real, judgements.seconds, strict=True)):
        for question, pictures in enumerate(study.questions):
            marked = [picture.name for picture, r in zip(pictures.pictures, real[question], strict=True) if not r]
            rows.append((f"simulated-{participant:06d}", question, marked, float(seconds[question])))
    store.add_answers(rows, now)


def power(
    rng: np.random.Generator,
    people: People,
    generated: int,
    participants: int,
    questions: int,
    studies: int,
    margin: float,
) -> dict[str, Any]:
    """How often `studies` simulated studies come out below 0.05: {"paired", "welch", "tost"}, and the p-values.

    Also "difference": the mean of the measured differences truth - generated, and its standard deviation "spread".
    """
    systems = (TRUTH, *["generated"] * generated)
    shares = np.stack([draw(rng, people, systems, participants, questions).mean(axis=0) for _ in range(studies)])
    found = statistics.compare(shares[..., :1], shares[..., 1:], margin)
    p_values = {test: np.asarray(found[test]["p"]) for test in ("paired", "welch", "tost")}
    return {
        "participants": participants,
        "questions": questions,
        **{test: float((p < statistics.ALPHA).mean()) for test, p in p_values.items()},
        "difference": float(found["difference"].mean()),
        "spread": float(found["difference"].std(ddof=1)) if studies > 1 else float("nan"),
        "p_values": p_values,
    }
