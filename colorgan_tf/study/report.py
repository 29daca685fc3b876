"""An analysis as files: `analysis.json`, `analysis.md` and three plots."""

import json
import os
import shutil
import tempfile
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from colorgan_tf.study import pictures
from colorgan_tf.study.manifest import TRUTH

SHOWN = 8  # pictures in each row of the best and the worst
FILES = ("analysis.json", "analysis.md", "shares.png", "questions.png", "pictures.png")


def write(result: dict[str, Any], questions: list[dict[str, Any]], study_directory: str, output: str) -> None:
    """Writes FILES to the directory `output`, where older ones are replaced; nothing is left half-written.

    result: of `analysis.analyse`; questions: of `analysis.question_table`.
    """
    os.makedirs(output, exist_ok=True)
    aside = tempfile.mkdtemp(prefix=".analysis-", dir=output)
    try:
        with open(os.path.join(aside, "analysis.json"), "w", encoding="utf-8") as file:
            json.dump({**result, "questions": questions}, file, indent=1, allow_nan=False)
            file.write("\n")
        with open(os.path.join(aside, "analysis.md"), "w", encoding="utf-8") as file:
            file.write(markdown(result, questions))
        for name, figure in (
            ("shares.png", _shares_figure(result)),
            ("questions.png", _questions_figure(questions)),
            ("pictures.png", _pictures_figure(questions, study_directory)),
        ):
            figure.savefig(os.path.join(aside, name), dpi=110)
        for name in FILES:
            os.replace(os.path.join(aside, name), os.path.join(output, name))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _percent(value):
    return "-" if value is None else f"{100 * value:.1f} %"


def _interval(bounds, form=_percent):
    return "-" if None in bounds else f"{form(bounds[0])} to {form(bounds[1])}"


def _number(value, digits=4):
    return "not defined" if value is None else f"{value:.{digits}f}"


def _p(value):
    """A p-value as text."""
    if value is None:
        return "p not defined"
    return f"p = {value:.4f}" if value >= 0.0001 else "p < 0.0001"


def _table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows] + [""]


def markdown(result: dict[str, Any], questions: list[dict[str, Any]]) -> str:
    """The report as text; its figures are those of analysis.json."""
    people, declared = result["participants"], result["declared"]
    lines = ["# Turing test", ""]
    lines += [
        f"{people['started']} people started, {people['answered']} answered at least one question, "
        f"{people['complete']} answered all. Filters, declared when the study was built: median answer under "
        f"{declared['too_fast']:g} s: {people['excluded']['too_fast']} people; never marked any picture: "
        + (f"{people['excluded']['always_none']} people" if declared["exclude_always_none"] else "not applied")
        + f". The figures are of the remaining {people['kept']} people with {result['answers']} answers "
        f"(median {result['median_seconds']:.1f} s).",
        "",
        "## Judged real",
        "",
    ]
    lines += _table(
        ["pictures", "judged real", "of", "share", "95 % (Wilson)", "95 % (people and questions resampled)"],
        [
            [name, s["real"], s["judged"], _percent(s["share"])]
            + [_interval(s["wilson95"]), _interval(s["crossed_bootstrap95"])]
            for name, s in result["shares"].items()
        ],
    )
    lines += ["![shares](shares.png)", "", "## Differences", ""]
    lines += _table(
        ["first", "second", "first - second", "95 %, paired", "paired t-test", "Welch", "equivalence (TOST)"],
        [_comparison_row(comparison) for comparison in result["comparisons"]],
    )
    rank = result["credibility_rank"]
    lines += [
        "## Credibility rank of the truth",
        "",
        f"Mean rank {_number(rank['mean'], 2)} (95 %: {_interval(rank['ci95'], lambda v: f'{v:.2f}')}); "
        f"{rank['null']:.1f} if truth and generated could not be told apart ({_p(rank['p'])}). "
        f"{_percent(rank['others_ahead'])} of the generated pictures were found more credible than their truth. Mean "
        "ranks: " + "; ".join(f"{name} {_number(value, 2)}" for name, value in rank["mean_of_systems"].items()) + ".",
        "",
        f"Agreement between participants (Fleiss' kappa over pictures): {_number(result['fleiss_kappa'], 3)}.",
        "",
        "## Without the filters",
        "",
    ]
    plain = result["without_filters"]
    lines += [
        f"Truth {_percent(plain['shares'][TRUTH])}, generated {_percent(plain['shares']['generated'])}; paired t-test "
        f"{_p(plain['paired_p'])}, TOST {_p(plain['tost_p'])}.",
        "",
        "## Questions",
        "",
    ]
    lines += _table(
        ["question", "photo", "answers", "truth", "generated", "rank of truth"],
        [
            [number, row["key"], row["answers"], _percent(row["truth"]), _percent(row["generated"])]
            + ["-" if row["truth_rank"] is None else f"{row['truth_rank']:g}"]
            for number, row in enumerate(questions, start=1)
        ],
    )
    lines += ["![questions](questions.png)", "", "## Best and worst judged pictures", "", "![pictures](pictures.png)"]
    lines += ["", "## What the tests assume", "", *[f"* {sentence}" for sentence in result["assumptions"]], ""]
    return "\n".join(lines)


