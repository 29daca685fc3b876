"""What an export holds: the same function as the generator, in every form, by TF Serving's rules."""

import concurrent.futures
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from colorgan_tf import folding, formats, inference, serving, warmup
from colorgan_tf.models import ModelSettings
from tests import serving_helpers as helpers
from tests.serving_double.models import LoadedModel

GENERATORS = {
    "map": helpers.MAP,
    "code": helpers.CODE,
    "code_rgb": ModelSettings(**helpers.SMALL, noise_form="code", color_space="rgb"),
    "single": ModelSettings(**helpers.SMALL, noise_layers="single", condition_layers="single"),
    "unet": ModelSettings(**helpers.SMALL, generator="unet"),
    "encoder_decoder": ModelSettings(**helpers.SMALL, generator="encoder_decoder"),
}


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Version folders of the `code` generator: folded, plain, bfloat16, batching."""
    folder = tmp_path_factory.mktemp("exports") / "colorgan"
    options = [{}, {"fold": False}, {"precision": "bfloat16"}, {"batching": True}]
    paths = [helpers.export(folder, helpers.CODE, serving.Options(**o)) for o in options]
    return dict(zip(("folded", "plain", "bfloat16", "batching"), paths, strict=True))


@pytest.mark.parametrize("name", GENERATORS)
def test_folding_keeps_the_function_and_the_original(name):
    generator = helpers.make_generator(GENERATORS[name])
    before = [weight.copy() for weight in generator.get_weights()]
    gray, noise = helpers.inputs(3, 32)
    expected = generator([2 * gray - 1, noise], training=False).numpy()
    folded = folding.fold_batch_norm(generator)
    assert expected.std() > 0.05
    np.testing.assert_allclose(folded([2 * gray - 1, noise], training=False), expected, atol=1e-5)
    assert not [layer for layer in folded.layers if "BatchNorm" in type(layer).__name__]
    for old, new in zip(before, generator.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_batch_norm_behind_a_nonlinearity_is_refused():
    import keras

    gray, noise = keras.Input((8, 8, 1)), keras.Input((4,))
    features = keras.layers.ReLU(name="bend")(keras.layers.Conv2D(2, 3, padding="same")(gray))
    model = keras.Model([gray, noise], keras.layers.BatchNormalization(name="norm")(features))
    with pytest.raises(ValueError, match="norm follows bend"):
        folding.fold_batch_norm(model)


def test_folded_plain_and_the_generator_agree(exports):
    gray, noise = helpers.inputs(4, 32)
    painted = helpers.make_generator(helpers.CODE)([2 * gray - 1, noise], training=False).numpy()
    for name in ("folded", "plain", "batching"):
        rgb, chroma = inference.load_export(exports[name])(gray, noise)
        np.testing.assert_allclose(chroma, painted / 2, atol=1e-5, err_msg=name)
        luminance = rgb @ np.float32([0.299, 0.587, 0.114])
        np.testing.assert_allclose(luminance, gray[..., 0], atol=1e-5, err_msg=name)


def test_bfloat16_is_near_and_gives_float32(exports):
    gray, noise = helpers.inputs(4, 32)
    expected = inference.load_export(exports["plain"])(gray, noise)[1]
    chroma = inference.load_export(exports["bfloat16"])(gray, noise)[1]
    assert chroma.dtype == np.float32 and 1e-5 < np.abs(chroma - expected).max() < 0.05


def test_numbered_versions_and_nothing_half_written(exports, tmp_path):
    assert [os.path.basename(path) for path in exports.values()] == ["1", "2", "3", "4"]

    def fail(folder):
        assert os.path.exists(os.path.join(folder, "saved_model.pb"))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        helpers.export(tmp_path, helpers.CODE, finish=fail)
    assert os.listdir(tmp_path) == []


def test_the_rules_of_tf_serving(exports):
    """Tag serve (the loader asks for it); leading free batch dimension everywhere; _bytes on bytes and nothing else."""
    for path in exports.values():
        model = LoadedModel(path)
        assert set(model.signatures) == {"serving_default", "colorize_png"}
        for definition in model.signatures.values():
            for name, info in {**definition.inputs, **definition.outputs}.items():
                shape = tf.TensorShape(info.tensor_shape)
                assert shape.rank >= 1 and shape[0] is None, name
                assert name.endswith("_bytes") == (info.dtype == tf.string.as_datatype_enum), name
        model.close()


def test_answers_do_not_depend_on_the_batch(exports):
    gray, noise = helpers.inputs(9, 32)
    photos = [helpers.encode(helpers.picture(seed=i)) for i in range(5)]
    for path in exports.values():
        model = LoadedModel(path)
        whole = model.run("serving_default", {"gray": gray, "noise": noise})
        for first, last in ((0, 1), (3, 4), (2, 7), (1, 9)):
            part = model.run("serving_default", {"gray": gray[first:last], "noise": noise[first:last]})
            for name, value in part.items():
                np.testing.assert_array_equal(value, whole[name][first:last])
        seeds = np.array([5, -3, 2**62, 0, 5])
        whole = model.run("colorize_png", {"image_bytes": np.array(photos, object), "seed": seeds})
        for i, photo in enumerate(photos):
            one = model.run("colorize_png", {"image_bytes": np.array([photo], object), "seed": seeds[i : i + 1]})
            assert one["png_bytes"][0] == whole["png_bytes"][i]
            np.testing.assert_array_equal(one["noise"][0], whole["noise"][i])
        assert np.array_equal(whole["noise"][0], whole["noise"][4]) and whole["png_bytes"][0] != whole["png_bytes"][4]
        assert np.abs(whole["noise"]).max() <= 1 and abs(whole["noise"].mean()) < 0.15 and whole["noise"].std() > 0.5
        model.close()


@pytest.mark.parametrize(
    "change, word",
    [
        ({"gray": np.zeros((2, 32, 32, 3), np.float32)}, "gray: expected the shape"),
        ({"gray": np.zeros((2, 32, 32), np.float32)}, "gray"),
        ({"gray": np.full((2, 32, 32, 1), 255.0, np.float32)}, r"gray: expected values in \[0, 1\]"),
        ({"noise": np.zeros((2, 99), np.float32)}, r"noise: expected the shape \[batch, 100\]"),
        ({"noise": np.zeros((1, 100), np.float32)}, "one batch size"),
        ({"noise": np.full((2, 100), np.nan, np.float32)}, r"noise: expected values in \[-1, 1\]"),
    ],
)
def test_wrong_tensors_are_named(exports, change, word):
    gray, noise = helpers.inputs(2, 32)
    for name in ("folded", "batching"):
        model = LoadedModel(exports[name])
        with pytest.raises(tf.errors.InvalidArgumentError, match=word):
            model.run("serving_default", {"gray": gray, "noise": noise} | change)
        model.close()


def test_a_fixed_size_export_says_its_size(tmp_path):
    model = LoadedModel(helpers.export(tmp_path, helpers.MAP))
    gray, noise = helpers.inputs(2, 40)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"gray: expected the shape \[batch, 32, 32, 1\]"):
        model.run("serving_default", {"gray": gray, "noise": noise})
    model.close()


def test_other_picture_sizes(exports):
    gray, noise = helpers.inputs(2, 37, 50)
    expected = helpers.make_generator(helpers.CODE)([2 * gray - 1, noise], training=False).numpy() / 2
    for name in ("folded", "batching"):
        np.testing.assert_allclose(inference.load_export(exports[name])(gray, noise)[1], expected, atol=1e-5)


def test_requests_share_batches_inside_the_graph():
    """Without this, that a bad request harms nobody there would say nothing."""

    def count(gray, noise):
        return tf.fill(tf.shape(gray), tf.shape(gray)[0]), tf.identity(noise)

    together = tf.function(
        serving.batched(count), input_signature=[tf.TensorSpec([None, 8, 8, 1]), tf.TensorSpec([None, 100])]
    )
    values = [tf.constant(value) for value in helpers.inputs(1, 8)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        sizes = [int(tf.reduce_max(call.result()[0])) for call in [pool.submit(together, *values) for _ in range(200)]]
    assert max(sizes) > 1 and set(sizes) <= set(serving.BATCH_SIZES)


def test_runs_in_saved_model_cli(exports, tmp_path):
    """TensorFlow's own tool, in a process that knows nothing of this project."""
    gray, noise = helpers.inputs(2, 32)
    np.savez(tmp_path / "in.npz", gray=gray, noise=noise)
    program = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    command = [program, "run", "--dir", exports["folded"], "--tag_set", "serve", "--signature_def", "serving_default"]
    command += ["--inputs", f"gray={tmp_path}/in.npz[gray];noise={tmp_path}/in.npz[noise]", "--outdir", str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    expected = inference.load_export(exports["folded"])(gray, noise)
    np.testing.assert_allclose(np.load(tmp_path / "rgb.npy"), expected[0], atol=1e-6)
    np.testing.assert_allclose(np.load(tmp_path / "chroma.npy"), expected[1], atol=1e-6)


@pytest.mark.parametrize("name", ["tflite", "onnx"])
@pytest.mark.parametrize("settings", [helpers.MAP, helpers.CODE], ids=["map", "code"])
def test_other_formats_are_written_checked_and_agree(name, settings, tmp_path):
    if name == "onnx":
        pytest.importorskip("tf2onnx")
        pytest.importorskip("onnxruntime")
    generator = helpers.make_generator(settings)
    path = helpers.export(tmp_path, settings, finish=lambda f: formats.write(f, [name], generator, settings))
    file = os.path.join(path, formats.FILES[name])
    gray, noise = helpers.inputs(3, 32, seed=5)
    expected = inference.load_export(path)(gray, noise)
    if name == "tflite":
        found = tf.lite.Interpreter(model_path=file).get_signature_runner()(gray=gray, noise=noise)
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(file)
        found = dict(
            zip(("rgb", "chroma"), session.run(["rgb", "chroma"], {"gray": gray, "noise": noise}), strict=True)
        )
    np.testing.assert_allclose(found["rgb"], expected[0], atol=1e-5)
    np.testing.assert_allclose(found["chroma"], expected[1], atol=1e-5)


def test_a_format_that_differs_is_refused(tmp_path):
    """Another generator's weights stand for a converter that went wrong."""
    other = helpers.make_generator(helpers.MAP, seed=1)
    with pytest.raises(
        ValueError, match=r"tflite: (rgb|chroma) differs from the SavedModel's by [\d.]+; at most 0.0001"
    ):
        helpers.export(tmp_path, helpers.MAP, finish=lambda f: formats.write(f, ["tflite"], other, helpers.MAP))
    assert os.listdir(tmp_path) == []
    expected = np.zeros((1, 4, 4, 2), np.float32)
    for wrong in (np.full_like(expected, np.nan), expected + 2e-4, expected[..., :1]):
        with pytest.raises(ValueError, match="chroma"):
            formats.compare("onnx", "chroma", wrong, expected)


def test_warm_up_records_cover_signatures_and_batch_sizes(tmp_path):
    pytest.importorskip("tensorflow_serving")
    from tensorflow_serving.apis import prediction_log_pb2

    path = helpers.export(tmp_path, helpers.MAP, finish=lambda f: warmup.write(f, helpers.MAP, "colorgan"))
    found = set()
    for record in tf.data.TFRecordDataset(os.path.join(path, warmup.FILE)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        first = next(iter(request.inputs.values()))
        found.add((request.model_spec.signature_name, first.tensor_shape.dim[0].size))
        assert request.model_spec.name == "colorgan"
    assert found == {(s, b) for s in ("serving_default", "colorize_png") for b in serving.BATCH_SIZES}


def test_info_beside_the_model(exports):
    with open(os.path.join(exports["folded"], "colorgan.json"), encoding="utf-8") as file:
        info = json.load(file)
    assert (info["image_size"], info["any_size"], info["step"], info["run"]) == (32, True, 7, "test")
