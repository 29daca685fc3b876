"""`make paper-mini`: verdicts and table against values made by hand; a tiny run, stopped, gone on with, refused."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import write_dataset

from miniature import page, plan, training
from miniature.plan import Claim

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def results(**systems):
    """One dict a seed from name=[value a seed] of the figure "diversity"."""
    seeds = len(next(iter(systems.values())))
    return [{name: {"diversity": values[i]} for name, values in systems.items()} for i in range(seeds)]


@pytest.mark.parametrize(
    ("sign", "a", "b", "text", "shown"),
    [
        (1, [3, 4, 5], [0, 1, 2.9], "shown", True),
        (1, [3, 4, 5], [0, 1, 3.1], "not told apart", False),
        (1, [0, 1, 2], [3, 4, 5], "the opposite", False),
        (-1, [0, 1, 2], [3, 4, 5], "shown", True),
        (-1, [3, 4, 5], [0, 1, 2], "the opposite", False),
        (1, [2, 2, 2], [2, 2, 2], "not told apart", False),
    ],
)
def test_verdict_needs_every_seed(sign, a, b, text, shown):
    claim = Claim("Fig. 0", "says", "a", "b", "diversity", sign, "")
    found = page.verdict(claim, results(a=a, b=b))
    assert found.shown == shown and text in found.text


def test_no_verdict_on_what_was_not_measured():
    claim = Claim("Fig. 0", "says", "a", "b", "diversity", 1, "")
    assert page.verdict(claim, results(a=[1, 2])) is None
    assert page.verdict(claim, results(a=[1, 2], b=[1, None])) is None


def test_figures_are_means_and_sample_deviations():
    assert page.show(np.array([1.0, 2.0, 3.0]), "diversity") == "2.0 ± 1.0"
    assert page.show(np.array([0.5, 0.7]), "within_share") == "60 % ± 14"
    assert page.show(np.array([0.01, 0.01]), "luminance_drift") == "2.55"
    assert page.show(None, "diversity") == "–"


def test_every_claim_is_about_systems_and_figures_there_are():
    for claim in plan.CLAIMS:
        assert {claim.better, claim.worse} <= set(plan.NAMES)
        assert claim.figure in page.FIGURES and claim.sign in (1, -1)


def test_every_ablation_is_among_the_systems():
    flagfiles = {f"configs/ablations/{name}" for name in os.listdir(os.path.join(ROOT, "configs/ablations"))}
    assert flagfiles == {variant.flagfile for variant in plan.VARIANTS} - {"configs/paper.flags"}


def arguments(data, folder):
    return [
        *(sys.executable, "paper_mini.py", f"--work={folder / 'work'}", f"--page={folder / 'page.md'}"),
        *(f"--data={data}", "--steps=2", "--seeds=2", "--k=4", "--rooms=8", "--train_flagfiles=configs/tiny.flags"),
        *("--variants=colorgan", "--variants=fig7_single_layer_noise"),
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a tiny miniature that was terminated in its first run and gone on with, and both outputs."""
    folder = tmp_path_factory.mktemp("mini")
    data = write_dataset(folder / "data", counts={"train": 40, "val": 8})
    first = subprocess.Popen(
        arguments(data, folder), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "[1/4] colorgan, seed 0" in first.stdout.readline()
    time.sleep(0.5)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=120)
    again = subprocess.run(arguments(data, folder), cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert again.returncode == 0, again.stderr
    return folder, data, first.returncode, again.stdout


def test_page_has_the_figures_and_pictures(made):
    folder, _, _, _ = made
    text = (folder / "page.md").read_text()
    assert "multi-layer and single-layer noise" in text and (folder / "page" / "fig7.png").is_file()
    assert "Noise before three convs gives more diversity than before one" in text
    assert "RGB + L1" not in text  # nothing of systems that were not asked for
    assert not (folder / "page" / "fig6.png").exists()


def test_it_says_that_it_was_stopped_and_repeats_no_finished_run(made):
    folder, data, status, _ = made
    assert status == 75
    once_more = subprocess.run(arguments(data, folder), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert once_more.returncode == 0, once_more.stderr
    assert "4 of 4 runs are finished already" in once_more.stdout
    assert "[1/" not in once_more.stdout and "measuring" not in once_more.stdout


def test_other_settings_are_refused(made):
    folder, data, _, _ = made
    before = (folder / "page.md").read_text()
    done = subprocess.run([*arguments(data, folder), "--steps=3"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "begun with --steps=2, now it is 3" in done.stderr
    assert (folder / "page.md").read_text() == before


def test_a_failed_run_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="complains so"):
        training.run([sys.executable, "-c", "import sys; sys.exit('complains so')"], str(tmp_path / "log"))
