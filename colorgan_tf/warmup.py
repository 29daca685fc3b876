"""Requests that TF Serving replays when it loads a model, so that the first client does not wait for the first run.

    assets.extra/tf_serving_warmup_requests     TFRecords of PredictionLog, one a signature and batch size

They need `tensorflow-serving-api`, which is optional (requirements-serving.txt).
"""

import io
import os

import numpy as np
import tensorflow as tf
from PIL import Image

from colorgan_tf.models import ModelSettings
from colorgan_tf.serving import BATCH_SIZES

FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


def requests(settings: ModelSettings):
    """Yields (signature name, inputs) with inputs a dict of arrays: every signature at every batch size."""
    side = settings.image_size
    ramp = np.linspace(0.0, 1.0, side, dtype=np.float32)
    photo = io.BytesIO()
    Image.fromarray(np.broadcast_to(np.uint8(255 * ramp), (side, side)).copy()).save(photo, "png")
    for batch in BATCH_SIZES:
        gray = np.broadcast_to(ramp[None, None, :, None], (batch, side, side, 1))
        yield "serving_default", {"gray": gray, "noise": np.zeros((batch, settings.noise_size), np.float32)}
        yield (
            "colorize_png",
            {"image_bytes": np.array([photo.getvalue()] * batch), "seed": np.arange(batch, dtype=np.int64)},
        )


def write(folder: str, settings: ModelSettings, model: str) -> bool:
    """Writes the records into a version folder of the model of that name; False where the package is not installed."""
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        return False
    path = os.path.join(folder, FILE)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in requests(settings):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return True