def _comparison_row(comparison):
    paired, welch, tost = comparison["paired"], comparison["welch"], comparison["tost"]
    verdict = "equivalent" if tost["p"] is not None and tost["p"] < 0.05 else "not shown"
    return [
        comparison["first"],
        comparison["second"],
        _percent(comparison["difference"]),
        _interval(paired["ci95"]),
        _p(paired["p"]),
        _p(welch["p"]),
        f"{verdict} within {_percent(tost['margin'])}, {_p(tost['p'])}",
    ]


def _shares_figure(result):
    figure = Figure(figsize=(6.4, 0.8 + 0.6 * len(result["shares"])), layout="constrained")
    axes = figure.subplots()
    for place, share in enumerate(result["shares"].values()):
        (low, high), (wide_low, wide_high) = share["wilson95"], share["crossed_bootstrap95"]
        axes.plot([wide_low, wide_high], [place, place], color="0.6", linewidth=2, zorder=1)
        axes.plot([low, high], [place, place], color="0.1", linewidth=5, zorder=2)
        axes.plot(share["share"], place, "o", color="white", markeredgecolor="0.1", zorder=3)
    axes.set_yticks(range(len(result["shares"])), list(result["shares"]))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share judged real, with 95 % intervals\n(thick: Wilson; thin: people and questions resampled)")
    return figure


def _questions_figure(questions):
    figure = Figure(figsize=(6.4, 1.2 + 0.22 * len(questions)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(questions):
        generated = [p["share"] for p in row["pictures"] if p["system"] != TRUTH and p["share"] is not None]
        axes.plot(generated, [place] * len(generated), "o", color="0.55", label="generated" if not place else None)
        if row["truth"] is not None:
            axes.plot(row["truth"], place, "D", color="0.0", label="truth" if not place else None)
    axes.set_yticks(range(len(questions)), [str(number) for number in range(1, len(questions) + 1)])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share judged real")
    axes.set_ylabel("question")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return figure


def _pictures_figure(questions, study_directory):
    """The best and the worst judged generated pictures, and the worst judged truths, each with its share."""
    judged = [
        (picture["share"], picture["name"], number, picture["system"])
        for number, row in enumerate(questions, start=1)
        for picture in row["pictures"]
        if picture["share"] is not None
    ]
    generated = sorted((entry for entry in judged if entry[3] != TRUTH), reverse=True)
    truths = sorted(entry for entry in judged if entry[3] == TRUTH)
    rows = [
        ("best generated", generated[:SHOWN]),
        ("worst generated", generated[::-1][:SHOWN]),
        ("worst truth", truths[:SHOWN]),
    ]
    figure = Figure(figsize=(1.25 * SHOWN, 1.7 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), SHOWN, squeeze=False)
    for axes_row, (title, entries) in zip(grid, rows, strict=True):
        for axes in axes_row:
            axes.set_axis_off()
        for axes, (share, name, number, _) in zip(axes_row, entries, strict=False):
            with Image.open(pictures.path(study_directory, name)) as image:
                axes.imshow(image.convert("RGB"), interpolation="nearest")
            axes.set_title(f"{title}\nquestion {number}: {100 * share:.0f} %", fontsize=7)
    return figure
