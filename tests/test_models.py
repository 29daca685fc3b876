"""What the networks see: tested by changing inputs and looking at what moves, not by reading the graph."""

import dataclasses

import keras
import numpy as np
import pytest

from colorgan_tf import models
from colorgan_tf.models import ModelSettings

SMALL = ModelSettings(image_size=32, noise_size=10, generator_filters=(8, 6, 6, 6, 4), discriminator_filters=4)
FORMS = [{"noise_form": "map"}, {"noise_form": "code"}, {"noise_form": "code", "context_filters": 4}]


def small(**changes) -> ModelSettings:
    return dataclasses.replace(SMALL, **changes)


def conv_outputs(generator):
    """A model that gives what goes into and comes out of each of the six convs of the main path."""
    names = [f"conv_{i}" for i in range(5)] + ["color_conv"]
    layers = [generator.get_layer(name) for name in names]
    return keras.Model(generator.inputs, [layer.input for layer in layers]), names


def probe(generator, gray, noise):
    model, _ = conv_outputs(generator)
    return [np.asarray(x) for x in model([gray, noise], training=False)]


def inputs(batch=2, size=32, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.uniform(-1, 1, (batch, size, size, 1)).astype(np.float32),
        rng.uniform(-1, 1, (batch, 10)).astype(np.float32),
    )


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("condition_layers, seeing", [("multi", range(6)), ("single", range(1))])
def test_which_convs_see_gray_directly(form, condition_layers, seeing):
    """The grey image stands, unchanged, among the input channels of every conv (multi) or of the first (single)."""
    generator = models.build_generator(small(condition_layers=condition_layers, **form))
    gray, noise = inputs()
    for i, x in enumerate(probe(generator, gray, noise)):
        has_gray = any(np.array_equal(x[..., c], gray[..., 0]) for c in range(x.shape[-1]))
        assert has_gray == (i in seeing), f"conv {i}"


@pytest.mark.parametrize("noise_layers, expected", [("multi", [0, 1, 2]), ("single", [0])])
@pytest.mark.parametrize("noise_form", ["map", "code"])
def test_only_the_first_convs_are_given_noise(noise_layers, expected, noise_form):
    """Weights say it: noise enters exactly the first three convs, or the first."""
    plain = models.build_generator(small(noise_layers=noise_layers, noise_form=noise_form))
    hidden = SMALL.generator_filters
    given = []
    for i in range(6):
        if noise_form == "map":
            kernel = plain.get_layer(f"conv_{i}" if i < 5 else "color_conv").kernel
            channels_of_features = hidden[i - 1] if i else 0
            if kernel.shape[2] - channels_of_features - 1 == 1:
                given.append(i)
        elif any(layer.name == f"code_{i}" for layer in plain.layers):
            given.append(i)
    assert given == expected


@pytest.mark.parametrize("noise_form", ["map", "code"])
def test_silencing_the_first_three_convs_noise_silences_it_all(noise_form):
    generator = models.build_generator(small(noise_form=noise_form))
    for layer in generator.layers:
        if layer.name.startswith(("code_", "noise_dense")) and layer.weights:
            layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    gray, noise = inputs()
    out = [np.asarray(generator([gray, z], training=False)) for z in (noise, -noise)]
    np.testing.assert_array_equal(*out)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_other_noise_means_other_colours_in_every_place(form):
    generator = models.build_generator(small(**form))
    gray, noise = inputs()
    a, b = (np.asarray(generator([gray, z], training=False)) for z in (noise, noise[::-1].copy()))
    assert (np.abs(a - b) > 0).mean() > 0.99


