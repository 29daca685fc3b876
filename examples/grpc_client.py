"""Colours a photo through TF Serving's gRPC port, without TensorFlow: grpcio, protobuf and NumPy are enough.

    pip install -r examples/requirements.txt
    python examples/grpc_client.py photo.jpg --seed=1 --output=photo-1.png --server=localhost:8500

With --tensors it calls the signature `serving_default` instead (needs Pillow), and gets a small picture back.
The few messages it needs are described below by their field numbers in TF Serving's public .proto files; the official
stubs would bring TensorFlow along.
"""

import argparse
import os
import sys

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_MAX_BYTES = 256 << 20  # gRPC's own limit is 4 MiB, less than many a photo
_FLOAT, _STRING, _INT64 = 1, 7, 9  # tensorflow.DataType
# message: {field: (number, type, repeated)}; Map marks what protobuf makes of map<string, Tensor>.
_MESSAGES = {
    "Dim": {"size": (1, "int64", False)},
    "Shape": {"dim": (2, "Dim", True)},
    "Tensor": {
        "dtype": (1, "int32", False),
        "tensor_shape": (2, "Shape", False),
        "tensor_content": (4, "bytes", False),
        "float_val": (5, "float", True),
        "string_val": (8, "bytes", True),
        "int64_val": (10, "int64", True),
    },
    "ModelSpec": {"name": (1, "string", False), "signature_name": (3, "string", False)},
    "Map": {"key": (1, "string", False), "value": (2, "Tensor", False)},
    "PredictRequest": {"model_spec": (1, "ModelSpec", False), "inputs": (2, "Map", True)},
    "PredictResponse": {"outputs": (1, "Map", True)},
}


def _make_messages():
    file = descriptor_pb2.FileDescriptorProto(name="colorgan_client.proto", package="colorgan_client", syntax="proto3")
    for message, fields in _MESSAGES.items():
        added = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = added.field.add(name=name, number=number)
            field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = field.TYPE_MESSAGE, f".colorgan_client.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"colorgan_client.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _make_messages()


def connect(server: str) -> grpc.Channel:
    """A channel to host:port that takes large messages."""
    options = [("grpc.max_receive_message_length", _MAX_BYTES), ("grpc.max_send_message_length", _MAX_BYTES)]
    return grpc.insecure_channel(server, options=options)


def predict(channel: grpc.Channel, model: str, signature: str, inputs: dict, timeout: float = 60.0) -> dict:
    """One Predict call. Inputs and outputs are arrays by name, or lists of bytes. grpc.RpcError where it fails."""
    request = _CLASSES["PredictRequest"]()
    request.model_spec.name, request.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        entry = request.inputs.add(key=name)
        _write(entry.value, value)
    call = channel.unary_unary(
        "/tensorflow.serving.PredictionService/Predict",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=_CLASSES["PredictResponse"].FromString,
    )
    return {entry.key: _read(entry.value) for entry in call(request, timeout=timeout).outputs}


def _write(tensor, value):
    if isinstance(value, list):
        tensor.dtype, shape = _STRING, [len(value)]
        tensor.string_val.extend(value)
    else:
        value = np.asarray(value)
        tensor.dtype, shape = {"f": _FLOAT, "i": _INT64}[value.dtype.kind], value.shape
        tensor.tensor_content = value.astype("<f4" if tensor.dtype == _FLOAT else "<i8").tobytes()
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)


def _read(tensor):
    if tensor.dtype == _STRING:
        return list(tensor.string_val)
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, "<f4" if tensor.dtype == _FLOAT else "<i8").reshape(shape)
    values = np.array(tensor.float_val if tensor.dtype == _FLOAT else tensor.int64_val)
    # The last value stands for all that follow it.
    values = np.concatenate([values, np.repeat(values[-1:], np.prod(shape, dtype=int) - len(values))])
    return values.astype(np.float32 if tensor.dtype == _FLOAT else np.int64).reshape(shape)


def colorize_png(channel: grpc.Channel, model: str, photos: list[bytes], seeds: list[int]):
    """Files' bytes and seeds to a list of (PNG bytes, noise float32 [100])."""
    outputs = predict(channel, model, "colorize_png", {"image_bytes": photos, "seed": np.array(seeds, np.int64)})
    return list(zip(outputs["png_bytes"], outputs["noise"], strict=True))


def colorize(channel: grpc.Channel, model: str, gray: np.ndarray, noise: np.ndarray):
    """gray float32 [batch, s, s, 1] in [0, 1], noise float32 [batch, 100] in [-1, 1] to (rgb, chroma), float32."""
    outputs = predict(channel, model, "serving_default", {"gray": gray, "noise": noise})
    return outputs["rgb"], outputs["chroma"]


def main():
    parser = argparse.ArgumentParser(description="Colours a photo through TF Serving's gRPC port.")
    parser.add_argument("photo", help="a PNG or JPEG")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another colouring")
    parser.add_argument("--output", default="colored.png")
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model", default="colorgan")
    parser.add_argument("--tensors", action="store_true", help="send luminance, get a small picture")
    parser.add_argument("--size", type=int, default=64, help="with --tensors: the size the model was trained at")
    arguments = parser.parse_args()
    try:
        with connect(arguments.server) as channel:
            if arguments.tensors:
                sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
                from rest_client import save_rgb, small_gray

                noise = np.random.RandomState(arguments.seed).uniform(-1, 1, (1, 100)).astype(np.float32)
                gray = small_gray(arguments.photo, arguments.size)
                save_rgb(colorize(channel, arguments.model, gray, noise)[0][0], arguments.output)
            else:
                with open(arguments.photo, "rb") as file:
                    photo = file.read()
                png, _ = colorize_png(channel, arguments.model, [photo], [arguments.seed])[0]
                with open(arguments.output, "wb") as file:
                    file.write(png)
    except grpc.RpcError as error:
        print(f"grpc_client.py: {error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"grpc_client.py: {error}", file=sys.stderr)
        return 1
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
