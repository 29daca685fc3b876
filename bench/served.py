"""Requests a second through the protocol double, both signatures, with and without batching.

    python -m bench.served --clients=1,8,64                                   about 3 minutes on two cores

The double is Python around TensorFlow's C++ Session, not TF Serving: read the rows against each other. Clients and
server share this machine's cores. The paper's generator, one picture a request, over gRPC.
"""

import concurrent.futures
import contextlib
import io
import os
import statistics
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

CLIENTS = flags.DEFINE_list("clients", ["1", "8", "64"], "Numbers of clients that call at the same time.")
REQUESTS = flags.DEFINE_integer("requests", 128, "Requests in a measurement.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Interleaved rounds.", lower_bound=1)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVERS = {"nobody batches": "plain", "inside the graph": "batching", "server batches": "plain"}


def main(argv):
    del argv
    logging.set_verbosity(logging.WARNING)
    sys.path.insert(0, os.path.join(ROOT, "examples"))
    import grpc_client
    import numpy as np
    from PIL import Image

    from colorgan_tf import serving
    from colorgan_tf.models import ModelSettings, build_generator
    from tests.serving_double.server import Double

    settings = ModelSettings()
    generator = build_generator(settings)
    rng = np.random.default_rng(0)
    photo = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).resize((341, 256)).save(photo, "jpeg", quality=90)
    gray, noise = np.full((1, 64, 64, 1), 0.5, np.float32), rng.uniform(-1, 1, (1, 100)).astype(np.float32)
    calls = {
        "serving_default": lambda to, i: grpc_client.colorize(to, "colorgan", gray, noise),
        "colorize_png": lambda to, i: grpc_client.colorize_png(to, "colorgan", [photo.getvalue()], [i]),
    }
    parameters = os.path.join(ROOT, "examples", "tf_serving", "batching_parameters.txt")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for name, batching in (("plain", False), ("batching", True)):
            description = serving.describe(settings, 0, "bench")
            options = serving.Options(batching=batching)
            serving.save(generator, settings, description, os.path.join(folder, name), options)
        channels = {}
        for name, export in SERVERS.items():
            shipped = parameters if name == "server batches" else None
            double = stack.enter_context(Double({"colorgan": os.path.join(folder, export)}, shipped))
            channels[name] = stack.enter_context(grpc_client.connect(f"127.0.0.1:{double.grpc_port}"))
        print(f"{'signature':17}{'clients':>8}  {'':18}{'requests/s':>11}{'p50 ms':>8}{'p99 ms':>8}{'/ nobody':>10}")
        for signature, call in calls.items():
            for clients in map(int, CLIENTS.value):
                rates, waits = {name: [] for name in SERVERS}, {name: [] for name in SERVERS}
                for turn in range(ROUNDS.value + 1):  # the first warms up
                    for name, to in channels.items():
                        rate, times = measure(call, to, clients, REQUESTS.value if turn else clients)
                        if turn:
                            rates[name].append(rate)
                            waits[name] += times
                for name in SERVERS:
                    ratio = statistics.median(r / n for r, n in zip(rates[name], rates["nobody batches"], strict=True))
                    ordered = sorted(1e3 * seconds for seconds in waits[name])
                    last = ordered[int(0.99 * len(ordered))]
                    print(
                        f"{signature:17}{clients:8}  {name:18}{statistics.median(rates[name]):11.1f}"
                        f"{statistics.median(ordered):8.1f}{last:8.1f}{ratio:10.2f}",
                        flush=True,
                    )


def measure(call, to, clients, requests):
    """(requests a second, seconds of each) with so many clients calling at the same time."""

    def one(i):
        start = time.perf_counter()
        call(to, i)
        return time.perf_counter() - start

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        start = time.perf_counter()
        times = list(pool.map(one, range(requests)))
        return requests / (time.perf_counter() - start), times


if __name__ == "__main__":
    app.run(main)
