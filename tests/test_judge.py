"""The judge of drawn rooms: its distance against closed forms and scipy, its yardsticks, its table, bad input."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
from standin import write_export

from data import judging
from data.laws import LAWS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def rice_mean(offset, sigma):
    """E|N(offset, sigma^2 I)| in the plane: sigma sqrt(pi/2) L_1/2(-offset^2 / 2 sigma^2)."""
    x = offset**2 / (2 * sigma**2)
    laguerre = np.exp(-x / 2) * ((1 + x) * scipy.special.i0(x / 2) + x * scipy.special.i1(x / 2))
    return sigma * np.sqrt(np.pi / 2) * laguerre


def test_energy_distance_on_a_line_is_scipys():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=700), rng.exponential(size=900)

    def flat(values):  # on a line that is not an axis
        return np.outer(values, [0.6, 0.8])

    assert judging.energy_distance(flat(x), judging.Sample.of(flat(y))) == pytest.approx(
        scipy.stats.energy_distance(x, y) ** 2, rel=1e-9
    )


@pytest.mark.parametrize(("offset", "sigma"), [(0.0, 3.0), (2.5, 1.0)])
def test_energy_distance_of_gaussians_is_the_closed_form(offset, sigma):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 2))
    y = sigma * rng.normal(size=(4000, 2)) + [offset, 0.0]
    exact = 2 * rice_mean(offset, np.hypot(1, sigma)) - rice_mean(0, np.sqrt(2)) - rice_mean(0, sigma * np.sqrt(2))
    assert judging.energy_distance(x, judging.Sample.of(y)) == pytest.approx(exact, rel=0.06)


def test_conditional_distance_is_unbiased_with_few_draws_and_sees_what_pooling_hides():
    rng = np.random.default_rng(2)
    law = judging.Sample.of(rng.normal(size=(2000, 2)))
    right = [rng.normal(size=(3, 2)) for _ in range(3000)]
    by_photo = [np.repeat(rng.normal(size=(1, 2)), 3, axis=0) for _ in range(3000)]  # noise is ignored
    assert judging.conditional_energy_distance(right, law) == pytest.approx(0.0, abs=0.03)
    assert judging.energy_distance(np.concatenate(by_photo), law) < 0.02
    # E over photos of (2 E|x - Y| - 0 - E|Y - Y'|) = E|Y - Y'|.
    assert judging.conditional_energy_distance(by_photo, law) == pytest.approx(rice_mean(0, np.sqrt(2)), rel=0.03)


@pytest.fixture(scope="module")
def rooms():
    return judging.draw_rooms(60, 32, seed=0)


@pytest.fixture(scope="module")
def laws():
    return judging.references(0)


def test_the_law_itself_is_at_the_floor_and_the_mean_is_not(rooms, laws):
    law = judging.judge(judging.observe(rooms, judging.law_painter(8, seed=0)), laws)
    mean = judging.judge(judging.observe(rooms, judging.mean_painter(8)), laws)
    assert law["distance"] < 0.3 and abs(law["distance_given_photo"]) < 0.3
    assert law["within_share"] == pytest.approx(0.0, abs=1e-9) and law["luminance_drift"] < 1e-9
    assert law["spread"] == pytest.approx(law["law_spread"], rel=0.05)
    assert mean["spread"] == pytest.approx(0.0, abs=1e-9)
    for kind, entry in mean["kinds"].items():
        np.testing.assert_allclose(entry["mean"], 255.0 * LAWS[kind].mean(), atol=1e-9)
        # Between a point m and Q: 2 E|m - Y| - E|Y - Y'|.
        point, sample = 255.0 * LAWS[kind].mean(), laws[kind].points
        expected = 2 * np.hypot(*(sample - point).T).mean() - scipy.spatial.distance.pdist(sample).mean() * 2047 / 2048
        assert entry["distance"] == pytest.approx(expected, rel=1e-9)


def test_rooms_truth_is_a_draw_from_the_laws(rooms, laws):
    """The rooms' own pixels, one colouring each: masks, chroma and laws fit together."""

    def paint(part, batch):
        from colorgan_tf.color import rgb_to_yuv

        return rgb_to_yuv(batch.rgb[:, None])[1], batch.rgb[:, None]

    seen = judging.observe(rooms, paint)
    truth = judging.judge(seen, laws)
    assert truth["spread"] is None and truth["distance_given_photo"] is None
    assert truth["within_share"] < 0.01  # 8 bits
    mean = judging.judge(judging.observe(rooms, judging.mean_painter(2)), laws)
    assert truth["distance"] < 0.1 * mean["distance"]
    assert truth["luminance_drift"] < 1e-6


def test_blotches_and_drift_are_seen(rooms, laws):
    rng = np.random.default_rng(3)

    def paint(part, batch):
        chroma = rng.normal(scale=0.05, size=(len(part), 4, *batch.rgb.shape[1:3], 2))
        return chroma, np.clip(batch.rgb[:, None] + 0.1, 0, 1)

    found = judging.judge(judging.observe(rooms, paint), laws)
    assert found["within_share"] > 0.9
    assert found["luminance_drift"] == pytest.approx(0.1, abs=1e-6)


def run_judge(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "data.judge", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def test_program_judges_an_export_and_writes_its_table(tmp_path):
    write_export(str(tmp_path / "exports" / "1"), image_size=32, any_size=False)
    output = tmp_path / "judged"
    done = run_judge(f"--model=ours={tmp_path}/exports", "--rooms=12", "--k=4", f"--output={output}")
    assert done.returncode == 0, done.stderr
    assert (output / "judge.md").read_text() in done.stdout
    systems = json.loads((output / "judge.json").read_text())["systems"]
    assert set(systems) == {"the law itself", "the law's mean", "untrained", "ours"}
    # The stand-in's chroma is 0.2 z0 + 0.2 z2 sin(6 y) in U: far wider than any law.
    assert systems["ours"]["spread"] > 2 * systems["ours"]["law_spread"]
    assert systems["the law itself"]["distance"] < systems["ours"]["distance"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--model is missing"),
        (["--model=nowhere"], "nowhere"),
        (["--model=a=x", "--model=a=y"], "two systems are called a"),
        (["--model=untrained=x"], "name of a yardstick"),
        (["--model=x", "stray"], "unexpected argument stray"),
    ],
)
def test_bad_input_is_one_line(arguments, says):
    done = run_judge(*arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("data.judge: ")]
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(lines) == 1 and says in lines[0]
