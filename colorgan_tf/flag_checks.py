"""What absl's flags do not check by themselves."""

import math

from absl import flags


def require_finite(*names: str) -> None:
    """The float flags of these names refuse nan and inf, which lie between any two bounds."""
    for name in names:
        flags.register_validator(name, lambda value: value is None or math.isfinite(value), "expected a finite number")
