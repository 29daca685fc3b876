"""Which photos a command means, and what their results are called."""

import dataclasses
import glob
import os
from collections import defaultdict

from .photos import SUFFIXES


@dataclasses.dataclass(frozen=True)
class Job:
    """One photo and where its results go."""

    source: str
    target: str  # path of the results without "-1.png"

    def results(self, n: int, suffix: str, sheet: bool) -> list[str]:
        """The files this photo gives, the contact sheet last."""
        files = [f"{self.target}-{i}{suffix}" for i in range(1, n + 1)]
        return [*files, f"{self.target}-sheet.png"] if sheet else files


def collect(inputs: list[str], output: str) -> list[Job]:
    """The photos that files, folders and wildcards name, in order, each once.

    Folders are searched through, for files with a photo's extension, and their structure is kept below `output`; what
    lies in `output` itself is left alone. Two photos that would share a name (a.jpg, a.png) keep their extension.
    ValueError, in one line, where an input names nothing, or `output`, or two results would still have one name.
    """
    found = {}  # source: path below output, with the extension
    inside = os.path.abspath(output) if os.path.isdir(output) else None
    for name in inputs:
        paths = [name] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))
        if not paths:
            what = "nothing matches" if glob.has_magic(name) else "no such file or folder"
            raise ValueError(f"{name}: {what}")
        if os.path.abspath(name) == inside:
            raise ValueError(f"{name}: the output folder, whose pictures count as results; name another for the output")
        paths = [path for path in paths if os.path.abspath(path) != inside]
        photos = [pair for path in paths for pair in (_walk(path, inside) if os.path.isdir(path) else _single(path))]
        if not photos:
            raise ValueError(f"{name}: no photos there; expected {' '.join(SUFFIXES)}")
        for source, relative in photos:
            found.setdefault(os.path.normpath(source), relative)

    stems = defaultdict(list)
    for relative in found.values():
        stems[os.path.splitext(relative)[0]].append(relative)
    jobs, taken = [], {}
    for source, relative in found.items():
        stem = os.path.splitext(relative)[0]
        target = os.path.join(output, relative if len(stems[stem]) > 1 else stem)
        if target in taken:
            raise ValueError(f"{taken[target]} and {source} would both become {target}-1; give them separately")
        taken[target] = source
        jobs.append(Job(source, target))
    return jobs


def _single(path):
    return [(path, os.path.basename(path))]


def _walk(folder, inside):
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if os.path.abspath(os.path.join(parent, name)) != inside)
        for name in sorted(files):
            path = os.path.join(parent, name)
            if name.lower().endswith(SUFFIXES) and os.path.isfile(path):
                yield path, os.path.relpath(path, folder)
