"""The double's two front ends, gRPC and REST, on free ports of this machine.

`python -m tests.serving_double.server --model colorgan=exports/colorgan` serves until interrupted.
"""

import argparse
import base64
import concurrent.futures
import json
import os
import re
import shutil
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving_double.models import LoadedModel, read_batching_parameters, to_array, write_batched

_MESSAGE_BYTES = 256 << 20
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_HTTP = {3: 400, 5: 404, 9: 400, 8: 503, 14: 503, 12: 501}
_PATH = re.compile(r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+))?(?P<verb>:predict|/metadata)?$")
_WARM_UP = os.path.join("assets.extra", "tf_serving_warmup_requests")


class Double:
    """Serves {name: folder of versions}; use it as a context manager. `grpc_port` and `rest_port` say where."""

    def __init__(self, models: dict[str, str], batching_parameters_file: str | None = None, threads: int = 64):
        self._scratch = tempfile.mkdtemp()
        self.warmed = 0  # records replayed
        self.models = {name: self._load(name, folder, batching_parameters_file) for name, folder in models.items()}
        options = [
            ("grpc.max_receive_message_length", _MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MESSAGE_BYTES),
        ]
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(threads), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(self), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Status(self), self._grpc)
        self.grpc_port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self._rest = _RestServer(("127.0.0.1", 0), _Rest)
        self._rest.double = self
        self.rest_port = self._rest.server_address[1]
        threading.Thread(target=self._rest.serve_forever, daemon=True).start()

    def _load(self, name, folder, batching_parameters_file):
        version = max((v for v in os.listdir(folder) if v.isdecimal()), key=int)
        path = os.path.join(folder, version)
        served = path
        if batching_parameters_file:
            served = os.path.join(self._scratch, name, version)
            write_batched(path, served, read_batching_parameters(batching_parameters_file))
        model = LoadedModel(served)
        if os.path.exists(os.path.join(path, _WARM_UP)):
            for record in tf.compat.v1.io.tf_record_iterator(os.path.join(path, _WARM_UP)):
                request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
                model.run(request.model_spec.signature_name, {k: to_array(v) for k, v in request.inputs.items()})
                self.warmed += 1
        return model

    def find(self, name: str, version: int | None = None) -> LoadedModel:
        model = self.models.get(name)
        if model is None or version not in (None, model.version):
            raise tf.errors.NotFoundError(None, None, f"Servable not found for request: {name} {version or 'latest'}")
        return model

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._grpc.stop(None).wait()
        self._rest.shutdown()
        self._rest.server_close()
        for model in self.models.values():
            model.close()
        shutil.rmtree(self._scratch)


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, double):
        self.double = double

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            model = self.double.find(spec.name, spec.version.value if spec.HasField("version") else None)
            signature = spec.signature_name or "serving_default"
            inputs = {name: to_array(proto) for name, proto in request.inputs.items()}
            outputs = model.run(signature, inputs, list(request.output_filter))
        except tf.errors.OpError as error:
            context.abort(_CODES[error.error_code], error.message)
        response = predict_pb2.PredictResponse()
        response.model_spec.name, response.model_spec.signature_name = spec.name, signature
        response.model_spec.version.value = model.version
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(_as_fields(value))
        return response


def _as_fields(value):
    """A TensorProto with typed fields, as the server answers by default, not with tensor_content."""
    if value.dtype != np.float32:
        return tf.make_tensor_proto(value)
    proto = tf.make_tensor_proto(np.zeros(0, np.float32), shape=[0])
    proto.ClearField("tensor_shape")
    for size in value.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.float_val.extend(value.ravel().tolist())
    return proto


class _Status(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, double):
        self.double = double

    def GetModelStatus(self, request, context):
        try:
            model = self.double.find(request.model_spec.name)
        except tf.errors.OpError as error:
            context.abort(_CODES[error.error_code], error.message)
        response = get_model_status_pb2.GetModelStatusResponse()
        response.model_version_status.add(version=model.version, state="AVAILABLE")
        return response


