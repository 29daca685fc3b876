"""The clients of examples/ against the protocol double, and what bad requests do to their neighbours.

COLORGAN_FULL=1 sends the mixed requests at full length (10,000).
"""

import concurrent.futures
import io
import json
import os
import random
import resource
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

pytest.importorskip("tensorflow_serving")
grpc = pytest.importorskip("grpc")

from PIL import Image  # noqa: E402

from colorgan_tf import inference, serving, warmup  # noqa: E402
from tests import serving_helpers as helpers  # noqa: E402
from tests.serving_double.models import read_batching_parameters  # noqa: E402
from tests.serving_double.server import Double  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BATCHING = os.path.join(ROOT, "examples", "tf_serving", "batching_parameters.txt")
sys.path.insert(0, os.path.join(ROOT, "examples"))
import grpc_client  # noqa: E402
import rest_client  # noqa: E402

PHOTO = helpers.encode(helpers.picture())
REQUESTS = 10_000 if os.environ.get("COLORGAN_FULL") else 400


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """name -> folder of versions: colorgan (nothing batched inside), together (batching inside)."""
    root = tmp_path_factory.mktemp("models")

    def warm_up(folder):
        warmup.write(folder, helpers.CODE, "colorgan")

    helpers.export(root / "colorgan", helpers.CODE, finish=warm_up)
    helpers.export(root / "together", helpers.CODE, serving.Options(batching=True, max_pixels=1_000_000))
    return {"colorgan": str(root / "colorgan"), "together": str(root / "together")}


@pytest.fixture(scope="module")
def double(folders):
    """Nothing batched by the server."""
    with Double(folders) as running:
        yield running


@pytest.fixture(scope="module")
def batching(folders):
    """The server batches, by the parameters that are shipped."""
    with Double({"colorgan": folders["colorgan"]}, BATCHING) as running:
        yield running


@pytest.fixture(scope="module")
def expected(folders):
    """What Python's loader gives: (gray, noise, rgb, chroma)."""
    gray, noise = helpers.inputs(3, 32)
    return gray, noise, *inference.load_export(folders["colorgan"])(gray, noise)


def channel(double):
    return grpc_client.connect(f"127.0.0.1:{double.grpc_port}")


def rest(double):
    return f"http://127.0.0.1:{double.rest_port}"


@pytest.mark.parametrize("server", ["double", "batching"])
def test_tensors_by_every_form(server, expected, request):
    running = request.getfixturevalue(server)
    gray, noise, rgb, chroma = expected
    with channel(running) as to:
        found = grpc_client.colorize(to, "colorgan", gray, noise)
    np.testing.assert_allclose(found[0], rgb, atol=1e-6)
    np.testing.assert_allclose(found[1], chroma, atol=1e-6)
    for form in ("row", "column"):
        found = rest_client.colorize(rest(running), "colorgan", gray.tolist(), noise.tolist(), form)
        np.testing.assert_allclose(found[0], rgb, atol=1e-6)
        np.testing.assert_allclose(found[1], chroma, atol=1e-6)


@pytest.mark.parametrize("server", ["double", "batching"])
def test_photos_by_every_form(server, request):
    running = request.getfixturevalue(server)
    photos, seeds = [PHOTO, helpers.encode(helpers.picture(20, 30, 1), "jpeg")], [4, 2**40]
    with channel(running) as to:
        first = grpc_client.colorize_png(to, "colorgan", photos, seeds)
    for form in ("row", "column"):
        found = rest_client.colorize_png(rest(running), "colorgan", photos, seeds, form)
        assert [png for png, _ in found] == [png for png, _ in first]
        np.testing.assert_allclose([z for _, z in found], [z for _, z in first], atol=1e-7)


def test_the_noise_given_back_repeats_the_colouring(double):
    """seed -> noise -> serving_default with that noise: the small picture under the PNG."""
    flat = helpers.encode(np.full((32, 32), 128, np.uint8))
    with channel(double) as to:
        png, noise = grpc_client.colorize_png(to, "colorgan", [flat], [9])[0]
        rgb, _ = grpc_client.colorize(to, "colorgan", np.full((1, 32, 32, 1), 128 / 255, np.float32), noise[None])
    assert np.abs(np.asarray(Image.open(io.BytesIO(png))) - 255 * rgb[0]).max() < 0.51


