"""survey.py as a user runs it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

pytest.importorskip("flask", reason="needs requirements-survey.txt")
pytest.importorskip("matplotlib", reason="needs requirements-survey.txt")

import standin
from survey_helpers import ROOT, Server, make_study, survey


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("export") / "stand-in")
    standin.write_export(os.path.join(folder, "1"), image_size=16)
    return folder


@pytest.fixture(scope="module")
def built(export, tiny_data, tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("built") / "study")
    arguments = ["--model=ours=" + export, "--data=" + tiny_data, "--output=" + directory]
    done = survey("build", *arguments, "--questions=5", "--too_fast=2.5", "--margin=0.2", "--noexclude_always_none")
    assert done.returncode == 0, done.stderr
    return directory


def test_build_simulate_analyze(built):
    with open(os.path.join(built, "study.json"), encoding="utf-8") as file:
        study = json.load(file)
    assert study["image_size"] == 16 and len(study["questions"]) == 5
    assert study["declared"] == {"too_fast": 2.5, "exclude_always_none": False, "margin": 0.2}
    assert study["systems"][0]["name"] == "ours" and study["systems"][0]["checksum"]
    assert all(q["key"].startswith("val-") for q in study["questions"])
    done = survey("simulate", f"--study={built}", "--participants=30", "--truth_rate=0.9", "--generated_rate=0.3")
    assert done.returncode == 0, done.stderr
    assert not os.path.exists(os.path.join(built, "answers.sqlite"))  # what people say is never mixed with it
    again = survey("simulate", f"--study={built}")
    assert again.returncode == 1 and "simulated.sqlite: is already there" in again.stderr
    output = os.path.join(built, "found")
    done = survey("analyze", f"--study={built}", "--answers=simulated.sqlite", f"--output={output}")
    assert done.returncode == 0, done.stderr
    with open(os.path.join(output, "analysis.json"), encoding="utf-8") as file:
        result = json.load(file)
    assert result["answers"] == 150 and result["participants"]["started"] == 30
    assert abs(result["shares"]["truth"]["share"] - 0.9) < 0.1
    assert abs(result["shares"]["generated"]["share"] - 0.3) < 0.1
    assert f"truth {result['shares']['truth']['share']:.1%}" in done.stdout


def test_power_is_printed_for_every_size(tmp_path):
    done = survey("simulate", "--studies=100", "--participants=5,60", "--questions=10", "--truth_rate=0.8")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[:2] for row in rows] == [["10", "5"], ["10", "60"]]
    assert float(rows[1][2]) > 0.95 > float(rows[0][2])  # 80 % against 62.6 %: sixty people tell, five do not


WRONG = [
    ([], "expected one command out of build, serve, analyze, simulate"),
    (["paint"], "expected one command"),
    (["build"], "--model is missing"),
    (["build", "--model=nowhere", "--data={data}", "--output={tmp}/new"], "nowhere: no such directory"),
    (["build", "--model={export}", "--data=nowhere", "--output={tmp}/new"], "nowhere: no dataset.json there"),
    (["build", "--model={export}", "--data={data}", "--output={tmp}"], "is already there"),
    (["build", "--model={export}", "--data={data}", "--output={tmp}/new"], "has only 6 photos"),
    (["build", "--model={export}", "--data={data}", "--output={tmp}/new", "--questions=2,3"], "expected one number"),
    (["build", "--model={export}", "--data={data}", "--output={tmp}/new", "--questions=x"], "expected whole numbers"),
    (
        ["build", "--model={export}", "--data={data}", "--output={tmp}/new", "--port=1"],
        "--port: is not a flag of build",
    ),
    (["serve"], "--study is missing"),
    (["serve", "--study=nowhere"], "nowhere: no study.json there"),
    (["serve", "--study={study}", "--port=0", "--host=256.1.2.3"], "cannot listen there"),
    (["analyze", "--study={study}", "--answers=a.sqlite"], "a.sqlite: no such file; nobody has answered yet"),
    (["simulate", "--study={study}", "--questions=3"], "--questions: is given by the study"),
    (["simulate", "--studies=10", "--participants=0"], "expected whole numbers above 0"),
    (["simulate", "--studies=10", "--study={study}"], "--study: not read where --studies is more than 1"),
]


@pytest.mark.parametrize("arguments, sentence", WRONG, ids=range(len(WRONG)))
def test_what_a_user_does_wrong_is_one_line_and_leaves_nothing(tmp_path, export, tiny_data, built, arguments, sentence):
    places = {"tmp": tmp_path, "export": export, "data": tiny_data, "study": built}
    done = survey(*(argument.format(**places) for argument in arguments))
    lines = [line for line in done.stderr.splitlines() if line.startswith("survey.py: ")]
    assert done.returncode in (1, 2) and len(lines) == 1 and sentence in lines[0]
    assert "Traceback" not in done.stderr and os.listdir(tmp_path) == []


def test_a_value_out_of_bounds_is_refused():
    done = survey("simulate", "--studies=2", "--truth_rate=1.5")
    assert done.returncode == 1 and "truth_rate" in done.stderr and "Traceback" not in done.stderr


def test_the_port_of_another_server_is_one_clear_line(tmp_path):
    make_study(tmp_path / "study")
    with Server(tmp_path / "study") as server:
        done = survey("serve", f"--study={tmp_path / 'study'}", f"--port={server.port}")
    assert done.returncode == 1 and f"--port={server.port}: cannot listen there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_without_all_its_pictures_is_not_served(tmp_path):
    study = make_study(tmp_path / "study")
    name = study.questions[0].pictures[0].name
    os.remove(tmp_path / "study" / "pictures" / f"{name}.png")
    done = survey("serve", f"--study={tmp_path / 'study'}", "--port=0")
    assert done.returncode == 1 and f"1 pictures are missing, {name}.png" in done.stderr


def test_a_key_changed_after_the_first_answer_is_noticed(tmp_path, built):
    changed = tmp_path / "changed"
    shutil.copytree(built, changed)
    path = changed / "study.json"
    with Server(changed):
        pass  # the first start ties the answers to the study
    path.write_text(path.read_text().replace('"too_fast": 2.5', '"too_fast": 0.5'))
    for command in ("analyze", "serve"):
        done = survey(command, f"--study={changed}")
        assert done.returncode == 1 and "study.json was changed" in done.stderr


def test_the_answers_are_in_write_ahead_mode(tmp_path):
    make_study(tmp_path / "study")
    with Server(tmp_path / "study"):
        with sqlite3.connect(tmp_path / "study" / "answers.sqlite") as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.close()


def test_serving_loads_neither_tensorflow_nor_scipy():
    code = "import sys; from colorgan_tf.study import web, store, manifest; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "'flask'" in done.stdout and "'tensorflow'" not in done.stdout and "'scipy'" not in done.stdout


def test_without_its_requirements_it_says_what_to_install(tmp_path):
    (tmp_path / "waitress.py").write_text("raise ModuleNotFoundError('no', name='waitress')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, os.path.join(ROOT, "survey.py"), "serve", "--study=x"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 1 and "waitress is not installed; pip install -r requirements-survey.txt" in done.stderr
