"""80 people at once, 1,600 answers, and a server that is killed in the middle."""

import http.client
import os
import random
import re
import threading
import time
from urllib.parse import urlencode

import pytest

pytest.importorskip("flask", reason="needs requirements-survey.txt")
pytest.importorskip("waitress", reason="needs requirements-survey.txt")

from survey_helpers import Server, make_study

from colorgan_tf.study.store import ANSWERS_FILE, Store

PEOPLE, QUESTIONS = 80, 20
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Participant(threading.Thread):
    """Answers every question at random and notes what was acknowledged; waits out an outage and goes on."""

    def __init__(self, port, seed, outage):
        super().__init__(daemon=True)
        self.port, self.random, self.outage = port, random.Random(seed), outage
        self.acknowledged = {}  # page number -> marked names, for which the server's reply has arrived
        self.token, self.failure, self.waiting = None, None, False
        self.connection = None

    def request(self, method, path, body=None):
        """(status, body, Location), however often the server has to be asked."""
        while True:
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
                self.connection.request(method, path, body, FORM if body is not None else {})
                reply = self.connection.getresponse()
                return reply.status, reply.read().decode(), reply.headers.get("Location")
            except (OSError, http.client.HTTPException):
                self.connection = None
                self.waiting = True
                assert self.outage.wait(120), "the server did not come back"
                self.waiting = False

    def run(self):
        try:
            status, _, where = self.request("POST", "/start", "consent=yes")
            assert status == 303, status
            self.token = where.split("/")[2]
            for number in range(1, QUESTIONS + 1):
                path = f"/t/{self.token}/{number}"
                status, page, _ = self.request("GET", path)
                assert status == 200, status
                names = re.findall(r'name="poor" value="(\w+)"', page)
                marked = [name for name in names if self.random.random() < 0.35]
                body = urlencode([("poor", name) for name in marked] + [("go", "next")])
                status, _, where = self.request("POST", path, body)
                assert status == 303, (status, where)
                self.acknowledged[number] = sorted(marked)
        except BaseException as error:
            self.failure = error


def stored(path, study):
    """{(token, page number): marked names} as they lie on the disk, and the number of rows."""
    store = Store(path, study.digest())
    rows = store.answers()
    store.close()
    pages = {}
    for token, question, marked, seconds in rows:
        assert seconds >= 0
        number = [index for index, _ in study.order(token)].index(question) + 1
        pages[token, number] = marked
    return pages, len(rows)


def acknowledged(people):
    return {(p.token, number): marked for p in people for number, marked in dict(p.acknowledged).items()}


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


def test_a_killed_server_loses_no_acknowledged_answer_and_doubles_none(tmp_path):
    study = make_study(tmp_path / "study", QUESTIONS)
    answers = os.path.join(str(tmp_path / "study"), ANSWERS_FILE)
    server = Server(tmp_path / "study")
    back = threading.Event()
    people = [Participant(server.port, seed, back) for seed in range(PEOPLE)]
    try:
        for person in people:
            person.start()
        wait_until(lambda: len(acknowledged(people)) >= PEOPLE * QUESTIONS // 2, 300)
        server.kill()
        wait_until(lambda: all(p.waiting or not p.is_alive() for p in people), 60)
        before = acknowledged(people)
        on_disk, _ = stored(answers, study)
        assert PEOPLE * QUESTIONS // 2 <= len(before) < PEOPLE * QUESTIONS  # it was in the middle
        assert {key: on_disk.get(key) for key in before} == before
        # One reply a participant may have been on its way, no more.
        assert len(on_disk) - len(before) <= PEOPLE
        server = Server(tmp_path / "study", server.port)
        back.set()
        for person in people:
            person.join(300)
    finally:
        back.set()
        server.stop()
    assert [p.failure for p in people if p.failure] == []
    on_disk, rows = stored(answers, study)
    assert rows == len(on_disk) == PEOPLE * QUESTIONS == 1600
    assert on_disk == acknowledged(people)
    assert len({p.token for p in people}) == PEOPLE