def test_code_is_what_constant_channels_would_be_away_from_the_border():
    """conv(concat(h, c)) with c constant over the picture = conv(h) + one number per filter."""
    rng = np.random.default_rng(0)
    h = rng.normal(size=(1, 16, 16, 3)).astype(np.float32)
    c = np.broadcast_to(rng.normal(size=(1, 1, 1, 2)), (1, 16, 16, 2)).astype(np.float32)
    kernel = rng.normal(size=(5, 5, 5, 4)).astype(np.float32)
    together = np.asarray(keras.ops.conv(np.concatenate([h, c], -1), kernel, padding="same"))
    code = np.einsum("c,hwcf->f", c[0, 0, 0], kernel[:, :, 3:])
    apart = np.asarray(keras.ops.conv(h, kernel[:, :, :3], padding="same")) + code
    np.testing.assert_allclose(together[:, 2:-2, 2:-2], apart[:, 2:-2, 2:-2], atol=1e-4)


@pytest.mark.parametrize("extras", [{}, {"context_filters": 4, "guided_radius": 4}], ids=str)
@pytest.mark.parametrize("height, width", [(16, 16), (33, 50), (7, 64)])
def test_a_code_generator_paints_any_size(extras, height, width):
    generator = models.build_generator(small(noise_form="code", **extras))
    gray = np.zeros((1, height, width, 1), np.float32)
    assert generator([gray, np.zeros((1, 10), np.float32)]).shape == (1, height, width, 2)


@pytest.mark.parametrize("generator", models.GENERATORS)
@pytest.mark.parametrize("size", [16, 32, 48])
def test_output_size_is_input_size(generator, size):
    model = models.build_generator(small(generator=generator, image_size=size))
    gray, noise = inputs(size=size)
    assert model([gray, noise]).shape == (2, size, size, 2)


def test_no_conv_of_the_papers_generator_strides_or_pools():
    generator = models.build_generator(small())
    for layer in generator.layers:
        assert tuple(getattr(layer, "strides", (1, 1))) == (1, 1)
    grown = [w.shape for w in generator.trainable_weights if len(w.shape) == 4]
    assert [s[0] for s in grown] == [7, 5, 5, 5, 5, 5]


def test_the_papers_sizes_have_the_papers_weight_counts():
    """0.90 M and 4.83 M at s = 64 (design of the released code)."""
    settings = ModelSettings()
    assert models.build_generator(settings).count_params() == pytest.approx(0.90e6, rel=0.01)
    assert models.build_discriminator(settings).count_params() == pytest.approx(4.83e6, rel=0.01)


def test_contrast_generators_have_comparable_weight_counts():
    ours = models.build_generator(ModelSettings()).count_params()
    for name in ("encoder_decoder", "unet"):
        theirs = models.build_generator(ModelSettings(generator=name)).count_params()
        assert 0.5 < theirs / ours < 2, name


@pytest.mark.parametrize("norm", models.NORMALIZATIONS)
def test_only_batch_norm_lets_samples_see_each_other(norm):
    """The gradient penalty needs D(x_i) to depend on x_i alone; in training, that is false with batch statistics."""
    discriminator = models.build_discriminator(small(discriminator_norm=norm))
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 1, 32, 32, 3)).astype(np.float32)
    with_b = np.asarray(discriminator(np.concatenate([a, b]), training=True))[0]
    with_c = np.asarray(discriminator(np.concatenate([a, c * 9]), training=norm != "spectral"))[0]
    assert np.allclose(with_b, with_c, rtol=1e-3, atol=1e-6) == (norm != "batch")


def test_spectral_norm_bounds_every_weight():
    discriminator = models.build_discriminator(small(discriminator_norm="spectral"))
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    for _ in range(50):
        discriminator(x, training=True)
    for layer in discriminator.layers:
        if isinstance(layer, keras.layers.SpectralNormalization):
            kernel = np.asarray(layer.layer.kernel)
            assert np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), 2) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"image_size": 40}, "image_size=40"),
        ({"noise_form": "tensor"}, "noise_form=tensor"),
        ({"generator_filters": (8, 8)}, "generator_filters"),
        ({"dilations": (1, 1, 1, 1, 1, 0)}, "dilations"),
        ({"context_filters": 8}, "context_filters"),
        ({"guided_radius": 4, "color_space": "rgb"}, "guided_radius"),
    ],
)
def test_wrong_settings_are_named(changes, named):
    with pytest.raises(ValueError, match=named) as error:
        small(**changes)
    assert "\n" not in str(error.value)
