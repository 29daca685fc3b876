"""What counts as a training gone wrong, and what does not."""

import math
import types

import pytest

from colorgan_tf.guards import Guard

HEALTHY = {"d_loss": 1.2, "g_loss": 0.9, "d_grad_norm": 0.5, "d_real": 0.6, "d_fake": 0.4}


def watch(objective, logs, patience=5, samples=(), vivid=0.0) -> Guard:
    """A guard that has seen these logs, one an iteration, and these diversities of samples."""
    monitor = types.SimpleNamespace(figures=None)
    guard = Guard(objective, monitor, patience=patience, vivid=vivid)
    guard.step = 0
    samples = iter(samples)
    for values in logs:
        guard.step += 1
        diversity = next(samples, None)
        if diversity is not None:
            monitor.figures = guard.step, {"diversity": diversity}
        guard.on_step(values)
        if guard.failure:
            break
    return guard


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["d_loss", "g_loss"])
def test_a_loss_that_is_not_finite_fails_at_once(name, bad):
    guard = watch("gan", [HEALTHY, HEALTHY | {name: bad}])
    assert guard.failure == f"step 2: {name} is not finite"


@pytest.mark.parametrize(
    "objective, change, words",
    [
        ("gan", {"g_loss": -80.0}, "g_loss is -80, beyond 50"),
        ("gan_non_saturating", {"d_loss": 1e-6}, "the discriminator is always right"),
        ("gan", {"d_grad_norm": 0.0}, "the discriminator has no gradient any more"),
        ("wgan", {"d_loss": -1e7}, "d_loss is -1e+07, beyond 1e+06"),
        ("regression", {"g_loss": 51.0}, "g_loss is 51, beyond 50"),
    ],
)
def test_other_ailments_fail_when_they_last(objective, change, words):
    sick = HEALTHY | change
    guard = watch(objective, [HEALTHY] + [sick] * 5)
    assert guard.failure.startswith(f"step 6: {words}")
    guard = watch(objective, ([sick] * 4 + [HEALTHY]) * 5)  # it recovers every time
    assert guard.failure is None and not guard.suspicious
    assert watch(objective, [HEALTHY, sick]).suspicious  # no checkpoint now


def test_what_is_normal_is_left_alone():
    assert watch("gan", [HEALTHY] * 20).failure is None
    assert watch("wgan", [HEALTHY | {"d_loss": 1e-6}] * 20).failure is None  # a critic may see no difference
    assert watch("wgan_gp", [HEALTHY | {"d_loss": -300.0}] * 20).failure is None
    assert watch("gan", [HEALTHY | {"d_grad_norm": math.inf}] * 20).failure is None  # an overflow in float16 is skipped
    assert watch("regression", [{"g_loss": 1e-9}] * 20).failure is None  # it has no discriminator


def test_diversity_that_is_gone_fails_at_the_second_sample():
    assert "have become the same" in watch("gan", [HEALTHY] * 9, samples=[8.0, 9.0, 0.01, 0.01]).failure
    assert "have become the same" in watch("gan", [HEALTHY] * 9, samples=[0.01, 0.01], vivid=9.0).failure
    assert "have become the same" in watch("gan", [HEALTHY] * 9, samples=[8.0, math.nan, math.nan]).failure
    assert watch("gan", [HEALTHY] * 9, samples=[8.0, 0.01, 7.0, 0.01, 8.0]).failure is None
    assert watch("gan", [HEALTHY] * 9, samples=[0.01] * 9).failure is None  # it has not begun to paint yet
    assert watch("regression", [HEALTHY] * 9, samples=[8.0, 0.0, 0.0, 0.0]).failure is None
