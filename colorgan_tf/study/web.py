"""The pages a participant sees: plain forms that need no script, no cookie, and nothing from outside.

The token in the address is all that says who somebody is. A request either fits the page that was shown or is refused
whole with a sentence, and an answer is stored before the reply that leads to the next page.
"""

import re
import time

from flask import Flask, Response, abort, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from colorgan_tf.study import pictures
from colorgan_tf.study.manifest import Study
from colorgan_tf.study.store import NotShown, Store, StudyFull

MAX_BODY = 4096  # bytes; an honest answer has under 300
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_HEADERS = {
    # Nothing but our own pictures and style: no script, no frame, no other site.
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address carries the token
    "X-Robots-Tag": "noindex",
}
_SENTENCES = {
    400: "This was not an answer to the question on the page. Nothing was stored.",
    404: "There is no such page. Please check the address, or begin at the first page.",
    405: "This page cannot be used that way. Nothing was stored.",
    409: "This question was not shown to you yet. Nothing was stored.",
    413: "That was too large to be an answer. Nothing was stored.",
    503: "This study has all the participants it can take. Thank you for your interest.",
}


def displayed_sizes(side: int) -> tuple[float, float]:
    """(wide, narrow): CSS pixels at which a picture of `side` pixels is shown on a desktop and on a phone.

    Whole multiples on a desktop (about 256), half ones on a phone (at most 160: two fit beside each other in 360),
    where a CSS pixel is at least two of the screen's: every pixel of the picture is a square of one size.
    """
    wide = side * max(1, round(256 / side))
    halves = (2 * 160) // side
    return wide, side * halves / 2 if halves else 160.0


def create_app(study: Study, directory: str, store: Store, max_participants: int) -> Flask:
    """The WSGI application that serves the study in `directory` and keeps its answers in `store`."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.config["MAX_FORM_PARTS"] = 50
    served = study.picture_names
    total = len(study.questions)

    def page_of(token, number):
        """(question, names in this participant's order) of a page; 404 unless both are real."""
        if not _TOKEN.fullmatch(token) or not store.knows(token) or not 1 <= number <= total:
            abort(404)
        return study.order(token)[number - 1]

    def next_unanswered(token):
        answered = store.answered(token)
        for number, (question, _) in enumerate(study.order(token), start=1):
            if question not in answered:
                return number
        return total + 1

    def go_to(token, number):
        if number > total:
            return redirect(url_for("thanks", token=token), 303)
        return redirect(url_for("show", token=token, number=number), 303)

    @app.get("/")
    def welcome():
        per_question = len(study.questions[0].pictures)
        return render_template("welcome.html", total=total, pictures=per_question, missing_consent=False)

    @app.post("/start")
    def start():
        if set(request.form) - {"consent"} or request.form.getlist("consent") not in ([], ["yes"]):
            abort(400)
        if "consent" not in request.form:
            per_question = len(study.questions[0].pictures)
            return render_template("welcome.html", total=total, pictures=per_question, missing_consent=True), 400
        try:
            token = store.add_participant(time.time(), max_participants)
        except StudyFull:
            abort(503)
        return go_to(token, 1)

    @app.get("/t/<token>")
    def resume(token):
        page_of(token, 1)
        return go_to(token, next_unanswered(token))

    @app.get("/t/<token>/<int:number>")
    def show(token, number):
        question, names = page_of(token, number)
        if number > next_unanswered(token):
            return go_to(token, next_unanswered(token))  # questions are put one after the other
        marked = store.open_page(token, question, time.time())
        wide, _ = displayed_sizes(study.image_size)
        return render_template(
            "question.html", token=token, number=number, total=total, names=names, marked=marked, side=wide
        )

    @app.post("/t/<token>/<int:number>")
    def answer(token, number):
        question, names = page_of(token, number)
        marked, go = request.form.getlist("poor"), request.form.getlist("go")
        if set(request.form) - {"poor", "go"} or go not in (["next"], ["back"]):
            abort(400)
        if len(set(marked)) < len(marked) or not set(marked) <= set(names):
            abort(400)
        try:
            store.save(token, question, marked, time.time(), confirm=go == ["next"])
        except NotShown:
            abort(409)
        return go_to(token, number + 1 if go == ["next"] else max(1, number - 1))

    @app.get("/t/<token>/thanks")
    def thanks(token):
        page_of(token, 1)
        if next_unanswered(token) <= total:
            return go_to(token, next_unanswered(token))
        return render_template("thanks.html", token=token, total=total)

    @app.get("/picture/<name>" + pictures.SUFFIX)
    def picture(name):
        if name not in served:  # names come from the manifest alone, never from the request
            abort(404)
        with open(pictures.path(directory, name), "rb") as file:
            content = file.read()
        return Response(content, mimetype="image/png", headers={"Cache-Control": "private, max-age=86400, immutable"})

    @app.get("/style.css")
    def style():
        wide, narrow = displayed_sizes(study.image_size)
        crisp = "pixelated" if narrow >= study.image_size else "auto"
        content = render_template("style.css", wide=f"{wide:g}", narrow=f"{narrow:g}", narrow_rendering=crisp)
        return Response(content, mimetype="text/css")

    @app.errorhandler(HTTPException)
    def refused(error):
        sentence = _SENTENCES.get(error.code, "This request was not understood. Nothing was stored.")
        return render_template("refused.html", sentence=sentence), error.code

    @app.errorhandler(Exception)
    def failed(error):
        app.logger.exception("a request failed")
        sentence = "Something went wrong on our side. All answers given before are kept; please reload the page."
        return render_template("refused.html", sentence=sentence), 500

    @app.after_request
    def harden(response):
        response.headers.update(_HEADERS)
        # Pages are fetched anew each time: what is marked on them is in the store.
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response

    return app
