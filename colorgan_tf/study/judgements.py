"""Answers as one array, and the filters that a study has declared beforehand."""

import dataclasses

import numpy as np

from colorgan_tf.study.manifest import Declared, Study
from colorgan_tf.study.store import Store

UNANSWERED = -1


@dataclasses.dataclass(frozen=True)
class Judgements:
    """What p participants said about q questions of k pictures each (the study's order, truth first)."""

    real: np.ndarray  # int8 [p, q, k]: 1 taken for real, 0 marked as poor, -1 not answered
    seconds: np.ndarray  # float [p, q], NaN where not answered
    systems: tuple[str, ...]  # k names: whose pictures stand at each place

    @property
    def answered(self) -> np.ndarray:
        """bool [p, q]."""
        return self.real[:, :, 0] != UNANSWERED

    def keep(self, participants: np.ndarray) -> "Judgements":
        """Only the participants of a bool [p]."""
        return dataclasses.replace(self, real=self.real[participants], seconds=self.seconds[participants])

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(taken for real, judged): int [q, k] each."""
        return (self.real == 1).sum(axis=0), (self.real != UNANSWERED).sum(axis=0)


def places(study: Study) -> tuple[str, ...]:
    """Whose pictures stand at each place of a question; ValueError if the questions differ in that."""
    found = {tuple(picture.system for picture in question.pictures) for question in study.questions}
    if len(found) != 1:
        raise ValueError("study.json: expected the same systems in the same order in every question")
    return found.pop()


def read(study: Study, store: Store) -> tuple[Judgements, int]:
    """The answers of everybody who gave at least one, and how many started at all.

    ValueError if a stored answer marks a picture that its question does not have.
    """
    rows = store.answers()
    tokens = {token: number for number, token in enumerate(dict.fromkeys(row[0] for row in rows))}
    shape = len(tokens), len(study.questions), len(places(study))
    real, seconds = np.full(shape, UNANSWERED, np.int8), np.full(shape[:2], np.nan)
    for token, question, marked, taken in rows:
        names = [picture.name for picture in study.questions[question].pictures]
        if not set(marked) <= set(names):
            raise ValueError(f"{store.path}: an answer to question {question} marks a picture that is not in it")
        real[tokens[token], question] = [name not in marked for name in names]
        seconds[tokens[token], question] = taken
    return Judgements(real, seconds, places(study)), len(store.participants())


def filtered(judgements: Judgements, declared: Declared) -> tuple[Judgements, dict[str, int]]:
    """The participants that the declared filters leave, and how many each filter found (one may be found by both)."""
    too_fast = np.nanmedian(judgements.seconds, axis=1) < declared.too_fast
    always_none = ~(judgements.real == 0).any(axis=(1, 2))
    if not declared.exclude_always_none:
        always_none[:] = False
    excluded = {"too_fast": int(too_fast.sum()), "always_none": int(always_none.sum())}
    return judgements.keep(~(too_fast | always_none)), excluded
