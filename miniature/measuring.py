"""What is measured of all systems of one seed: evaluate.py's metrics and the judge of drawn rooms."""

import json
import os
from collections.abc import Callable
from typing import Any

from colorgan_tf.evaluation import pipeline, report, sources, systems
from data import judging

LAW, LAW_MEAN = "the law itself", "the law's mean"
JUDGE_FILE = "judge.json"


def measure(
    runs: dict[str, str],
    data: str,
    image_size: int,
    output: str,
    seed: int,
    k: int,
    rooms: int,
    limit: int,
    progress: Callable[[str], None],
) -> None:
    """Writes the folder `output`: evaluate.py's report on the val rooms of `data`, and judge.json beside it.

    runs: run directories by name. limit: val rooms at most. rooms: for the judge.
    """
    models = {name: systems.load_models(name, path, k, seed)[0][0] for name, path in runs.items()}
    settings = pipeline.Settings(k=k, seed=seed, image_size=image_size, limit=limit)
    photos = sources.from_data_dir(data, "val", image_size)
    pipeline.evaluate(photos, f"{data} (val)", list(models.values()), settings, output, progress=progress)

    painters = {LAW: judging.law_painter(k, seed), LAW_MEAN: judging.mean_painter(k)}
    painters |= {name: judging.model_painter(model) for name, model in models.items()}
    judged, laws, found = judging.draw_rooms(rooms, image_size, seed), judging.references(seed), {}
    for name, paint in painters.items():
        progress(f"judge: {name}")
        found[name] = judging.judge(judging.observe(judged, paint), laws)
    path = os.path.join(output, JUDGE_FILE)
    with open(path + ".partial", "w", encoding="utf-8") as file:
        json.dump(found, file, indent=1)
    os.replace(path + ".partial", path)  # the last thing written: its being there means that all was measured


def read(output: str) -> dict[str, dict[str, Any]] | None:
    """By system: every figure of both, where both have it the report's; None where `output` is not finished."""
    try:
        with open(os.path.join(output, JUDGE_FILE), encoding="utf-8") as file:
            judged = json.load(file)
        with open(os.path.join(output, report.JSON_FILE), encoding="utf-8") as file:
            reported = json.load(file)["systems"]
    except FileNotFoundError:
        return None
    return {name: {**judged.get(name, {}), **reported.get(name, {})} for name in {**reported, **judged}}
