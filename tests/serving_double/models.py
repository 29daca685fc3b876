"""Exports run as a model server runs them: the C++ Session on the graph in saved_model.pb, with or without batching."""

import os
import re
import threading

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2


class LoadedModel:
    """One version folder in a Session of its own. Threads may share it."""

    def __init__(self, folder: str):
        graph = tf.Graph()
        self.session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(self.session, ["serve"], folder)
        self.signatures = {name: s for name, s in meta_graph.signature_def.items() if s.inputs}
        self.version = int(os.path.basename(os.path.normpath(folder)))
        self._callables = {}
        self._lock = threading.Lock()

    def run(self, signature: str, inputs: dict, wanted=()) -> dict:
        """Outputs by name; tf.errors for whatever is wrong, the server's own checks of names and types included."""
        if signature not in self.signatures:
            raise tf.errors.InvalidArgumentError(None, None, f'Serving signature name: "{signature}" not found')
        definition = self.signatures[signature]
        if set(inputs) != set(definition.inputs):
            message = f"input size does not match signature: {sorted(inputs)}, expected {sorted(definition.inputs)}"
            raise tf.errors.InvalidArgumentError(None, None, message)
        for name, value in inputs.items():
            expected = tf.as_dtype(definition.inputs[name].dtype)
            found = tf.string if value.dtype.kind in "OS" else tf.as_dtype(value.dtype)
            if found != expected:
                message = f"input {name}: expected the type {expected.name}, got {found.name}"
                raise tf.errors.InvalidArgumentError(None, None, message)
        for name in wanted:
            if name not in definition.outputs:
                raise tf.errors.InvalidArgumentError(None, None, f"output tensor alias not found in signature: {name}")
        outputs = sorted(wanted or definition.outputs)
        names = sorted(inputs)
        values = self._callable(signature, names, outputs)(*(inputs[name] for name in names))
        return dict(zip(outputs, values, strict=True))

    def _callable(self, signature, names, outputs):
        """The Session from below its Python, which would look at shapes; a server leaves that to C++."""
        key = (signature, *outputs)
        with self._lock:
            if key not in self._callables:
                definition = self.signatures[signature]
                options = config_pb2.CallableOptions()
                options.feed.extend(definition.inputs[name].name for name in names)
                options.fetch.extend(definition.outputs[name].name for name in outputs)
                self._callables[key] = self.session._make_callable_from_options(options)
            return self._callables[key]

    def close(self):
        self.session.close()


def read_batching_parameters(path: str) -> dict:
    """batching_parameters.txt as keyword arguments of TensorFlow's batch function."""
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"#.*", "", file.read())
    single = {name: int(value) for name, value in re.findall(r"(\w+)\s*\{\s*value\s*:\s*(\d+)\s*\}", text)}
    single["allowed_batch_sizes"] = [int(size) for size in re.findall(r"allowed_batch_sizes\s*:\s*(\d+)", text)]
    return single


def write_batched(folder: str, target: str, parameters: dict) -> None:
    """A SavedModel whose signatures are those of `folder`, each behind TensorFlow's batch scheduler."""
    module = tf.Module()
    module.loaded = tf.saved_model.load(folder)
    module.functions = {}
    for name, signature in module.loaded.signatures.items():
        specs = signature.structured_input_signature[1]

        def together(*values, signature=signature, names=tuple(specs)):
            return signature(**dict(zip(names, values, strict=True)))

        batched = tf.nondifferentiable_batch_function(**parameters, enable_large_batch_splitting=False)(together)
        module.functions[name] = tf.function(
            batched, input_signature=[tf.TensorSpec(s.shape, s.dtype, n) for n, s in specs.items()], autograph=False
        )

    tf.saved_model.save(module, target, signatures=module.functions)


def to_array(tensor_proto) -> np.ndarray:
    """A request's TensorProto as an array."""
    try:
        return tf.make_ndarray(tensor_proto)
    except Exception as error:
        raise tf.errors.InvalidArgumentError(None, None, f"a tensor that cannot be read: {error}") from None
