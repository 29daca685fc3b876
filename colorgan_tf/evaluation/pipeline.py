"""The whole evaluation: photos and systems in, a folder with the report and its pictures out."""

import dataclasses
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from colorgan_tf.evaluation import measure, realism, report
from colorgan_tf.evaluation.frechet import Inception
from colorgan_tf.evaluation.measure import TRUTH
from colorgan_tf.evaluation.pictures import Pictures
from colorgan_tf.evaluation.sources import batches
from colorgan_tf.evaluation.systems import Grey, Shuffled, System

RESERVED = (TRUTH, *realism.HALVES, Grey.name, Shuffled.name)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What of the evaluation can be chosen.

    k: colourings of each photo. groups: substrings of keys that are also reported apart. limit: photos at most; 0: all.
    classifier_photos: of how many photos the classifier test keeps one picture per system, 0 for no test.
    feature_weights: "download", a file, or "" for no Frechet distance.
    """

    k: int
    seed: int = 0
    image_size: int = 64
    batch_size: int = 32
    limit: int = 0
    groups: tuple[str, ...] = ()
    classifier_photos: int = 2000
    feature_weights: str = ""


def evaluate(
    photos: Iterator[tuple[str, np.ndarray]],
    source: str,
    systems: list[System],
    settings: Settings,
    output: str,
    profile: measure.Profile | None = None,
    notes: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measures the systems and the yardsticks, writes the report to the folder `output`, and gives it back.

    photos: (key, rgb float32 [s, s, 3] in [0, 1]); source: what the report calls them. notes: said in the report.
    ValueError in one line for whatever is wrong with the input; then nothing is left in `output`.
    """
    start = time.perf_counter()
    report.check_output(output)
    profile = profile or measure.Profile()
    notes = list(notes)
    systems = [Grey(settings.k), Shuffled(settings.k), *systems]

    shown = Pictures(settings.seed)
    observers: dict[str, measure.Observer] = {"pictures": shown}
    classifier_test = frechet_test = inception = None
    if settings.classifier_photos:
        classifier_test = realism.ClassifierTest(settings.classifier_photos, settings.seed)
        observers["classifier"] = classifier_test
    if settings.feature_weights:
        try:
            inception = Inception(settings.feature_weights)
        except ValueError as error:
            if settings.feature_weights != "download":
                raise  # a file that was asked for by name must be right
            notes.append(f"No Frechet distance: {error}.")
            progress(notes[-1])
        else:
            frechet_test = realism.FrechetTest(inception, inception.size, settings.seed)
            observers["frechet"] = frechet_test
            if not inception.published:
                notes.append(
                    f"The Frechet distance's weights, {inception.source}, are not the file that Keras publishes: it "
                    "ranks systems within this report only."
                )
    else:
        notes.append("No Frechet distance: it was not asked for (--feature_weights).")

    measured, keys = measure.run(
        batches(photos, settings.batch_size, settings.limit),
        systems,
        lambda key: realism.half(settings.seed, key),
        list(settings.groups),
        observers,
        profile,
        lambda count: progress(f"{count} photos measured"),
    )
    missing = [group for group in settings.groups if group not in measured[TRUTH].groups]
    notes += [f"No photo's key contains {group} (--groups); the first key is {keys[0]}." for group in missing]

    verdicts: dict[str, Any] = {}
    if classifier_test:
        with profile.part("classifier"):
            verdicts = classifier_test.results(lambda name: progress(f"classifier: {name} against truth"))
        if None in verdicts.values():
            notes.append("No classifier test: too few photos for a number that means something.")
    with profile.part("frechet"):
        distances = frechet_test.results() if frechet_test else {}

    with report.begun(output) as partial:
        with profile.part("pictures"):
            names = [system.name for system in systems if system.name != Grey.name]
            written = shown.write(os.path.join(partial, report.PICTURES), names)
        found = {
            "format": 1,
            "photos": {
                "source": source,
                "image_size": settings.image_size,
                "count": len(keys),
                "keys": keys,
                "pictured": shown.keys(),
            },
            "k": settings.k,
            "seed": settings.seed,
            "settings": dataclasses.asdict(settings),
            "systems": _entries(measured, systems, verdicts, distances),
            "feature_weights": inception and {"source": inception.source, "sha256": inception.sha256},
            "notes": notes,
            "pictures": written,
        }
        total = time.perf_counter() - start
        # Linux gives the peak in KiB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
        found["profile"] = {
            "seconds": {name: round(value, 3) for name, value in profile.seconds.items()},
            "cpu_seconds": {name: round(value, 3) for name, value in profile.cpu_seconds.items()},
            "total_seconds": round(total, 3),
            "peak_memory_mib": round(peak, 1),
        }
        report.write(found, partial)
    return found


def _entries(measured, systems, verdicts, distances):
    """`systems` of the report: truth and its halves first."""
    a, b = realism.HALVES
    rows = [(TRUTH, 1, TRUTH, {"yardstick": "the photos themselves"})]
    rows += [(own, 1, other, {"yardstick": f"half of the photos, against {other}"}) for own, other in ((a, b), (b, a))]
    rows += [(system.name, system.k, TRUTH, system.about) for system in systems]
    entries = {}
    for name, k, reference, about in rows:
        if not (measured[name].all.count and measured[reference].all.count):
            continue  # a half of very few photos can be empty
        entry = measure.summary(measured[name].all, k, measured[reference].all, exact=name == reference)
        verdict = verdicts.get(name)
        entry["classifier_accuracy"] = verdict["accuracy"] if verdict else None
        entry["classifier"] = verdict
        entry["frechet_distance"] = distances.get(name)
        entry["groups"] = {
            group: measure.summary(sums, k, measured[reference].groups[group], exact=name == reference)
            for group, sums in measured[name].groups.items()
            if group in measured[reference].groups
        }
        entry["about"] = about
        entries[name] = entry
    return entries
