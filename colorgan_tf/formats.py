"""The generator for other runtimes: LiteRT (phones) and ONNX, each checked against the SavedModel it is written beside.

Both take gray and noise and give rgb and chroma, with the shapes, names and ranges of `serving_default`.
"""

import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

from colorgan_tf import inference, serving
from colorgan_tf.models import ModelSettings

FILES = {"tflite": "colorgan.tflite", "onnx": "colorgan.onnx"}
TOLERANCE = 1e-4  # of rgb and chroma, whose whole range is 1
OPSET = 17


def write(folder: str, formats: list[str], generator: keras.Model, settings: ModelSettings) -> None:
    """Writes `FILES` of the formats named into a version folder (without its number yet, if need be).

    ValueError where one cannot be converted, its runtime is not installed, or it differs from the SavedModel by more
    than `TOLERANCE`.
    """
    reference = inference.load_export(folder)
    writers = {"tflite": (_write_tflite, _run_tflite), "onnx": (_write_onnx, _run_onnx)}
    for name in formats:
        convert, run = writers[name]
        path = os.path.join(folder, FILES[name])
        function = _function(generator, settings)
        try:
            convert(function, path)
            found = [run(path, gray, noise) for gray, noise in samples(settings)]
        except ImportError as error:
            raise ValueError(f"{name}: {error.name} is not installed; pip install -r requirements-export.txt") from None
        except Exception as error:  # converters and runtimes raise nearly everything
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(f"{name}: cannot convert this generator ({reason})") from None
        for (gray, noise), outputs in zip(samples(settings), found, strict=True):
            expected = dict(zip(("rgb", "chroma"), reference(gray, noise), strict=True))
            for output, value in expected.items():
                compare(name, output, outputs[output], value)


def compare(name: str, output: str, found: np.ndarray, expected: np.ndarray) -> None:
    """ValueError where an output of another format is not the SavedModel's, by shape or by more than `TOLERANCE`."""
    if found.shape != expected.shape:
        raise ValueError(f"{name}: {output} has the shape {found.shape}, the SavedModel's has {expected.shape}")
    worst = float(np.max(np.abs(found - expected)))
    if not worst <= TOLERANCE:
        raise ValueError(
            f"{name}: {output} differs from the SavedModel's by {worst:.2g}; at most {TOLERANCE} is allowed"
        )


def samples(settings: ModelSettings):
    """Pairs (gray, noise) to compare on: several batch sizes, and where the generator allows it other picture sizes."""
    rng = np.random.default_rng(0)
    side = settings.image_size
    sizes = [(1, side, side), (4, side, side)]
    if settings.any_size:
        sizes.append((2, side + 6, 2 * side + 1))
    for batch, height, width in sizes:
        blocks = rng.uniform(0, 1, (batch, 8, 8, 1)).astype(np.float32)
        gray = np.clip(tf.image.resize(blocks, [height, width], "bicubic").numpy(), 0.0, 1.0)
        yield gray, rng.uniform(-1, 1, (batch, settings.noise_size)).astype(np.float32)


def _function(generator, settings):
    """What both converters are given: the pure function, without a server's checks of its inputs."""
    size = None if settings.any_size else settings.image_size
    colorize = serving.colorizer(generator)

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec([None, size, size, 1], tf.float32, name="gray"),
            tf.TensorSpec([None, settings.noise_size], tf.float32, name="noise"),
        ],
    )
    def function(gray, noise):
        rgb, chroma = colorize(gray, noise)
        return {"rgb": rgb, "chroma": chroma}

    return function


def _write_tflite(function, path):
    module = tf.Module()
    module.function = function
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=function)
        content = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    with open(path, "wb") as file:
        file.write(content)


def _run_tflite(path, gray, noise):
    return tf.lite.Interpreter(model_path=path).get_signature_runner()(gray=gray, noise=noise)


def _write_onnx(function, path):
    import tf2onnx

    tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET, output_path=path)


def _run_onnx(path, gray, noise):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return dict(zip(("rgb", "chroma"), session.run(["rgb", "chroma"], {"gray": gray, "noise": noise}), strict=True))
