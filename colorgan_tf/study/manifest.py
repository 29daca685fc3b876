"""`study.json`: what a study asks, which picture is what, and what its analysis has promised beforehand.

The file is the key to the study and is never served. What a participant sees is drawn from its secret and the
participant's token, so that nothing about the order has to be stored and nobody else can draw it again.
"""

import dataclasses
import hashlib
import hmac
import json
import os

STUDY_FILE = "study.json"
TRUTH = "truth"
VERSION = 1


@dataclasses.dataclass(frozen=True)
class Declared:
    """What the analysis will do, fixed before the first answer."""

    too_fast: float  # a participant whose median answer took fewer seconds is left out
    exclude_always_none: bool  # so is one who never marked any picture
    margin: float  # truth and generated count as equal if their shares differ by less than this


@dataclasses.dataclass(frozen=True)
class System:
    """One model of the study."""

    name: str
    path: str
    checksum: str  # SHA-256 over the export
    step: int | None
    run: str | None


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture: its file's name without suffix, and `truth` or the name of the system that coloured it."""

    name: str
    system: str


@dataclasses.dataclass(frozen=True)
class Question:
    """The photo's key in its data set, and its pictures: the truth first, then the systems in their order."""

    key: str
    pictures: tuple[Picture, ...]


@dataclasses.dataclass(frozen=True)
class Study:
    """`study.json`."""

    seed: int
    image_size: int  # pixels, square
    data: str  # name of the data set
    split: str
    secret: str  # hex; the orders are drawn from it
    declared: Declared
    systems: tuple[System, ...]
    questions: tuple[Question, ...]
    version: int = VERSION

    @property
    def picture_names(self) -> set[str]:
        """Every picture that may be served."""
        return {picture.name for question in self.questions for picture in question.pictures}

    def order(self, token: str) -> list[tuple[int, list[str]]]:
        """What the participant sees: for each page the index of its question and the names of its pictures in order."""

        def shuffled(items):
            def rank(item):
                return hmac.digest(bytes.fromhex(self.secret), f"{token} {item}".encode(), hashlib.sha256)

            return sorted(items, key=rank)

        return [
            (index, shuffled([picture.name for picture in self.questions[index].pictures]))
            for index in shuffled(range(len(self.questions)))
        ]

    def write(self, directory: str) -> None:
        """Writes `directory`/study.json, readable by its owner only."""
        descriptor = os.open(os.path.join(directory, STUDY_FILE), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)
            file.write("\n")

    def digest(self) -> str:
        """SHA-256 (hex) over the whole content: the answers of one study are never read with another's key."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def read(cls, directory: str) -> "Study":
        """Reads `directory`/study.json; ValueError in one line where it is missing or not what `write` writes."""
        path = os.path.join(directory, STUDY_FILE)
        try:
            with open(path, encoding="utf-8") as file:
                fields = json.load(file)
            fields["declared"] = Declared(**fields["declared"])
            fields["systems"] = tuple(System(**system) for system in fields["systems"])
            fields["questions"] = tuple(
                Question(question["key"], tuple(Picture(**picture) for picture in question["pictures"]))
                for question in fields["questions"]
            )
            study = cls(**fields)
        except FileNotFoundError:
            raise ValueError(
                f"{directory}: no {STUDY_FILE} there; expected a directory written by `python survey.py build`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a study ({error})") from None
        if study.version != VERSION:
            raise ValueError(f"{path}: version {study.version!r}; this program reads version {VERSION}")
        return study
