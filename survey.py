"""Runs a Turing test: can people tell generated colours from true ones? docs/survey.md says how.

    python survey.py build --model=EXPORT --data=DIR --output=STUDY      draws questions: a truth, four colourings each
    python survey.py serve --study=STUDY --port=8080                     the web page that people answer on
    python survey.py analyze --study=STUDY                               figures, tests and plots to STUDY/analysis
    python survey.py simulate --study=STUDY --participants=80            synthetic participants to try the analysis on
    python survey.py simulate --studies=1000 --participants=20,40,80 --questions=20,60       how large must a study be?

DIR is written by `python -m data.convert`, EXPORT by export.py; --model may be given more than once, to compare models
blind. Needs requirements-survey.txt on top of requirements.txt.
"""

import logging
import os
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags

from colorgan_tf.flag_checks import require_finite

SIMULATED_FILE = "simulated.sqlite"

_DEFINED_BEFORE = set(flags.FLAGS)

STUDY = flags.DEFINE_string("study", None, "serve, analyze, simulate: directory written by build.")
OUTPUT = flags.DEFINE_string("output", None, "build: the new directory. analyze: where to write; STUDY/analysis.")

MODEL = flags.DEFINE_multi_string("model", [], "build: PATH or NAME=PATH of an export; repeat it to mix several.")
DATA = flags.DEFINE_string("data", None, "build: directory written by data.convert.")
SPLIT = flags.DEFINE_enum("split", "val", ["val", "train"], "build: photos of which split.")
QUESTIONS = flags.DEFINE_list("questions", "20", "build: how many. simulate with --studies: also several, as 20,60.")
GENERATED = flags.DEFINE_integer("generated", 4, "build, simulate: colourings in a question.", 1, 20)
IMAGE_SIZE = flags.DEFINE_integer("image_size", None, "build: side in pixels; by default the first model's.", 8, 1024)
SEED = flags.DEFINE_integer("seed", 0, "build: of photos and noise. simulate: of the participants.", lower_bound=0)
TOO_FAST = flags.DEFINE_float("too_fast", 1.0, "build: leave out people whose median answer took less, seconds.", 0.0)
EXCLUDE_ALWAYS_NONE = flags.DEFINE_bool("exclude_always_none", True, "build: leave out people who never mark any.")
MARGIN = flags.DEFINE_float(
    "margin", 0.1, "build, simulate: shares that differ by less count as equal (TOST).", 0.001, 0.999
)

HOST = flags.DEFINE_string("host", "127.0.0.1", "serve: address to listen on; the default is this machine only.")
PORT = flags.DEFINE_integer("port", 8080, "serve: port to listen on; 0 takes a free one.", 0, 65535)
MAX_PARTICIPANTS = flags.DEFINE_integer("max_participants", 1000, "serve: further people are turned away.", 1)

ANSWERS = flags.DEFINE_string("answers", "answers.sqlite", "analyze: file in STUDY; simulated.sqlite after simulate.")

PARTICIPANTS = flags.DEFINE_list("participants", "80", "simulate: how many; with --studies also several, as 20,40.")
TRUTH_RATE = flags.DEFINE_float("truth_rate", 0.70, "simulate: mean chance that a truth is judged real.", 0.001, 0.999)
GENERATED_RATE = flags.DEFINE_float("generated_rate", 0.626, "simulate: the same for generated.", 0.001, 0.999)
PICTURE_SD = flags.DEFINE_float("picture_sd", 0.0, "simulate: how much pictures differ, in logits.", 0.0, 5.0)
PARTICIPANT_SD = flags.DEFINE_float("participant_sd", 0.0, "simulate: how much people differ, in logits.", 0.0, 5.0)
STUDIES = flags.DEFINE_integer("studies", 1, "simulate: more than 1 prints power instead of writing answers.", 1)

require_finite("too_fast", "margin", "truth_rate", "generated_rate", "picture_sd", "participant_sd")

# What each command reads; a flag of another command is an error, not ignored.
_READ = {
    "build": "model data split questions generated image_size seed output too_fast exclude_always_none margin",
    "serve": "study host port max_participants",
    "analyze": "study answers output",
    "simulate": "study participants questions generated truth_rate generated_rate picture_sd participant_sd "
    "seed studies margin",
}
_DEFINED_HERE = sorted(set(flags.FLAGS) - _DEFINED_BEFORE)


