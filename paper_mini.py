"""The paper's comparisons in miniature, on drawn rooms whose law of colours is known.

    python paper_mini.py                       `make paper-mini`: all systems, three seeds, docs/paper-mini.md
    python paper_mini.py --variants=colorgan --variants=fig7_single_layer_noise --seeds=8 --work=outputs/noise \\
        --page=noise.md

The same command goes on where it was stopped: finished runs are not repeated, an unfinished one goes on from its last
checkpoint. miniature/plan.py lists the systems and the claims.
"""

import json
import os
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

from miniature import plan

WORK = flags.DEFINE_string("work", "outputs/paper-mini", "Folder of the runs and measurements, to go on from.")
PAGE = flags.DEFINE_string("page", "docs/paper-mini.md", "The page to write; its pictures go into a folder beside it.")
DATA = flags.DEFINE_string("data", "datasets/paper-mini", "Drawn rooms as data.convert writes them; made if missing.")
DATA_ROOMS = flags.DEFINE_integer("data_rooms", 20_000, "Rooms drawn for --data, 2 % of them for val.", lower_bound=100)
STEPS = flags.DEFINE_integer("steps", 500, "Iterations of each run.", lower_bound=1)
SEEDS = flags.DEFINE_integer("seeds", 3, "Runs of each system.", lower_bound=2)
VARIANTS = flags.DEFINE_multi_enum("variants", list(plan.NAMES), list(plan.NAMES), "Systems; may be repeated.")
K = flags.DEFINE_integer("k", 8, "Colourings of each room that is measured.", lower_bound=2)
ROOMS = flags.DEFINE_integer("rooms", 80, "Rooms that data.judge draws.", lower_bound=1)
LIMIT = flags.DEFINE_integer("limit", 160, "Val rooms measured at most; 0 is all.", lower_bound=0)
FLAGFILES = flags.DEFINE_list("train_flagfiles", [], "Flagfiles of train.py, given after the miniature's own.")

_KEPT = "settings.json"
_STOPPED = 75  # as train.py: run the same command to go on


def run():
    """ValueError and OSError for what a user can mend."""
    variants = [variant for variant in plan.VARIANTS if variant.name in VARIANTS.value]
    _check_settings()
    from miniature import training  # TensorFlow is loaded after the flags were found good

    if not os.path.exists(os.path.join(DATA.value, "dataset.json")):
        draw_data(training)
    jobs = [(variant, seed) for seed in range(SEEDS.value) for variant in variants]
    jobs.sort(key=lambda job: job[0].iterations)  # stable: the long ones last
    train(jobs, training)
    measure_and_write(variants, training)


def _check_settings():
    """Keeps the settings that results depend on; a folder made with others is not gone on with."""
    settings = {name: flags.FLAGS[name].value for name in ("data", "steps", "k", "rooms", "limit", "train_flagfiles")}
    path = os.path.join(WORK.value, _KEPT)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            earlier = json.load(file)
        for name, value in settings.items():
            if earlier.get(name) != value:
                raise ValueError(
                    f"--work={WORK.value}: begun with --{name}={earlier.get(name)}, now it is {value}; "
                    "expected the same, or another folder"
                )
    os.makedirs(WORK.value, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(settings, file)


def draw_data(training):
    """The rooms to train on and to measure by, drawn by the converter."""
    print(f"drawing {DATA_ROOMS.value} rooms into {DATA.value}", flush=True)
    arguments = [f"--max_images={DATA_ROOMS.value}", f"--output={os.path.abspath(DATA.value)}", "--image_size=32"]
    program = [sys.executable, "-m", "data.convert", "--source=rooms", "--val_fraction=0.02", "--seed=0"]
    training.run([*program, *arguments], os.path.join(WORK.value, "data.log"))


def train(jobs, training):
    """Every run that is not finished yet, with the time left by what the finished ones took."""
    waiting = [job for job in jobs if not training.finished(WORK.value, *job, STEPS.value)]
    if len(waiting) < len(jobs):
        print(f"{len(jobs) - len(waiting)} of {len(jobs)} runs are finished already", flush=True)
    spent = done = 0.0
    left = sum(variant.cost * variant.iterations for variant, _ in waiting)
    for number, (variant, seed) in enumerate(waiting, 1):
        minutes = f"; about {left * spent / done / 60:.0f} min left" if done else ""
        print(f"[{number}/{len(waiting)}] {variant.name}, seed {seed}{minutes}", flush=True)
        started = time.monotonic()
        command = training.command(variant, seed, STEPS.value, DATA.value, WORK.value, FLAGFILES.value)
        training.run(command, os.path.join(WORK.value, "logs", f"{variant.name}-seed{seed}.log"))
        spent += time.monotonic() - started
        done += variant.cost * variant.iterations
        left -= variant.cost * variant.iterations


def measure_and_write(variants, training):
    """All systems of a seed together, then the page and its pictures."""
    from colorgan_tf.runs import load_generator
    from miniature import figures, measuring, page

    results, size = [], None
    for seed in range(SEEDS.value):
        runs = {variant.name: training.run_dir(WORK.value, variant, seed) for variant in variants}
        output = os.path.join(WORK.value, f"seed{seed}")
        found = measuring.read(output)
        if found is None or not set(runs) <= set(found):
            if size is None:
                size = load_generator(runs[variants[0].name])[1].image_size
            print(f"measuring seed {seed}", flush=True)
            measuring.measure(
                runs,
                DATA.value,
                size,
                output,
                seed,
                K.value,
                ROOMS.value,
                LIMIT.value,
                lambda line: print(f"  {line}", flush=True),
            )
            found = measuring.read(output)
        results.append(found)

    runs = {variant.name: training.run_dir(WORK.value, variant, 0) for variant in variants}
    loaded = {name: load_generator(path) for name, path in runs.items()}
    weights = {name: generator.count_params() for name, (generator, _, _) in loaded.items()}
    size = next(iter(loaded.values()))[1].image_size
    folder = os.path.splitext(PAGE.value)[0]
    pictures = figures.write(runs, size, folder, seed=0)
    pictures = {caption: f"{os.path.basename(folder)}/{name}" for caption, name in pictures.items()}
    settings = {"steps": STEPS.value, "rooms": ROOMS.value, "k": K.value}
    with open(PAGE.value + ".partial", "w", encoding="utf-8") as file:
        file.write(page.markdown(results, variants, weights, pictures, settings))
    os.replace(PAGE.value + ".partial", PAGE.value)
    print(f"{PAGE.value}; runs and measurements lie in {WORK.value}")


def main(argv):
    logging.set_verbosity(logging.WARNING)
    # SIGTERM is taken as Ctrl-C: the run in progress is ended too, and writes a checkpoint before.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if len(argv) > 1:
            raise ValueError(f"unexpected argument {argv[1]}; expected flags only")
        run()
    except (plan.Stopped, KeyboardInterrupt):
        print("stopped; the same command goes on from there", file=sys.stderr)
        return _STOPPED
    except (ValueError, OSError) as error:
        print(f"paper_mini.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(main)
