"""Notices a training that has gone wrong beyond recovery."""

import math

from colorgan_tf.monitoring import GANMonitor, StepCallback

LOSS_LIMITS = {"gan": 50.0, "gan_non_saturating": 50.0, "regression": 50.0}  # logits of 50 are certainty in float32
_CRITIC_LIMIT = 1e6  # a critic's scale is its own; this only catches explosions
_CERTAIN = 1e-4  # d_loss below it: D is right about every picture and teaches G nothing
_NO_GRADIENT = 1e-8
_VIVID = 1.0  # samples once were as different as this (chroma of 0-255) ...
_LEFT = 0.01  # ... and now are different by less than this share of it


class Guard(StepCallback):
    """Looks at the losses after every iteration and at the samples whenever there are new ones.

    `failure` says in words what is wrong once it is beyond doubt:
    a loss that is not finite, at once; a loss beyond its limit, a discriminator without gradient or one that is always
    certain, when it has been so for `patience` iterations on end; colourings that have become all the same, when it is
    so in two samples on end. `suspicious` says that one of these is under way.
    """

    def __init__(self, objective: str, monitor: GANMonitor | None = None, patience: int = 100, vivid: float = 0.0):
        """objective: a name of `losses.OBJECTIVES`. vivid: the highest diversity of the samples up to now."""
        super().__init__()
        self.objective = objective
        self.monitor, self.patience, self.vivid = monitor, patience, vivid
        self.failure = None
        self._sick, self._alike, self._seen = 0, 0, None

    @property
    def suspicious(self) -> bool:
        return bool(self.failure or self._sick or self._alike)

    def on_step(self, logs):
        ailment = self._ailment(logs)
        self._sick = self._sick + 1 if ailment else 0
        if self._sick and (self._sick >= self.patience or "finite" in ailment):
            self.failure = f"step {self.step}: {ailment}"
        if self.monitor and self.monitor.figures and self.monitor.figures[0] != self._seen:
            self._seen, figures = self.monitor.figures
            self._look_at_samples(figures["diversity"])

    def _ailment(self, logs) -> str | None:
        losses = {name: float(logs[name]) for name in ("d_loss", "g_loss") if name in logs}
        limit = LOSS_LIMITS.get(self.objective, _CRITIC_LIMIT)
        for name, value in losses.items():
            if not math.isfinite(value):
                return f"{name} is not finite"
            if abs(value) > limit:
                return f"{name} is {value:.3g}, beyond {limit:g}"
        if self.objective.startswith("gan") and losses["d_loss"] < _CERTAIN:
            return f"the discriminator is always right (d_loss {losses['d_loss']:.1g}) and teaches nothing"
        if "d_grad_norm" in logs and float(logs["d_grad_norm"]) < _NO_GRADIENT:
            return "the discriminator has no gradient any more"
        return None

    def _look_at_samples(self, diversity: float):
        if self.objective == "regression":
            return  # it has no reason to paint one photo in two ways
        self.vivid = max(self.vivid, diversity)
        alike = self.vivid >= _VIVID and not diversity > _LEFT * self.vivid
        self._alike = self._alike + 1 if alike else 0
        if self._alike >= 2:
            self.failure = (
                f"step {self.step}: all colourings of a photo have become the same (diversity {diversity:.2g})"
            )
