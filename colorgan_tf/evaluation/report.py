"""report.json for programs, report.md for people."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from typing import Any

JSON_FILE, MARKDOWN_FILE, PICTURES = "report.json", "report.md", "pictures"
_PARTIAL = ".partial"  # what is being written

# Column title, key in a system's entry, format; in the order of the table.
_COLUMNS = (
    ("colorfulness", "colorfulness", "{:.1f}"),
    ("its gap to truth", "colorfulness_gap", "{:.1f}"),
    ("tint's distance", "tint_distance", "{:.1f}"),
    ("diversity", "diversity", "{:.1f}"),
    ("local diversity", "local_diversity", "{:.1f}"),
    ("distance to truth", "truth_distance", "{:.1f}"),
    ("edge agreement", "edge_agreement", "{:.2f}"),
    ("roughness", "roughness", "{:.2f}"),
    ("luminance drift", "luminance_drift", "{:.4f}"),
    ("PSNR, dB", "psnr", "{:.2f}"),
    ("best of k, dB", "best_of_k_psnr", "{:.2f}"),
    ("classifier", "classifier_accuracy", "{:.1%}"),
    ("Frechet distance", "frechet_distance", "{:.2f}"),
)
_LEGEND = """\
Colorfulness, tint, diversity, distances and roughness are on the 0-255 scale, luminance drift (the worst pixel of all)
on 0-1. *Classifier* is the share of pictures of unseen photos that a fresh small network sorts rightly into truth and
generated, with its 95 % interval: 50 % is indistinguishable, for it. *Grey* is luminance alone, *shuffled* every photo
with other photos' chroma; the *halves* of the truth are measured against one another, as good as a system can look.
docs/evaluate.md says how each number is made.
"""


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(entry, key, form):
    value = entry.get(key)
    if value is None:
        return "–"
    text = form.format(value)
    if key == "classifier_accuracy" and entry.get("classifier"):
        low, high = entry["classifier"]["interval"]
        text += f" ({low:.0%}–{high:.0%})"
    return text


def _systems_table(systems, columns=_COLUMNS):
    rows = []
    for name, entry in systems.items():
        rows.append([name, str(entry["k"]), *(_cell(entry, key, form) for _, key, form in columns)])
    return _table(["system", "k", *(title for title, _, _ in columns)], rows)


def markdown(report: dict[str, Any]) -> str:
    """The readable report."""
    photos, systems = report["photos"], report["systems"]
    text = [
        "# Evaluation\n",
        f"{photos['count']} photos of `{photos['source']}` at {photos['image_size']} x {photos['image_size']} pixels, "
        f"k = {report['k']} colourings of each, seed {report['seed']}.\n",
        _systems_table(systems),
        _LEGEND,
    ]
    text += [f"* {note}\n" for note in report["notes"]]
    groups = sorted({group for entry in systems.values() for group in entry["groups"]})
    if groups:
        text.append("## Groups of photos\n")
        columns = [column for column in _COLUMNS if column[1] not in ("classifier_accuracy", "frechet_distance")]
    for group in groups:
        own = {name: entry["groups"][group] for name, entry in systems.items() if group in entry["groups"]}
        count = max(entry["photos"] for entry in own.values())
        text += [f"### {group} ({count} photos)\n", _systems_table(own, columns)]
    curves = {name: entry["best_of_k_psnr_curve"] for name, entry in systems.items() if entry["best_of_k_psnr_curve"]}
    curves = {name: curve for name, curve in curves.items() if len(curve) > 1}
    if curves:
        text.append("## Best PSNR among the first k colourings, dB\n")
        longest = max(len(curve) for curve in curves.values())
        steps = sorted({min(2**i, longest) for i in range(longest.bit_length() + 1)})
        rows = [[n, *(f"{c[k - 1]:.2f}" if k <= len(c) else "–" for k in steps)] for n, c in curves.items()]
        text.append(_table(["system", *(f"k = {k}" for k in steps)], rows))
    titles = {
        "side_by_side": "Side by side, the same photos and the same noise",
        "groups": "Groups: truth, then four colourings",
        "grids": "Grids: one photo, every colouring",
    }
    for kind, title in titles.items():
        if report["pictures"].get(kind):
            text.append(f"## {title}\n")
            text += [f"`{name}`\n\n![{name}]({PICTURES}/{name})\n" for name in report["pictures"][kind]]
    text.append("## Where the systems came from\n")
    text += [f"* {name}: {json.dumps(entry['about'])}\n" for name, entry in systems.items() if entry["about"]]
    text.append("## Where the time went\n")
    profile = report["profile"]
    seconds, cpu = profile["seconds"], profile["cpu_seconds"]
    whole = sum(cpu.values())
    rows = [[part, f"{seconds[part]:.1f}", f"{cpu[part]:.1f}", f"{cpu[part] / whole:.0%}"] for part in seconds]
    rows.sort(key=lambda row: -cpu[row[0]])
    text.append(_table(["part", "seconds", "processor seconds", "share of these"], rows))
    text.append(f"{profile['total_seconds']:.1f} s in all; peak memory {profile['peak_memory_mib']:.0f} MiB.\n")
    return "\n".join(text)


def write(report: dict[str, Any], folder: str) -> None:
    """Writes report.json and report.md into a folder."""
    with open(os.path.join(folder, JSON_FILE), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1, allow_nan=False)
        file.write("\n")
    with open(os.path.join(folder, MARKDOWN_FILE), "w", encoding="utf-8") as file:
        file.write(markdown(report))


def check_output(folder: str) -> None:
    """ValueError unless `folder` is free for a report: not there, empty, or an earlier report and nothing else.

    OSError where it cannot be written to: better said before the work, which may take long.
    """
    if os.path.isdir(folder):
        others = sorted(set(os.listdir(folder)) - {JSON_FILE, MARKDOWN_FILE, PICTURES, _PARTIAL})
        if others:
            raise ValueError(f"{folder}: {others[0]} there is no part of a report; expected a folder to write one to")
    elif os.path.exists(folder):
        raise ValueError(f"{folder}: a file is there; expected a folder to write the report to")
    with begun(folder):
        pass


@contextlib.contextmanager
def begun(folder: str) -> Iterator[str]:
    """A folder for the parts of a report; what is in it at the end takes the place of the same parts in `folder`.

    It lies inside, so that `folder` may be a link or a mounted disk. After an exception nothing has changed. OSError in
    one line where it cannot be made.
    """
    partial, was_there = os.path.join(folder, _PARTIAL), os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        os.mkdir(partial)
    except OSError as error:
        raise OSError(f"--output={folder}: cannot write there ({error.strerror})") from None
    try:
        yield partial
        for name in os.listdir(partial):
            target = os.path.join(folder, name)
            if os.path.isdir(target):
                shutil.rmtree(target)
            os.replace(os.path.join(partial, name), target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not was_there:
            with contextlib.suppress(OSError):  # there is a report in it now
                os.rmdir(folder)
