"""One runtime of bench/inference.py: `python inference_worker.py RUNTIME PRECISION FOLDER`, orders on stdin.

FOLDER holds what bench/inference.py wrote: colorgan.onnx, colorgan.tflite, weights.npz.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import numpy as np

from bench.peers.protocol import serve

THREADS = os.cpu_count()


def inputs(batch):
    rng = np.random.default_rng(batch)
    gray = rng.uniform(0, 1, (batch, 64, 64, 1)).astype(np.float32)
    return gray, rng.uniform(-1, 1, (batch, 100)).astype(np.float32)


def checksum(rgb):
    """The same number for the same pictures, to see that all runtimes do the same work."""
    return float(np.mean(np.abs(rgb.astype(np.float32))))


def tensorflow(precision, folder):
    """The export in the C++ Session. precision: the name of a subfolder."""
    from tests.serving_double.models import LoadedModel

    model = LoadedModel(os.path.join(folder, precision, "1"))

    def prepare(batch):
        gray, noise = inputs(batch)
        return lambda: checksum(model.run("serving_default", {"gray": gray, "noise": noise}, ["rgb"])["rgb"])

    return prepare


def onnxruntime(precision, folder):
    import onnxruntime

    session = onnxruntime.InferenceSession(os.path.join(folder, "colorgan.onnx"), providers=["CPUExecutionProvider"])

    def prepare(batch):
        gray, noise = inputs(batch)
        return lambda: checksum(session.run(["rgb"], {"gray": gray, "noise": noise})[0])

    return prepare


def openvino(precision, folder):
    import openvino

    core = openvino.Core()
    model = core.read_model(os.path.join(folder, "colorgan.onnx"))
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]

    def prepare(batch):
        gray, noise = inputs(batch)
        model.reshape({"gray": list(gray.shape), "noise": list(noise.shape)})  # fixed shapes are its fastest form
        options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
        request = core.compile_model(model, "CPU", options).create_infer_request()
        return lambda: checksum(request.infer({"gray": gray, "noise": noise})["rgb"])

    return prepare


def litert(precision, folder):
    from ai_edge_litert.interpreter import Interpreter

    def prepare(batch):
        gray, noise = inputs(batch)
        interpreter = Interpreter(os.path.join(folder, "colorgan.tflite"), num_threads=THREADS)
        run = interpreter.get_signature_runner()
        return lambda: checksum(run(gray=gray, noise=noise)["rgb"])

    return prepare


def torch(precision, folder, compiled=False):
    import torch

    from bench.peers.generator_torch import Generator

    torch.set_num_threads(THREADS)
    network = Generator()
    network.load_keras(np.load(os.path.join(folder, "weights.npz")))
    network = network.eval().fuse().to(memory_format=torch.channels_last)

    def colorize(y, z):
        """As colorgan_tf.color.pictures: chroma gives way where no displayable colour has it with that luminance."""
        uv = 0.5 * network(2 * y - 1, z)
        added_r, added_b = 1.402 * uv[:, 1:], 1.772 * uv[:, :1]
        added = torch.cat([added_r, -(0.299 * added_r + 0.114 * added_b) / 0.587, added_b], 1)
        excess = torch.maximum(added / (1 - y + 1e-6), -added / (y + 1e-6)).amax(1, keepdim=True).clamp(min=1)
        return (y + added / excess).clamp(0, 1)

    run = torch.compile(colorize) if compiled else colorize

    def prepare(batch):
        gray, noise = inputs(batch)
        y = torch.from_numpy(gray.transpose(0, 3, 1, 2).copy()).to(memory_format=torch.channels_last)
        z = torch.from_numpy(noise)

        def once():
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                return checksum(run(y, z).numpy())

        return once

    return prepare


def torch_compiled(precision, folder):
    return torch(precision, folder, compiled=True)


def matmul(precision, folder):
    """Not a runtime but the limit: a large product in TensorFlow, whose "batch" is the matrix's size."""
    import tensorflow as tf

    def prepare(size):
        a = tf.cast(tf.random.normal([size, size]), precision)
        return lambda: float(tf.cast(tf.matmul(a, a)[0, 0], tf.float32))

    return prepare


def copy(precision, folder):
    """The other limit: bytes copied, `size` MiB at a time."""

    def prepare(size):
        source = np.ones(size << 18, np.float32)
        target = np.empty_like(source)

        def once():
            np.copyto(target, source)
            return float(target[0])

        return once

    return prepare


if __name__ == "__main__":
    serve(globals()[sys.argv[1]](sys.argv[2], sys.argv[3]))