def _numbers(name: str) -> list[int]:
    """A list flag's whole numbers above 0."""
    texts = flags.FLAGS[name].value
    if not texts or not all(text.strip().isdecimal() and int(text) > 0 for text in texts):
        raise ValueError(f"--{name}={','.join(texts)}: expected whole numbers above 0")
    return [int(text) for text in texts]


def _one_number(name: str) -> int:
    numbers = _numbers(name)
    if len(numbers) != 1:
        raise ValueError(f"--{name}={','.join(flags.FLAGS[name].value)}: expected one number here")
    return numbers[0]


def _required(name: str):
    value = flags.FLAGS[name].value
    if not value:
        raise ValueError(f"--{name} is missing")
    return value


def build() -> int:
    """Draws a study into a new directory."""
    models, directory, output = _required("model"), _required("data"), _required("output")
    questions = _one_number("questions")
    if os.path.exists(output):
        raise ValueError(f"--output={output}: is already there; expected a new directory")
    from colorgan_tf import inference, records
    from colorgan_tf.evaluation import sources
    from colorgan_tf.study import build as builder
    from colorgan_tf.study.manifest import Declared

    info = records.DatasetInfo.read(directory)
    named = [model.partition("=") if "=" in model else ("", "", model) for model in models]
    generators = [inference.load_export(path) for _, _, path in named]
    plan = builder.Plan(
        questions=questions,
        generated=GENERATED.value,
        seed=SEED.value,
        image_size=IMAGE_SIZE.value or generators[0].image_size,
        data=info.name,
        split=SPLIT.value,
        declared=Declared(TOO_FAST.value, EXCLUDE_ALWAYS_NONE.value, MARGIN.value),
    )
    available = info.count(SPLIT.value)
    builder.check(plan, generators, available)
    photos = sources.from_data_dir(directory, SPLIT.value, plan.image_size)
    alike = builder.build(plan, generators, photos, available, output, [name for name, _, _ in named])
    print(f"{questions} questions of 1 truth and {GENERATED.value} generated pictures lie in {output}")
    if alike:
        print(f"survey.py: in {alike} of {questions} questions some pictures are identical", file=sys.stderr)
    print(f"Next: python survey.py serve --study={output}")
    return 0


def serve() -> int:
    """Serves a study until Ctrl-C or SIGTERM."""
    directory = _required("study")
    import waitress

    from colorgan_tf.study import pictures, store, web
    from colorgan_tf.study.manifest import Study

    study = Study.read(directory)
    missing = [name for name in study.picture_names if not os.path.isfile(pictures.path(directory, name))]
    if missing:
        raise ValueError(f"{directory}: {len(missing)} pictures are missing, {missing[0]}{pictures.SUFFIX} among them")
    answers = store.Store(os.path.join(directory, store.ANSWERS_FILE), study.digest())
    application = web.create_app(study, directory, answers, MAX_PARTICIPANTS.value)
    try:
        server = waitress.create_server(
            application,
            host=HOST.value,
            port=PORT.value,
            threads=8,
            connection_limit=1000,
            ident=None,
            max_request_header_size=16384,
            max_request_body_size=65536,
            clear_untrusted_proxy_headers=True,
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"--host={HOST.value} --port={PORT.value}: cannot listen there ({error})") from None
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that requests wait for each other is no news
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # A name such as localhost may mean several addresses, and waitress then has no single port.
    port = getattr(server, "effective_port", None) or server.effective_listen[0][1]
    host = f"[{HOST.value}]" if ":" in HOST.value else HOST.value
    print(f"The study is at http://{host}:{port}/ (Ctrl-C ends; answers lie in {answers.path})", flush=True)
    server.run()
    return 0


