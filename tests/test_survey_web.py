"""The pages: what they give away (nothing) and what they refuse (all that was not asked)."""

import http.client
import os
import re
import socket
import sqlite3
import time
from collections import Counter

import pytest

pytest.importorskip("flask", reason="needs requirements-survey.txt")

from scipy import stats
from survey_helpers import Server, make_study

from colorgan_tf.study import web
from colorgan_tf.study.store import ANSWERS_FILE, NotShown, Store

QUESTIONS = 6


@pytest.fixture
def site(tmp_path):
    """(study, store, Flask's client, what lies in the database as text)."""
    directory = str(tmp_path / "study")
    study = make_study(directory, QUESTIONS)
    path = os.path.join(directory, ANSWERS_FILE)
    store = Store(path, study.digest())
    client = web.create_app(study, directory, store, max_participants=500).test_client()

    def dump():
        with sqlite3.connect(path) as db:
            return list(db.iterdump())

    yield study, store, client, dump
    store.close()


def begin(client):
    reply = client.post("/start", data={"consent": "yes"})
    assert reply.status_code == 303
    return reply.headers["Location"].split("/")[2]


def names_on(page):
    return re.findall(r'name="poor" value="(\w+)"', page.text)


def test_the_page_gives_nothing_away(site):
    study, _, client, _ = site
    truths = {question.pictures[0].name for question in study.questions}
    places, skeletons, headers = Counter(), set(), set()
    for _ in range(60):
        token = begin(client)
        for number in range(1, QUESTIONS + 1):
            page = client.get(f"/t/{token}/{number}")
            names = names_on(page)
            assert len(set(names)) == 5 and len(truths & set(names)) == 1
            places[[name in truths for name in names].index(True)] += 1
            # Without names, token and numbers all pages are one and the same text.
            text = page.text.replace(token, "TOKEN")
            for name in names:
                text = text.replace(name, "NAME")
            text = text.replace("Finish", "Next")
            text = re.sub(r'<button type="submit" name="go" value="back">Back</button>', "", text)
            skeletons.add(re.sub(r"\s+", " ", re.sub(r"\d+", "#", text)))
            assert not re.search("truth|fake|system|photo-", page.text)
            client.post(f"/t/{token}/{number}", data={"go": "next"})
    assert len(skeletons) == 1
    assert stats.chisquare([places[i] for i in range(5)]).pvalue > 1e-6
    for name in study.picture_names:
        reply = client.get(f"/picture/{name}.png")
        headers.add(tuple(sorted((key, value) for key, value in reply.headers if key != "Date")))
    assert len(headers) == 1  # length, type, caching: the same for all, and no file date
    assert "Last-Modified" not in dict(headers.pop())


def test_answers_are_kept_as_sent_and_only_as_often_as_confirmed(site):
    study, store, client, _ = site
    token = begin(client)
    order = study.order(token)
    names = names_on(client.get(f"/t/{token}/1"))
    client.post(f"/t/{token}/1", data={"poor": [names[0], names[3]], "go": "next"})
    names2 = names_on(client.get(f"/t/{token}/2"))
    client.post(f"/t/{token}/2", data={"poor": [names2[1]], "go": "back"})  # only a draft so far
    assert [(t, q, m) for t, q, m, _ in store.answers()] == [(token, order[0][0], sorted([names[0], names[3]]))]
    assert client.get(f"/t/{token}/2").text.count(" checked") == 1
    client.post(f"/t/{token}/1", data={"poor": [names[4]], "go": "next"})
    client.post(f"/t/{token}/2", data={"go": "next"})
    found = {q: m for _, q, m, _ in store.answers()}
    assert found == {order[0][0]: [names[4]], order[1][0]: []}  # marking none is an answer


def test_time_taken_counts_every_visit_and_survives_a_reload(site):
    study, store, _, _ = site
    token = store.add_participant(1000.0, 10)
    assert store.open_page(token, 3, 1000.0) == set()
    store.open_page(token, 3, 1007.0)  # reloaded: the clock goes on
    store.save(token, 3, ["a"], 1010.0, confirm=False)
    store.open_page(token, 3, 1100.0)
    store.save(token, 3, ["a", "b"], 1105.0, confirm=True)
    assert store.answers() == [(token, 3, ["a", "b"], 15.0)]
    store.open_page(token, 3, 1200.0)
    store.save(token, 3, ["c"], 1202.0, confirm=False)  # an answer that was given is changed by going back, too
    assert store.answers() == [(token, 3, ["c"], 17.0)]
    with pytest.raises(NotShown):
        store.save(token, 4, [], 1203.0, confirm=True)


