"""Generators and discriminator as functional Keras models, of Keras' layers and the few of ours in `layers`.

Inside the networks every channel is in [-1, 1] (see `color.to_network`). A generator maps

    y  [batch, s, s, 1]  luminance       z  [batch, noise_size]  noise, uniform in [-1, 1]

to colour [batch, s, s, 2] (U, V) with `color_space="yuv"` or [batch, s, s, 3] (R, G, B) with `color_space="rgb"`;
the discriminator maps a full colour image [batch, s, s, 3] (Y, U, V or R, G, B) to a logit [batch, 1].
Section 3.2 and Fig. 3, 4 of the paper; sizes the paper leaves open follow its released code.
"""

import dataclasses
from collections.abc import Sequence

from keras import Input, Model, initializers, layers, ops

from colorgan_tf.layers import AddCoarse, FusedBatchNorm, GuidedFilter

GENERATORS = ("fully_conv", "encoder_decoder", "unet")
COLOR_SPACES = ("yuv", "rgb")
LAYER_CHOICES = ("multi", "single")
NOISE_FORMS = ("map", "code")
NORMALIZATIONS = ("batch", "layer", "spectral")

FILTERS = (128, 64, 64, 64, 32)  # of the hidden convs; the sixth conv gives the colour channels
KERNELS = (7, 5, 5, 5, 5, 5)
CONTEXT_SCALE = 4
CONTEXT_CONVS = 5
NOISY_CONVS = 3  # "the first half of the generator layers (the first three layers in our case)"


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Everything that decides the shape of the two networks; stored beside every checkpoint and export.

    image_size: pixels, square; a multiple of 16 (the discriminator halves it four times).
    generator: fully_conv is the paper's; encoder_decoder and unet are its contrast (Fig. 3).
    noise_layers, condition_layers: whether z / y enter the first three / all convs ("multi") or only the first.
    noise_form: "map" is the paper's Dense layer to one s x s channel, which ties the generator to one image size;
        "code" gives z to the convs as channels that are constant over the picture, which fits any size.
    generator_filters: of the five hidden convs. dilations: of the six convs, to see more of the room at equal cost.
    context_filters: 0, or the width of a second scale: five convs on the picture made four times smaller, which see 84
        pixels where the paper's six see 27, and tell the first convs what they saw; a tenth of the cost.
    guided_radius: 0, or the radius in pixels of a guided filter behind the last conv, which keeps colours to the edges
        of things (`layers.GuidedFilter`); for yuv.
    discriminator_norm: "batch" is the paper's; "layer" suits a gradient penalty, which is per sample; "spectral".
    synchronized_bn: batch statistics over all replicas instead of each its own.
    """

    image_size: int = 64
    noise_size: int = 100
    generator: str = "fully_conv"
    color_space: str = "yuv"
    noise_layers: str = "multi"
    condition_layers: str = "multi"
    noise_form: str = "map"
    generator_filters: tuple[int, ...] = FILTERS
    dilations: tuple[int, ...] = (1, 1, 1, 1, 1, 1)
    context_filters: int = 0
    guided_radius: int = 0
    discriminator_filters: int = 64
    discriminator_norm: str = "batch"
    synchronized_bn: bool = False

    def __post_init__(self):
        if self.image_size % 16 or self.image_size < 16:
            raise ValueError(f"image_size={self.image_size}: expected a multiple of 16, at least 16")
        for field, allowed in (
            ("generator", GENERATORS),
            ("color_space", COLOR_SPACES),
            ("noise_layers", LAYER_CHOICES),
            ("condition_layers", LAYER_CHOICES),
            ("noise_form", NOISE_FORMS),
            ("discriminator_norm", NORMALIZATIONS),
        ):
            if getattr(self, field) not in allowed:
                raise ValueError(f"{field}={getattr(self, field)}: expected one of {', '.join(allowed)}")
        if self.generator != "fully_conv":
            plain = ModelSettings()
            for field in ("noise_form", "noise_layers", "condition_layers", "dilations"):
                if tuple(getattr(self, field)) != tuple(getattr(plain, field)):
                    raise ValueError(f"{field}={getattr(self, field)}: only for generator=fully_conv")
        if self.context_filters and (self.generator, self.noise_form) != ("fully_conv", "code"):
            raise ValueError("context_filters: the second scale needs generator=fully_conv and noise_form=code")
        if self.guided_radius and self.color_space == "rgb":
            raise ValueError("guided_radius: the guided filter is for chroma; expected 0 with color_space=rgb")
        for field, length in (("generator_filters", 5), ("dilations", 6)):
            values = tuple(int(value) for value in getattr(self, field))
            if len(values) != length or min(values) < 1:
                raise ValueError(f"{field}={values}: expected {length} positive integers")
            object.__setattr__(self, field, values)

    @property
    def any_size(self) -> bool:
        """Whether the generator takes pictures of any height and width."""
        return self.generator == "fully_conv" and self.noise_form == "code"

    @property
    def color_channels(self) -> int:
        """Channels the generator paints: U, V or R, G, B."""
        return 2 if self.color_space == "yuv" else 3


def _conv(filters: int, kernel: int, **kwargs):
    """A conv of stride 1 unless told otherwise; without bias where batch norm, which would take it away, follows."""
    return layers.Conv2D(
        filters, kernel, padding="same", kernel_initializer=initializers.TruncatedNormal(stddev=0.02), **kwargs
    )


def _dense(units: int, **kwargs):
    return layers.Dense(units, kernel_initializer=initializers.RandomNormal(stddev=0.02), **kwargs)


def _batch_norm(settings: ModelSettings, **kwargs):
    if settings.synchronized_bn:
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, synchronized=True, **kwargs)
    return FusedBatchNorm(momentum=0.9, epsilon=1e-5, **kwargs)


def build_generator(settings: ModelSettings) -> Model:
    """The generator G(y, z) named by `settings.generator`, a functional model with inputs [gray, noise].

    The output layer is float32 whatever the precision policy.
    """
    builders = {"fully_conv": _fully_conv, "encoder_decoder": _encoder_decoder, "unet": _unet}
    size = None if settings.any_size else settings.image_size
    gray = Input((size, size, 1), name="gray")
    noise = Input((settings.noise_size,), name="noise")
    color = builders[settings.generator](gray, noise, settings)
    if settings.guided_radius:
        color = GuidedFilter(settings.guided_radius, name="guided_color", dtype="float32")([gray, color])
    return Model([gray, noise], color, name="generator")


def _paint(features, kernel: int, settings: ModelSettings, **kwargs):
    """The last conv and its tanh, in float32 so that 8-bit colours are not rounded by a 16-bit float."""
    color = _conv(settings.color_channels, kernel, name="color_conv", **kwargs)(features)
    return layers.Activation("tanh", dtype="float32", name="color")(color)


def _fully_conv(gray, noise, settings: ModelSettings):
    """Fig. 4, top: six convs of stride 1; y before every one, z before the first three."""
    if settings.noise_form == "map":
        size = settings.image_size
        noise_map = layers.Reshape((size, size, 1))(_dense(size * size, name="noise_dense")(noise))
        noise_map = layers.ReLU(name="noise_map")(_batch_norm(settings, name="noise_bn")(noise_map))

    noisy_convs = NOISY_CONVS if settings.noise_layers == "multi" else 1
    context = _context(gray, noise, settings) if settings.context_filters else None
    features = None
    for i, kernel in enumerate(KERNELS):
        inputs = [] if features is None else [features]
        if i == 0 or settings.condition_layers == "multi":
            inputs.append(gray)
        if i < noisy_convs and settings.noise_form == "map":
            inputs.append(noise_map)
        features = layers.Concatenate(name=f"input_{i}")(inputs) if len(inputs) > 1 else inputs[0]
        if i == len(KERNELS) - 1:
            return _paint(features, kernel, settings, dilation_rate=settings.dilations[i])

        filters = settings.generator_filters[i]
        features = _conv(filters, kernel, dilation_rate=settings.dilations[i], use_bias=False, name=f"conv_{i}")(
            features
        )
        if i < noisy_convs and settings.noise_form == "code":
            features = _add_code(features, noise, filters, name=f"code_{i}")
        if context is not None and 0 < i <= NOISY_CONVS:
            features = AddCoarse(CONTEXT_SCALE, name=f"coarse_{i}")(
                [features, _conv(filters, 1, use_bias=False, name=f"context_to_{i}")(context)]
            )
        features = layers.ReLU(name=f"relu_{i}")(_batch_norm(settings, name=f"bn_{i}")(features))


def _add_code(features, noise, filters: int, name: str):
    """z as channels that are constant over the picture.

    A conv over such channels adds one number per filter; adding that number is the same away from the border, sees no
    border, and costs nothing, where 16 more input channels of the first conv cost a fifth of G.
    """
    code = layers.Reshape((1, 1, filters))(_dense(filters, use_bias=False, name=name)(noise))
    return layers.Add(name=f"{name}_added")([features, code])


def _context(gray, noise, settings: ModelSettings):
    """The second scale: coarse features of y and z, [batch, ceil(h / 4), ceil(w / 4), context_filters]."""
    features = layers.AveragePooling2D(CONTEXT_SCALE, padding="same", name="context_gray")(gray)
    for i in range(CONTEXT_CONVS):
        features = _conv(settings.context_filters, 5, use_bias=False, name=f"context_conv_{i}")(features)
        if i < (NOISY_CONVS if settings.noise_layers == "multi" else 1):
            features = _add_code(features, noise, settings.context_filters, name=f"context_code_{i}")
        features = layers.ReLU(name=f"context_relu_{i}")(_batch_norm(settings, name=f"context_bn_{i}")(features))
    return features


def _down(features, filters: int, name: str, settings: ModelSettings):
    features = _conv(filters, 4, strides=2, use_bias=False, name=f"{name}_conv")(features)
    return layers.LeakyReLU(0.2, name=f"{name}_relu")(_batch_norm(settings, name=f"{name}_bn")(features))


def _up(features, filters: int, name: str, settings: ModelSettings):
    features = layers.Conv2DTranspose(
        filters,
        4,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=initializers.TruncatedNormal(stddev=0.02),
        name=f"{name}_deconv",
    )(features)
    return layers.ReLU(name=f"{name}_relu")(_batch_norm(settings, name=f"{name}_bn")(features))


def _scaled(filters: Sequence[int], settings: ModelSettings) -> list[int]:
    """The contrast generators shrink with the main one, so that their weight counts stay comparable."""
    return [max(4, round(f * settings.generator_filters[0] / FILTERS[0])) for f in filters]


def _encoder_decoder(gray, noise, settings: ModelSettings):
    """Fig. 3, left: strided convs down, deconvs up; y at the entry only, z concatenated at the bottleneck."""
    filters = _scaled((32, 64, 128, 128), settings)
    features = gray
    for i, f in enumerate(filters):
        features = _down(features, f, f"down_{i}", settings)
    size = settings.image_size // 16
    bottleneck = layers.Reshape((size, size, 4))(_dense(size * size * 4, name="noise_dense")(noise))
    features = layers.Concatenate(name="bottleneck")([features, bottleneck])
    for i, f in enumerate(reversed([filters[0], *filters[:-1]])):
        features = _up(features, f, f"up_{i}", settings)
    return _paint(features, 5, settings)


def _unet(gray, noise, settings: ModelSettings):
    """Fig. 3, middle: skip connections i to n - i, and noise only as dropout in the decoder (Isola et al. 2017).

    Their dropout stays on at test time. Here its mask is a fixed random function of z: each unit of a channel mask is
    kept where a frozen Gaussian projection of z is positive, half the time over z. So z alone decides the picture.
    """
    filters = _scaled((32, 64, 96, 128), settings)
    features, skips = gray, []
    for i, f in enumerate(filters):
        features = _down(features, f, f"down_{i}", settings)
        skips.append(features)
    for i, f in enumerate(reversed([filters[0], *filters[:-1]])):
        if i > 0:
            features = layers.Concatenate(name=f"skip_{i}")([features, skips[-1 - i]])
        features = _up(features, f, f"up_{i}", settings)
        if i < NOISY_CONVS:
            projection = layers.Dense(
                f,
                use_bias=False,
                trainable=False,
                kernel_initializer=initializers.RandomNormal(stddev=1.0),
                activation=_keep_positive,
                name=f"dropout_{i}",
            )(noise)
            features = layers.Multiply(name=f"dropped_{i}")([features, layers.Reshape((1, 1, f))(projection)])
    features = layers.Concatenate(name="skip_gray")([features, gray])
    return _paint(features, 5, settings)


def _keep_positive(x):
    """2 where x > 0 and 0 elsewhere: dropout of rate 0.5 with the usual rescaling."""
    return 2.0 * ops.cast(x > 0, x.dtype)


def build_discriminator(settings: ModelSettings) -> Model:
    """D(x) of Fig. 4, bottom: four 5x5 convs of stride 2, Dense 64, one logit (float32, no sigmoid).

    Batch normalization on all convs but the first; `layer` normalizes each sample by itself instead; `spectral` bounds
    the largest singular value of every weight (Miyato et al. 2018) and normalizes nothing.
    """

    def constrained(layer):
        return layers.SpectralNormalization(layer) if settings.discriminator_norm == "spectral" else layer

    size = settings.image_size
    image = Input((size, size, 3), name="image")
    features = image
    for i in range(4):
        filters = settings.discriminator_filters * 2**i
        batch_norm = i > 0 and settings.discriminator_norm == "batch"
        features = constrained(_conv(filters, 5, strides=2, use_bias=not batch_norm, name=f"conv_{i}"))(features)
        if batch_norm:
            features = _batch_norm(settings, name=f"bn_{i}")(features)
        elif i > 0 and settings.discriminator_norm == "layer":
            features = layers.LayerNormalization(axis=[1, 2, 3], name=f"ln_{i}")(features)
        features = layers.LeakyReLU(0.2, name=f"relu_{i}")(features)
    features = constrained(_dense(64, name="dense"))(layers.Flatten()(features))
    features = constrained(_dense(1, name="score"))(features)
    logit = layers.Activation("linear", dtype="float32", name="logit")(features)
    return Model(image, logit, name="discriminator")