class _RestServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(self._status)

    def do_POST(self):
        self._answer(self._predict)

    def _answer(self, handle):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            match = _PATH.match(self.path)
            if not match:
                raise tf.errors.InvalidArgumentError(None, None, f"Malformed request: {self.command} {self.path}")
            version = match["version"] and int(match["version"])
            code, answer = 200, handle(self.server.double.find(match["name"], version), match, body)
        except tf.errors.OpError as error:
            code, answer = _HTTP.get(error.error_code, 500), {"error": error.message}
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _status(self, model, match, body):
        if match["verb"] == "/metadata":
            signatures = {
                name: {
                    "inputs": {k: tf.as_dtype(v.dtype).name for k, v in s.inputs.items()},
                    "outputs": {k: tf.as_dtype(v.dtype).name for k, v in s.outputs.items()},
                }
                for name, s in model.signatures.items()
            }
            return {"model_spec": {"name": match["name"], "version": str(model.version)}, "metadata": signatures}
        status = {"error_code": "OK", "error_message": ""}
        return {"model_version_status": [{"version": str(model.version), "state": "AVAILABLE", "status": status}]}

    def _predict(self, model, match, body):
        try:
            request = json.loads(body)
            if not isinstance(request, dict) or ("instances" in request) == ("inputs" in request):
                raise ValueError("expected an object with either instances or inputs")
            signature = request.get("signature_name", "serving_default")
            if signature not in model.signatures:
                raise ValueError(f'Serving signature name: "{signature}" not found')
            inputs = _from_json(request, model.signatures[signature].inputs)
        except (ValueError, TypeError, OverflowError) as error:
            raise tf.errors.InvalidArgumentError(None, None, f"JSON: {error}") from None
        outputs = {name: _to_json(name, value) for name, value in model.run(signature, inputs).items()}
        if "inputs" in request:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        if len(outputs) == 1:
            return {"predictions": next(iter(outputs.values()))}
        rows = zip(*outputs.values(), strict=True)
        return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _from_json(request, specs):
    """Row form or column form to arrays by input name."""
    if "inputs" in request:
        columns = request["inputs"] if isinstance(request["inputs"], dict) else {next(iter(specs)): request["inputs"]}
    else:
        rows = request["instances"]
        if not isinstance(rows, list) or not rows:
            raise ValueError("instances: expected a list of at least one")
        if not (isinstance(rows[0], dict) and "b64" not in rows[0]):
            columns = {next(iter(specs)): rows}
        elif any(set(row) != set(rows[0]) for row in rows):
            raise ValueError("instances: expected the same names in every one")
        else:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
    unknown = set(columns) - set(specs)
    if unknown:
        raise ValueError(f"unknown input {sorted(unknown)[0]}")
    return {name: _array(value, tf.as_dtype(specs[name].dtype), name) for name, value in columns.items()}


def _array(value, dtype, name):
    if dtype == tf.string:
        return np.array(_decoded(value), object)
    array = np.array(value)
    if array.dtype.kind not in ("if" if dtype.is_floating else "i"):
        raise ValueError(f"{name}: expected {dtype.name}")
    return array.astype(dtype.as_numpy_dtype)


def _decoded(value):
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict) and set(value) == {"b64"}:
        return base64.b64decode(value["b64"], validate=True)
    if isinstance(value, str):
        return value.encode()
    raise ValueError("expected a string or {'b64': ...}")


def _to_json(name, value):
    if value.dtype.kind not in "OS":
        return value.tolist()
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(item).decode()} for item in value]
    return [item.decode() for item in value]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="NAME=FOLDER of versions")
    parser.add_argument("--batching_parameters_file")
    arguments = parser.parse_args()
    models = dict(model.split("=", 1) for model in arguments.model)
    with Double(models, arguments.batching_parameters_file) as double:
        print(f"gRPC 127.0.0.1:{double.grpc_port}  REST 127.0.0.1:{double.rest_port}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
