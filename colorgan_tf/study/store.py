"""The answers: one SQLite file in write-ahead mode, in which every answer is on disk before it is acknowledged."""

import contextlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator

ANSWERS_FILE = "answers.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS participants (token TEXT PRIMARY KEY, started REAL NOT NULL);
-- A question that was put before a participant: since when it is open, and for how long it was before.
CREATE TABLE IF NOT EXISTS pages (
    token TEXT NOT NULL REFERENCES participants (token), question INTEGER NOT NULL,
    since REAL, spent REAL NOT NULL DEFAULT 0, draft TEXT NOT NULL DEFAULT '[]', PRIMARY KEY (token, question));
-- One row an answer: the names of the marked pictures (JSON), the seconds it took, how often it was changed.
CREATE TABLE IF NOT EXISTS answers (
    token TEXT NOT NULL, question INTEGER NOT NULL, marked TEXT NOT NULL,
    seconds REAL NOT NULL, answered REAL NOT NULL, changes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (token, question), FOREIGN KEY (token, question) REFERENCES pages (token, question));
"""


class NotShown(Exception):
    """An answer to a question that was never put before this participant."""


class StudyFull(Exception):
    """No more participants are taken."""


class Store:
    """Answers in the file `path`; usable from any number of threads, each with a connection of its own.

    `study_digest` ties the file to one study: ValueError if it holds answers to another one, or is no such file.
    Times are seconds since 1970.
    """

    def __init__(self, path: str, study_digest: str, create: bool = True):
        if not create and not os.path.exists(path):
            raise ValueError(f"{path}: no such file; nobody has answered yet")
        self.path = path
        self._local = threading.local()
        try:
            with self._writing() as db:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute("INSERT OR IGNORE INTO meta VALUES ('study', ?)", (study_digest,))
                (found,) = db.execute("SELECT value FROM meta WHERE key = 'study'").fetchone()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path}: not a file of answers ({error})") from None
        if found != study_digest:
            raise ValueError(f"{path}: holds answers to another study, or study.json was changed since the first one")

    def _connection(self) -> sqlite3.Connection:
        db = getattr(self._local, "db", None)
        if db is None:
            db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # an acknowledged answer outlives a power cut, too
            db.execute("PRAGMA foreign_keys = ON")
            self._local.db = db
        return db

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Closes this thread's connection."""
        if getattr(self._local, "db", None) is not None:
            self._local.db.close()
            self._local.db = None

    def add_participant(self, now: float, limit: int) -> str:
        """A new participant's token; StudyFull if there are `limit` already."""
        token = secrets.token_urlsafe(16)
        with self._writing() as db:
            if db.execute("SELECT count(*) FROM participants").fetchone()[0] >= limit:
                raise StudyFull
            db.execute("INSERT INTO participants VALUES (?, ?)", (token, now))
        return token

    def knows(self, token: str) -> bool:
        """Whether the token was given to a participant."""
        found = self._connection().execute("SELECT 1 FROM participants WHERE token = ?", (token,))
        return found.fetchone() is not None

    def answered(self, token: str) -> set[int]:
        """The questions this participant has answered."""
        return {row[0] for row in self._connection().execute("SELECT question FROM answers WHERE token = ?", (token,))}

    def open_page(self, token: str, question: int, now: float) -> set[str]:
        """Notes that the question is before the participant; returns what they have marked so far.

        A page that is open already keeps its time: reading it again is part of answering it.
        """
        with self._writing() as db:
            db.execute(
                "INSERT INTO pages (token, question, since) VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET since = coalesce(since, excluded.since)",
                (token, question, now),
            )
            row = db.execute("SELECT draft FROM pages WHERE token = ? AND question = ?", (token, question)).fetchone()
        return set(json.loads(row[0]))

    def save(self, token: str, question: int, marked: Iterable[str], now: float, confirm: bool) -> None:
        """Keeps what is marked on a page that was shown; NotShown otherwise.

        With `confirm` it is the answer. Without (the participant went back instead of on) it is kept as a draft, which
        does not count, unless the question has an answer already: then that answer is changed.
        """
        text = json.dumps(sorted(marked))
        with self._writing() as db:
            key = (token, question)
            page = db.execute("SELECT since, spent FROM pages WHERE token = ? AND question = ?", key).fetchone()
            if page is None:
                raise NotShown
            since, spent = page
            spent += max(0.0, now - since) if since is not None else 0.0
            db.execute(
                "UPDATE pages SET since = NULL, spent = ?, draft = ? WHERE token = ? AND question = ?",
                (spent, text, *key),
            )
            old = db.execute("SELECT marked FROM answers WHERE token = ? AND question = ?", key).fetchone()
            if old is None and confirm:
                db.execute(
                    "INSERT INTO answers (token, question, marked, seconds, answered) VALUES (?, ?, ?, ?, ?)",
                    (*key, text, spent, now),
                )
            elif old is not None:
                db.execute(
                    "UPDATE answers SET marked = ?, seconds = ?, answered = ?, changes = changes + ? "
                    "WHERE token = ? AND question = ?",
                    (text, spent, now, int(old[0] != text), *key),
                )

    def add_answers(self, rows: Iterable[tuple[str, int, Iterable[str], float]], now: float) -> None:
        """Adds (token, question, marked, seconds) of participants that no page has seen, in one transaction."""
        with self._writing() as db:
            for token, question, marked, seconds in rows:
                text = json.dumps(sorted(marked))
                db.execute("INSERT OR IGNORE INTO participants VALUES (?, ?)", (token, now))
                db.execute("INSERT INTO pages VALUES (?, ?, NULL, ?, ?)", (token, question, seconds, text))
                db.execute(
                    "INSERT INTO answers (token, question, marked, seconds, answered) VALUES (?, ?, ?, ?, ?)",
                    (token, question, text, seconds, now),
                )

    def participants(self) -> list[str]:
        """Every token, in the order of arrival."""
        return [row[0] for row in self._connection().execute("SELECT token FROM participants ORDER BY started, token")]

    def answers(self) -> list[tuple[str, int, list[str], float]]:
        """Every answer: (token, question, names of the marked pictures, seconds)."""
        rows = self._connection().execute(
            "SELECT token, question, marked, seconds FROM answers ORDER BY token, question"
        )
        return [(token, question, json.loads(marked), seconds) for token, question, marked, seconds in rows]
