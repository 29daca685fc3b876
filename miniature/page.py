"""docs/paper-mini.md from what was measured."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from colorgan_tf.evaluation.measure import TRUTH
from miniature.measuring import LAW, LAW_MEAN
from miniature.plan import CLAIMS, Claim, Variant

# figure -> (column title, format, factor)
FIGURES = {
    "distance": ("distance to the law", "{:.2f}", 1.0),
    "distance_given_photo": ("the same, given the room", "{:.2f}", 1.0),
    "spread": ("spread over z", "{:.1f}", 1.0),
    "within_share": ("share within items", "{:.0f} %", 100.0),
    "colorfulness": ("colorfulness", "{:.1f}", 1.0),
    "diversity": ("diversity", "{:.1f}", 1.0),
    "local_diversity": ("local diversity", "{:.1f}", 1.0),
    "edge_agreement": ("edge agreement", "{:.2f}", 1.0),
    "roughness": ("roughness", "{:.1f}", 1.0),
    "luminance_drift": ("luminance drift x 255", "{:.2f}", 255.0),
    "best_of_k_psnr": ("best of k, dB", "{:.1f}", 1.0),
    "classifier_accuracy": ("classifier", "{:.0f} %", 100.0),
}
_JUDGED = ("distance", "distance_given_photo", "spread", "within_share")
_MEASURED = tuple(name for name in FIGURES if name not in _JUDGED)

Results = Sequence[dict[str, dict]]  # one a seed: system -> figures


def values(results: Results, system: str, figure: str) -> np.ndarray | None:
    """A figure of a system, one value a seed; None where it was not measured."""
    found = [result.get(system, {}).get(figure) for result in results]
    return None if None in found else np.array(found, float)


def show(found: np.ndarray | None, figure: str) -> str:
    """Mean and standard deviation over the seeds."""
    if found is None:
        return "–"
    _, form, factor = FIGURES[figure]
    mean = form.format(factor * found.mean())
    if len(found) < 2 or np.ptp(found) == 0:
        return mean
    return f"{mean} ± {form.format(factor * found.std(ddof=1)).removesuffix(' %')}"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether every seed of one system is beyond every seed of the other, and which way."""

    text: str
    shown: bool


def verdict(claim: Claim, results: Results) -> Verdict | None:
    """None where one of the two was not measured.

    "Shown" is a rank test: all of one side beyond all of the other. By chance that happens to n against n seeds once
    in (2n choose n) / 2 comparisons either way, in 10 for three.
    """
    better, worse = (values(results, name, claim.figure) for name in (claim.better, claim.worse))
    if better is None or worse is None:
        return None
    difference = claim.sign * (better[:, None] - worse[None])
    if (difference > 0).all():
        return Verdict("shown", True)
    if (difference < 0).all():
        return Verdict("**the opposite**", False)
    return Verdict("**not told apart**", False)


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _systems_table(results, rows, figures):
    header = ["system", *(FIGURES[figure][0] for figure in figures)]
    body = [[title, *(show(values(results, name, figure), figure) for figure in figures)] for name, title in rows]
    return _table(header, body)


def _claims(results):
    rows, reasons = [], []
    for claim in CLAIMS:
        found = verdict(claim, results)
        if found is None:
            continue
        pair = [show(values(results, name, claim.figure), claim.figure) for name in (claim.better, claim.worse)]
        title = FIGURES[claim.figure][0]
        rows.append(
            [claim.where, claim.says, title, f"{claim.better}: {pair[0]}", f"{claim.worse}: {pair[1]}", found.text]
        )
        if not found.shown:
            per_seed = [
                ", ".join(show(value[None], claim.figure) for value in values(results, name, claim.figure))
                for name in (claim.better, claim.worse)
            ]
            why = f" {claim.why_not}" if claim.why_not else ""
            reasons.append(
                f"* {claim.where}, {title}: {claim.better} {per_seed[0]} against {claim.worse} {per_seed[1]}, seed by "
                f"seed.{why}\n"
            )
    text = _table(["figure", "what is claimed", "measured by", "better", "worse", "here"], rows)
    if reasons:
        text += "\nWhere the miniature does not show it, and why that may be:\n\n" + "".join(reasons)
    return text


def markdown(
    results: Results, variants: Sequence[Variant], weights: dict[str, int], pictures: dict[str, str], settings: dict
) -> str:
    """The page.

    variants: those trained. weights: of each generator. pictures: caption -> path from the page.
    """
    systems = [(variant.name, variant.title) for variant in variants]
    seeds = len(results)
    own = _table(
        ["name", "system", "iterations", "weights of G"],
        [[v.name, v.title, f"{settings['steps'] * v.iterations:,}", f"{weights[v.name]:,}"] for v in variants],
    )
    yardsticks = [("grey", "grey"), ("shuffled", "chroma of other rooms"), (TRUTH, "truth")]
    parts = [
        "# The paper's comparisons in miniature\n",
        "Written by `make paper-mini` (paper_mini.py); do not edit by hand.\n",
        f"Every system is trained {seeds} times (seeds 0 to {seeds - 1}) on the same drawn rooms of 32 x 32 pixels "
        f"with the same budget, {settings['steps']} iterations of 16 (WGAN: twice that, five critic updates each), "
        "from its own flagfile under configs/ followed by configs/paper_mini.flags. GANs descend -log D, except in the "
        "row that says so: see below. Figures are means over the seeds, ± their standard deviation.\n",
        own,
        "## What is claimed, and what is seen here\n",
        "*Shown* means that every seed of the one is beyond every seed of the other, which chance alone does in one of "
        "ten such comparisons with three seeds (either way). It is weak evidence for a small difference and says "
        "nothing of LSUN: look at the size of the difference.\n"
        if seeds == 3
        else "*Shown* means that every seed of the one is beyond every seed of the other.\n",
        _claims(results),
        "## Against the known law of colours\n",
        "In a drawn room every item's chroma is a draw from the law of its kind (data/laws.py), whatever the grey "
        f"picture shows. `python -m data.judge` has {settings['rooms']} rooms that nobody was trained on coloured "
        f"{settings['k']} times each, takes every item's mean chroma, and gives its energy distance to the law (0 is "
        "right; units of chroma, 0-255): over all rooms and noises together, and for each room by itself, which only a "
        "generator whose noise chooses the colours can make small. *Spread* is the standard deviation of an item's "
        "chroma over z; *share within items* the part of the variance of chroma that lies inside items, which have one "
        "colour each in truth.\n",
        _systems_table(
            results,
            [(LAW, "the law itself (what chance leaves)"), (LAW_MEAN, "the law's mean everywhere"), *systems],
            _JUDGED,
        ),
        "## By the metrics of evaluate.py\n",
        f"On the val split of the same data, {settings['k']} colourings of each room; docs/evaluate.md defines them.\n",
        _systems_table(results, [*yardsticks, *systems], _MEASURED),
    ]
    if pictures:
        parts.append("## Pictures\n\nSeed 0; rooms that nobody was trained on; the same noise for both of a pair.\n")
        parts += [f"{caption}\n\n![{caption}]({path})\n" for caption, path in pictures.items()]
    return "\n".join(parts)