def analyze() -> int:
    """Writes figures, tests and plots."""
    directory = _required("study")
    from colorgan_tf.study import analysis, judgements, report, store
    from colorgan_tf.study.manifest import Study

    study = Study.read(directory)
    answers = store.Store(os.path.join(directory, ANSWERS.value), study.digest(), create=False)
    said, started = judgements.read(study, answers)
    result = analysis.analyse(said, study.declared, started)
    kept, _ = judgements.filtered(said, study.declared)
    output = OUTPUT.value or os.path.join(directory, "analysis")
    report.write(result, analysis.question_table(study, kept), directory, output)
    truth, generated, main = result["shares"]["truth"], result["shares"]["generated"], result["comparisons"][0]
    print(
        f"judged real: truth {truth['share']:.1%}, generated {generated['share']:.1%} "
        f"({result['participants']['kept']} people, {result['answers']} answers)"
    )
    p_values = {
        "paired t-test": main["paired"]["p"],
        "Welch": main["welch"]["p"],
        f"TOST within {main['tost']['margin']:.1%}": main["tost"]["p"],
    }
    print(", ".join(f"{name} p {'not defined' if p is None else f'= {p:.4f}'}" for name, p in p_values.items()))
    print(f"The report is {os.path.join(output, 'analysis.md')}")
    return 0


def simulate() -> int:
    """Writes one simulated study's answers, or prints the power of many."""
    from colorgan_tf.study import simulate as simulation

    people = simulation.People(TRUTH_RATE.value, GENERATED_RATE.value, PICTURE_SD.value, PARTICIPANT_SD.value)
    return _simulate_one(people) if STUDIES.value == 1 else _simulate_many(people)


def _simulate_one(people) -> int:
    directory, participants = _required("study"), _one_number("participants")
    for name in ("questions", "generated", "margin"):
        if flags.FLAGS[name].present:
            raise ValueError(f"--{name}: is given by the study, unless --studies is more than 1")
    import numpy as np

    from colorgan_tf.study import judgements, simulate, store
    from colorgan_tf.study.manifest import Study

    study = Study.read(directory)
    path = os.path.join(directory, SIMULATED_FILE)
    if os.path.exists(path):
        raise ValueError(f"{path}: is already there; delete it to simulate anew")
    rng, systems = np.random.default_rng(SEED.value), judgements.places(study)
    said = simulate.draw_judgements(rng, people, systems, participants, len(study.questions))
    simulate.write(study, said, store.Store(path, study.digest()), time.time())
    print(f"{participants} synthetic participants lie in {path}")
    print(f"Next: python survey.py analyze --study={directory} --answers={SIMULATED_FILE} --output=DIR")
    return 0


def _simulate_many(people) -> int:
    if STUDY.value:
        raise ValueError("--study: not read where --studies is more than 1; give --questions and --generated")
    import numpy as np

    from colorgan_tf.study import simulate

    counts = [(questions, number) for questions in _numbers("questions") for number in _numbers("participants")]
    print(f"share of {STUDIES.value} simulated studies with p < 0.05")
    print("questions  participants  paired t  Welch   TOST   difference (sd)")
    for questions, number in counts:
        if questions < 2 or number < 2:
            raise ValueError("--questions and --participants: expected at least 2 of each")
        rng = np.random.default_rng([SEED.value, questions, number])
        row = simulate.power(rng, people, GENERATED.value, number, questions, STUDIES.value, MARGIN.value)
        tests = f"{row['paired']:8.3f}  {row['welch']:5.3f}  {row['tost']:5.3f}"
        print(f"{questions:9d}  {number:12d}  {tests}   {row['difference']:+.4f} ({row['spread']:.4f})", flush=True)
    return 0


COMMANDS = {"build": build, "serve": serve, "analyze": analyze, "simulate": simulate}


def main(argv):
    if len(argv) != 2 or argv[1] not in COMMANDS:
        print(f"survey.py: expected one command out of {', '.join(COMMANDS)}; see --help", file=sys.stderr)
        return 2
    try:
        for name in _DEFINED_HERE:
            if flags.FLAGS[name].present and name not in _READ[argv[1]].split():
                raise ValueError(f"--{name}: is not a flag of {argv[1]}")
        return COMMANDS[argv[1]]()
    except ModuleNotFoundError as error:
        print(f"survey.py: {error.name} is not installed; pip install -r requirements-survey.txt", file=sys.stderr)
        return 1
    except (ValueError, OSError) as error:
        print(f"survey.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    app.run(main)
