"""What the systems on a command line are called."""

import os
import re
from collections.abc import Collection


def named(values: list[str], flag: str, reserved: Collection[str] = ()) -> dict[str, str]:
    """{name: path} of NAME=PATH or PATH; a path alone is called by its last part that is not a version number.

    reserved: names the yardsticks have. ValueError in one line, with the flag, for what is neither, or called twice.
    """
    found = {}
    for value in values:
        name, _, path = value.partition("=") if "=" in value else ("", "", value)
        if not path:
            raise ValueError(f"--{flag}={value}: expected NAME=PATH or PATH")
        if not name:
            parts = os.path.normpath(path).split(os.sep)
            name = next((part for part in reversed(parts) if not part.isdecimal()), flag)
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
            raise ValueError(f"--{flag}={value}: the name {name!r} has other than letters, digits, '_', '.' and '-'")
        if name in reserved:
            raise ValueError(f"--{flag}={value}: {name} is the name of a yardstick; expected another name")
        if name in found:
            raise ValueError(f"--{flag}={value}: two systems are called {name}; expected NAME=PATH, all different")
        found[name] = path
    return found
