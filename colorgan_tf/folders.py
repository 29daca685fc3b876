"""Which photos a command means, and what their results are called."""

import dataclasses
import glob
import os
from collections import Counter, defaultdict

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


@dataclasses.dataclass
class Found:
    """What a command means."""

    jobs: list[Job]
    passed_over: Counter[str]  # other files in folders, and links to folders, by kind
    unreadable: list[str]  # folders, each with the reason


def collect(inputs: list[str], output: str) -> Found:
    """The photos that files, folders and wildcards name, in order, each once; and what folders hold besides.

    Folders are searched through, for files with a photo's extension, and their structure is kept below `output`; what
    lies in `output` itself is left alone, and so is what is hidden (a Mac's `._a.jpg` is no photo). Two photos that
    would share a name (a.jpg, a.png) keep their extension.
    ValueError, in one line, where an input names nothing, or `output`, or two results would still have one name.
    """
    found, others, unreadable = {}, {}, []  # source: path below output, with the extension
    inside = os.path.abspath(output) if os.path.isdir(output) else None
    for name in inputs:
        paths = [name] if os.path.exists(name) else sorted(glob.glob(name, recursive=True))
        if not paths:
            what = "nothing matches" if glob.has_magic(name) else "no such file or folder"
            raise ValueError(f"{name}: {what}")
        if os.path.abspath(name) == inside:
            raise ValueError(f"{name}: the output folder, whose pictures count as results; name another for the output")
        paths = [path for path in paths if os.path.abspath(path) != inside]
        photos = 0
        for path in paths:
            files = _walk(path, inside, unreadable) if os.path.isdir(path) else [(path, os.path.basename(path))]
            for source, relative in files:
                is_photo = source == path or (relative.lower().endswith(SUFFIXES) and os.path.isfile(source))
                (found if is_photo else others).setdefault(os.path.normpath(source), relative)
                photos += is_photo
        if not photos:
            raise ValueError(unreadable[0] if unreadable else f"{name}: no photos there; expected {' '.join(SUFFIXES)}")

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
    return Found(jobs, Counter(_kind(source) for source in others if source not in found), unreadable)


def _kind(path):
    if os.path.isdir(path):
        return "links to folders"
    return os.path.splitext(path)[1].lower() or "without extension"


def _walk(folder, inside, unreadable):
    """(path, path below `folder`) of every file and link to a folder in it that is not hidden, in order."""

    def refused(error):
        unreadable.append(f"{error.filename}: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=refused):
        seen = [name for name in folders if not name.startswith(".")]
        seen = [name for name in seen if os.path.abspath(os.path.join(parent, name)) != inside]
        links = [name for name in seen if os.path.islink(os.path.join(parent, name))]
        folders[:] = sorted(set(seen) - set(links))
        for name in sorted([*files, *links]):
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.exists(path):
                yield path, os.path.relpath(path, folder)