HOSTILE = [
    "' OR 1=1 --",
    "'; DROP TABLE answers; --",
    '"><script>alert(1)</script>',
    "{{ 7 * 7 }}",
    "../study.json",
    "..%2f..%2fstudy.json",
    "%00",
    "\u202e\ud7ff😀",
    "A" * 3000,
    "",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_in_every_field_is_refused_and_not_stored(site, text):
    study, _, client, dump = site
    token = begin(client)
    names = names_on(client.get(f"/t/{token}/1"))
    before = dump()
    other = next(p.name for q in study.questions for p in q.pictures if p.name not in names)
    page = f"/t/{token}/1"
    refused = [
        client.post(page, data={"poor": text, "go": "next"}),
        client.post(page, data={"poor": [names[0], text], "go": "next"}),
        client.post(page, data={"poor": names[0], "go": text}),
        client.post(page, data={"poor": names[0]}),
        client.post(page, data={"poor": names[0], "go": ["next", text]}),
        client.post(page, data={"poor": other, "go": "next"}),  # a picture of another question
        client.post(page, data={"poor": [names[0], names[0]], "go": "next"}),
        client.post(page, data={"go": "next", text or "x": "1"}),
        client.post(page, data=text.encode("utf-8", "replace"), content_type="application/json"),
        client.post(page, data=text.encode("utf-8", "replace"), content_type="multipart/form-data"),
        client.post("/start", data={"consent": text}),
        client.post("/start", data={"consent": "yes", text or "x": "1"}),
        client.get(f"/picture/{text}"),
        client.get(f"/picture/{text}.png"),
    ]
    if text and not text.startswith(".."):
        refused += [
            client.get(f"/t/{text}/1"),
            client.post(f"/t/{text}/1", data={"go": "next"}),
            client.get(f"/t/{token}/{text}"),
            client.post(f"/t/{token}/{text}", data={"go": "next"}),
            client.get(f"/t/{text}/thanks"),
        ]
    for reply in refused:
        assert reply.status_code in (400, 404, 405), (reply.request.path, reply.status_code)
        assert "That did not work" in reply.text or "Please tick the box first" in reply.text
        assert "<script" not in reply.text and "Traceback" not in reply.text and "49" not in reply.text
    assert dump() == before
    assert client.post(page, data={"poor": names[0], "go": "next"}).status_code == 303  # and it still works


def test_forged_tokens_and_questions_that_were_not_shown(site):
    study, store, client, dump = site
    token = begin(client)
    client.get(f"/t/{token}/1")
    before = dump()
    for forged in (
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        "A" * 22,
        token.swapcase(),
        token + "A",
        token[:-1],
    ):
        for reply in (
            client.get(f"/t/{forged}"),
            client.get(f"/t/{forged}/1"),
            client.post(f"/t/{forged}/1", data={"go": "next"}),
            client.get(f"/t/{forged}/thanks"),
        ):
            assert reply.status_code == 404 and "no such page" in reply.text
    for number in (2, 6):
        names = study.order(token)[number - 1][1]
        reply = client.post(f"/t/{token}/{number}", data={"poor": names[0], "go": "next"})
        assert reply.status_code == 409 and "not shown to you yet" in reply.text
    for number in ("0", "7", "-1", "99999999999999999999999", "1.5", "1e0"):
        assert client.get(f"/t/{token}/{number}").status_code == 404
        assert client.post(f"/t/{token}/{number}", data={"go": "next"}).status_code == 404
    assert client.get(f"/t/{token}/4").headers["Location"].endswith("/1")  # no looking ahead
    assert client.get(f"/t/{token}/thanks").headers["Location"].endswith("/1")
    # One participant's page is not another's.
    assert client.post(f"/t/{begin(client)}/1", data={"go": "next"}).status_code == 409
    assert store.answers() == [] and [line for line in dump() if "'pages'" in line] == [
        line for line in before if "'pages'" in line
    ]


def test_the_study_can_be_full(tmp_path):
    study = make_study(tmp_path / "study")
    store = Store(str(tmp_path / "study" / ANSWERS_FILE), study.digest())
    client = web.create_app(study, str(tmp_path / "study"), store, max_participants=2).test_client()
    assert [client.post("/start", data={"consent": "yes"}).status_code for _ in range(3)] == [303, 303, 503]
    assert len(store.participants()) == 2


def test_every_reply_forbids_what_a_tracker_would_need(site):
    _, _, client, _ = site
    token = begin(client)
    for path in ("/", f"/t/{token}/1", "/style.css", "/nothing"):
        reply = client.get(path)
        assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Referrer-Policy"] == "no-referrer"
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in reply.headers
        assert "http" not in reply.text and "<script" not in reply.text


def test_only_a_token_is_kept_of_a_person(site):
    _, _, client, dump = site
    token = client.post(
        "/start",
        data={"consent": "yes"},
        headers={"User-Agent": "TellTale/1.0", "X-Forwarded-For": "203.0.113.9", "Referer": "https://example.org/me"},
        environ_base={"REMOTE_ADDR": "198.51.100.7"},
    ).headers["Location"].split("/")[2]  # fmt: skip
    kept = "\n".join(dump())
    assert token in kept
    assert not re.search("TellTale|203.0.113.9|198.51.100.7|example", kept)


def exchange(port, raw):
    """Sends bytes, returns the whole reply; the server may close before it has read them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        reply = b""
        try:
            while chunk := connection.recv(65536):
                reply += chunk
        except OSError:
            pass
    return reply.decode("utf-8", "replace")


def test_the_real_server_refuses_what_is_no_request_of_a_browser(tmp_path):
    directory = tmp_path / "study"
    study = make_study(directory)
    with Server(directory) as server:

        def ask(method, path, body=None, **headers):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            result = reply.status, reply.read().decode("utf-8", "replace"), reply.headers.get("Location", "")
            connection.close()
            return result

        form = {"Content-Type": "application/x-www-form-urlencoded"}
        token = ask("POST", "/start", "consent=yes", **form)[2].split("/")[2]
        page = f"/t/{token}/1"
        name = re.search(r'name="poor" value="(\w+)"', ask("GET", page)[1]).group(1)
        for size in (5_000, 60_000, 300_000):
            body = f"go=next&poor={name}&" + "x" * size
            text = exchange(
                server.port,
                f"POST {page} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode(),
            )
            assert " 413 " in text.splitlines()[0] and "Traceback" not in text
        for path in (
            "/picture/../study.json",
            "/picture/../../study.json",
            "/picture/%2e%2e%2fstudy.json",
            "/picture/..%5cstudy.json",
            "//etc/passwd",
            "/study.json",
            "/answers.sqlite",
            "/pictures/",
            "/static/style.css",
            f"/picture/{name}.png/../../study.json",
        ):
            status, text, _ = ask("GET", path)
            assert status == 404 and "secret" not in text and "root:" not in text, path
        for raw in (
            b"\x00\xff\x16\x03 nonsense\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\nA" * 50 + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"GET / HTTP/1.1\r\nX: " + b"y" * 99999,
        ):
            assert not re.match(r"HTTP/1.\d (2|3|500)", exchange(server.port, raw))
        for method in ("PUT", "DELETE", "PATCH", "TRACE"):
            assert ask(method, page)[0] == 405
        status, _, where = ask("POST", page, f"go=next&poor={name}", **form)  # the server is up, the answer counts
        assert status == 303 and where.endswith("/2")
        assert "Traceback" not in server.stderr()
    assert [(q, m) for _, q, m, _ in Store(str(directory / ANSWERS_FILE), study.digest()).answers()] == [
        (study.order(token)[0][0], [name])
    ]


def test_it_listens_on_this_machine_only_unless_told_otherwise(tmp_path):
    make_study(tmp_path / "study")

    def reachable(address, port):
        try:
            socket.create_connection((address, port), timeout=5).close()
            return True
        except OSError:
            return False

    with Server(tmp_path / "study") as server:  # 127.0.0.2 is this machine, too, but another address of it
        assert reachable("127.0.0.1", server.port) and not reachable("127.0.0.2", server.port)
    with Server(tmp_path / "study", 0, "--host=0.0.0.0") as server:
        assert reachable("127.0.0.2", server.port)


def test_answers_of_one_study_are_never_read_with_the_key_of_another(tmp_path):
    one, two = make_study(tmp_path / "one"), make_study(tmp_path / "two")
    path = str(tmp_path / "answers.sqlite")
    Store(path, one.digest()).add_participant(time.time(), 10)
    with pytest.raises(ValueError, match="holds answers to another study"):
        Store(path, two.digest())
    (tmp_path / "junk.sqlite").write_text("not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(ValueError, match="junk.sqlite: not a file of answers"):
        Store(str(tmp_path / "junk.sqlite"), one.digest())
