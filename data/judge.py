"""Judges a trained generator by drawn rooms, where the law of every item's colour is known.

    python -m data.judge --model=exports/demo --rooms=400 --k=16
    python -m data.judge --model=ours=exports/demo --model=regression=runs/sepia --output=outputs/judge

A model is an export (`export.py`) or a run directory (`train.py`). The table's yardsticks are made by the same code:
the law against itself (what chance leaves of a perfect system), the law's mean for every item (a perfect regression),
and an untrained generator. data/judging.py says what is measured and why by this distance.
"""

import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags, logging

MODEL = flags.DEFINE_multi_string("model", [], "NAME=PATH or PATH of an export or a run directory; may be repeated.")
ROOMS = flags.DEFINE_integer("rooms", 400, "Rooms drawn, none of them trained on.", lower_bound=1)
K = flags.DEFINE_integer("k", 16, "Colourings of each room.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 0, "Of rooms, noise and the draws from the laws.", lower_bound=0)
OUTPUT = flags.DEFINE_string("output", None, "Folder for judge.json and judge.md; only the table is shown by default.")
BY_KIND = flags.DEFINE_bool("by_kind", True, "Also a table of the models by kind of item.")

UNTRAINED = "untrained"
_COLUMNS = (
    ("distance", "distance", "{:.2f}"),
    ("given the photo", "distance_given_photo", "{:.2f}"),
    ("spread over z", "spread", "{:.1f}"),
    ("of the law", "law_spread", "{:.1f}"),
    ("share within items", "within_share", "{:.0%}"),
    ("luminance drift x 255", "luminance_drift", "{:.3f}"),
)


def table(systems: dict[str, dict], by_kind: bool = False) -> str:
    """Markdown: a row a system; then, by kind, distance and spread of every system."""
    rows = [["system", *(title for title, _, _ in _COLUMNS)], ["---"] * (len(_COLUMNS) + 1)]
    for name, entry in systems.items():
        values = {**entry, "luminance_drift": 255.0 * entry["luminance_drift"]}
        rows.append([name, *("–" if values[key] is None else form.format(values[key]) for _, key, form in _COLUMNS)])
    text = _lines(rows)
    if by_kind:
        kinds = sorted({kind for entry in systems.values() for kind in entry["kinds"]})
        rows = [["distance, spread", *systems], ["---"] * (len(systems) + 1)]
        for kind in kinds:
            cells = [entry["kinds"].get(kind) for entry in systems.values()]
            rows.append([kind, *(f"{cell['distance']:.2f}, {cell['spread']:.1f}" if cell else "–" for cell in cells)])
        text += "\n" + _lines(rows)
    return text


def _lines(rows):
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def run():
    """Prints the table; ValueError and OSError for what a user can mend."""
    from colorgan_tf.evaluation import systems
    from colorgan_tf.evaluation.names import named
    from data import judging

    paths = named(MODEL.value, "model", reserved=[UNTRAINED])
    if not paths:
        raise ValueError("--model is missing; expected an export or a run directory")
    if OUTPUT.value and os.path.exists(OUTPUT.value) and not os.path.isdir(OUTPUT.value):
        raise ValueError(f"--output={OUTPUT.value}: a file is there; expected a folder")
    models, size = {}, None
    for name, path in paths.items():
        (model,), own, any_size = systems.load_models(name, path, K.value, SEED.value)
        size = size or own
        if own != size and not any_size:
            raise ValueError(f"{path}: a model of {own} x {own} pixels; expected {size} as the first has")
        models[name] = model

    rooms = judging.draw_rooms(ROOMS.value, size, SEED.value)
    painters = {
        "the law itself": judging.law_painter(K.value, SEED.value),
        "the law's mean": judging.mean_painter(K.value),
        UNTRAINED: judging.model_painter(untrained(size)),
        **{name: judging.model_painter(model) for name, model in models.items()},
    }
    laws = judging.references(SEED.value)
    found = {name: judging.judge(judging.observe(rooms, paint), laws) for name, paint in painters.items()}
    for name, model in models.items():
        found[name]["about"] = model.about
    text = table(found, BY_KIND.value)
    print(text, end="")
    if OUTPUT.value:
        os.makedirs(OUTPUT.value, exist_ok=True)
        report = {"rooms": ROOMS.value, "image_size": size, "k": K.value, "seed": SEED.value, "systems": found}
        for file_name, content in (("judge.json", json.dumps(report, indent=1) + "\n"), ("judge.md", text)):
            with open(os.path.join(OUTPUT.value, file_name), "w", encoding="utf-8") as file:
                file.write(content)


def untrained(size: int):
    """The paper's generator before its first step, normalized by its batches, without which it would paint grey."""
    import keras

    from colorgan_tf import models, sampling
    from colorgan_tf.evaluation.systems import Model

    keras.utils.set_random_seed(SEED.value)
    settings = models.ModelSettings(image_size=size)
    generator = sampling.keras_generator(models.build_generator(settings), batch_statistics=True)
    return Model(UNTRAINED, generator, settings.noise_size, K.value, SEED.value, {})


def main(argv):
    logging.set_verbosity(logging.WARNING)
    try:
        if len(argv) > 1:
            raise ValueError(f"unexpected argument {argv[1]}; expected --model=PATH")
        run()
    except (ValueError, OSError) as error:
        print(f"data.judge: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndata.judge: interrupted; nothing was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    app.run(main)