def test_the_programs_without_tensorflow(double, tmp_path):
    """As a user runs them, in an interpreter that refuses to import TensorFlow."""
    (tmp_path / "photo.png").write_bytes(PHOTO)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tensorflow'] = sys.modules['keras'] = None\n")
    where = {"rest_client.py": rest(double), "grpc_client.py": f"127.0.0.1:{double.grpc_port}"}
    for program, server in where.items():
        for extra, size in (([], (70, 45)), (["--tensors", "--size=32"], (32, 32))):
            output = tmp_path / "out.png"
            command = [sys.executable, os.path.join(ROOT, "examples", program), str(tmp_path / "photo.png")]
            command += [f"--server={server}", f"--output={output}", *extra]
            done = subprocess.run(
                command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert Image.open(output).size == size
            output.unlink()
        (tmp_path / "bad.png").write_bytes(PHOTO[:500])
        command = [
            sys.executable,
            os.path.join(ROOT, "examples", program),
            str(tmp_path / "bad.png"),
            f"--server={server}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1 and "Invalid PNG data" in done.stderr and "Traceback" not in done.stderr


def test_the_curl_lines_of_the_guide(double, tmp_path):
    """docs/serving.md, every line that begins with curl, against the double."""
    with open(os.path.join(ROOT, "docs", "serving.md"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith(("curl ", "(printf", "python3 -c"))]
    assert len(lines) >= 3
    (tmp_path / "photo.jpg").write_bytes(helpers.encode(helpers.picture(), "jpeg"))
    for line in lines:
        line = line.replace("http://localhost:8501", rest(double))
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert '"error"' not in done.stdout, done.stdout[:300]
    assert Image.open(tmp_path / "colored.png").size == (70, 45)


def test_status_and_metadata(double):
    with urllib.request.urlopen(f"{rest(double)}/v1/models/colorgan") as response:
        assert json.load(response)["model_version_status"][0]["state"] == "AVAILABLE"
    with urllib.request.urlopen(f"{rest(double)}/v1/models/colorgan/metadata") as response:
        signatures = json.load(response)["metadata"]
    assert signatures["colorize_png"]["inputs"] == {"image_bytes": "string", "seed": "int64"}


def test_warm_up_is_replayed(double):
    assert double.warmed == 2 * len(serving.BATCH_SIZES)


def test_shipped_configuration_is_consistent():
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    parameters = read_batching_parameters(BATCHING)
    assert tuple(parameters["allowed_batch_sizes"]) == serving.BATCH_SIZES
    assert parameters["allowed_batch_sizes"][-1] == parameters["max_batch_size"]
    assert set(parameters) == {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "allowed_batch_sizes",
    }
    with open(os.path.join(ROOT, "examples", "tf_serving", "models.config"), encoding="utf-8") as file:
        config = text_format.Parse(file.read(), model_server_config_pb2.ModelServerConfig())
    assert [model.name for model in config.model_config_list.config] == ["colorgan"]


def ways_to_fail(gray, noise):
    """name -> (a call on (channel, REST address, model), a word of the documented error)."""
    ways = {}
    for name, (content, word) in helpers.bad_images().items():
        ways[name] = (lambda to, _, m, c=content: grpc_client.colorize_png(to, m, [c], [1]), word)
    content, word = helpers.bad_images()["png_truncated"]
    ways["rest_row"] = (lambda _, at, m: rest_client.colorize_png(at, m, [content], [1]), word)
    ways["rest_column"] = (lambda _, at, m: rest_client.colorize_png(at, m, [content], [1], "column"), word)
    g, z = gray[:1], noise[:1]
    tensors = {
        "range": ((255 * g, z), "gray: expected values"),
        "nan": ((g, z * np.nan), "noise: expected values"),
        "noise_size": ((g, z[:, :50]), "noise: expected the shape"),
        "channels": ((np.repeat(g, 3, -1), z), "gray: expected the shape"),
    }
    for name, (values, word) in tensors.items():
        ways[name] = (lambda to, _, m, v=values: grpc_client.colorize(to, m, *v), word)
    raw = {
        "no_json": (b"{", "JSON"),
        "both_forms": (b'{"instances": [], "inputs": {}}', "either"),
        "no_base64": (
            b'{"signature_name": "colorize_png", "inputs": {"image_bytes": [{"b64": "?"}], "seed": [1]}}',
            "JSON",
        ),
        "ragged": (b'{"inputs": {"gray": [[1], [1, 2]], "noise": [[0]]}}', "JSON"),
        "unknown_input": (b'{"inputs": {"grey": [1]}}', "unknown input"),
        "unknown_signature": (b'{"signature_name": "paint", "inputs": {"gray": [1]}}', "not found"),
        "missing_input": (json.dumps({"inputs": {"gray": g.tolist()}}).encode(), "does not match"),
        "unbalanced": (json.dumps({"inputs": {"gray": g.tolist(), "noise": z.tolist() * 2}}).encode(), "batch size"),
    }
    for name, (body, word) in raw.items():
        ways[name] = (lambda _, at, m, b=body: post(at, m, b), word)
    ways["unknown_model"] = (lambda to, _, m: grpc_client.colorize_png(to, "other", [PHOTO], [1]), "not found")
    return ways


def post(at, model, body):
    try:
        urllib.request.urlopen(urllib.request.Request(f"{at}/v1/models/{model}:predict", body)).read()
    except urllib.error.HTTPError as error:
        raise rest_client.ServerError(error.code, json.loads(error.read())["error"]) from None


def failure(call, *where):
    """The message a call fails with; None where it succeeds."""
    try:
        call(*where)
    except grpc.RpcError as error:
        return error.details()
    except rest_client.ServerError as error:
        return str(error)
    return None


@pytest.mark.parametrize("model", ["colorgan", "together"])
def test_mixed_good_and_malformed_requests(double, expected, model):
    """Every bad request gets its own error, every good one the bits it gets alone, and memory stays where it was."""
    gray, noise, *_ = expected
    ways = ways_to_fail(gray, noise)
    rng = random.Random(0)
    with channel(double) as to:
        photos = [helpers.encode(helpers.picture(20 + i, 30, i), "png" if i % 2 else "jpeg") for i in range(6)]
        alone = [grpc_client.colorize_png(to, "colorgan", [photo], [i])[0][0] for i, photo in enumerate(photos)]
        alone_rgb = [grpc_client.colorize(to, "colorgan", gray[i : i + 1], noise[i : i + 1])[0] for i in range(3)]

        def send(kind):
            if kind in ways:
                call, word = ways[kind]
                message = failure(call, to, rest(double), model)
                return None if message and word in message else f"{kind}: {message}"
            i = kind % 9
            if i < 6:
                answer = grpc_client.colorize_png(to, model, [photos[i]], [i])[0][0]
                return None if answer == alone[i] else f"photo {i} came out differently"
            i -= 6
            answer = grpc_client.colorize(to, model, gray[i : i + 1], noise[i : i + 1])[0]
            return None if np.array_equal(answer, alone_rgb[i]) else f"tensor {i} came out differently"

        names = list(ways)
        kinds = [rng.choice(names) if rng.random() < 0.4 else rng.randrange(9) for _ in range(REQUESTS)]
        assert set(names) <= set(kinds)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            half = len(kinds) // 2
            problems = [p for p in pool.map(send, kinds[:half]) if p]
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            problems += [p for p in pool.map(send, kinds[half:]) if p]
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert problems == []
    assert grown < 64 << 10, f"{grown >> 10} MiB more in the second half"


def neighbours(running, model):
    """Sixteen good photos and a truncated one at the same time: how many of the good ones failed, in the worst of 5."""
    bad = helpers.bad_images()["png_truncated"][0]
    worst = 0
    with channel(running) as to, concurrent.futures.ThreadPoolExecutor(17) as pool:
        for _ in range(5):
            calls = [pool.submit(failure, grpc_client.colorize_png, to, model, [PHOTO], [i]) for i in range(16)]
            calls.insert(8, pool.submit(failure, grpc_client.colorize_png, to, model, [bad], [0]))
            messages = [call.result() for call in calls]
            assert "Invalid PNG data" in messages.pop(8)
            worst = max(worst, sum(message is not None for message in messages))
    return worst


def test_what_a_bad_request_does_to_its_batch_mates(double, batching):
    """A server that batches fails whole batches; without, or batching inside the graph, a bad request fails alone."""
    assert neighbours(batching, "colorgan") > 0
    assert neighbours(double, "colorgan") == 0
    assert neighbours(double, "together") == 0


def test_other_sizes_harm_nobody_when_batched_inside(double):
    """Pictures that cannot share a batch with the trained size are run by themselves."""
    small, large = helpers.inputs(1, 32), helpers.inputs(1, 40)
    with channel(double) as to, concurrent.futures.ThreadPoolExecutor(16) as pool:
        calls = [
            pool.submit(grpc_client.colorize, to, "together", *(large if i % 3 == 0 else small)) for i in range(30)
        ]
        for i, call in enumerate(calls):
            assert call.result()[0].shape[1] == (40 if i % 3 == 0 else 32)
