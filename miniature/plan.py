"""What is compared: the systems, each an existing flagfile, and the claims of the paper that their figures can show."""

import dataclasses


class Stopped(Exception):
    """A run was stopped by the user and can go on."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A system of the paper.

    flagfile: what it is trained by, before configs/paper_mini.flags. title: in tables. flags: after both files.
    iterations: as a multiple of everybody else's. cost: rough, of an iteration, against Algorithm 1's; for time left.
    """

    name: str
    flagfile: str
    title: str
    flags: tuple[str, ...] = ()
    iterations: int = 1
    cost: float = 1.0


@dataclasses.dataclass(frozen=True)
class Claim:
    """`better` is to have a higher (sign 1) or lower (-1) `figure` than `worse`.

    figure: a key of `page.FIGURES`. says: the claim in the paper. why_not: why the miniature may fail to show it.
    """

    where: str
    says: str
    better: str
    worse: str
    figure: str
    sign: int
    why_not: str


_ABLATIONS = "configs/ablations/"
# Algorithm 1 as printed lets D win within a few hundred iterations, after which log(1 - D) has no slope (its row shows
# it). So that the other comparisons are of colours and not of that, GANs here descend -log D instead.
_GAN = ("--objective=gan_non_saturating",)

BASE = "colorgan"
VARIANTS = (
    Variant(BASE, "configs/paper.flags", "COLORGAN (YUV, multi-layer noise map and condition)", _GAN),
    Variant("saturating", "configs/paper.flags", "the same, Algorithm 1 to the letter"),
    Variant("fig1_regression", f"{_ABLATIONS}fig1_regression.flags", "L2 regression (Fig. 1)", cost=0.7),
    Variant(
        "fig3_encoder_decoder", f"{_ABLATIONS}fig3_encoder_decoder.flags", "encoder-decoder (Fig. 3)", _GAN, cost=0.4
    ),
    Variant("fig3_unet", f"{_ABLATIONS}fig3_unet.flags", "U-Net (Fig. 3)", _GAN, cost=0.4),
    Variant("fig6_rgb_l1", f"{_ABLATIONS}fig6_rgb_l1.flags", "RGB + L1 (Fig. 6)", _GAN),
    Variant(
        "fig7_single_layer_noise", f"{_ABLATIONS}fig7_single_layer_noise.flags", "single-layer noise (Fig. 7)", _GAN
    ),
    Variant(
        "fig8_single_layer_condition",
        f"{_ABLATIONS}fig8_single_layer_condition.flags",
        "single-layer condition (Fig. 8)",
        _GAN,
    ),
    Variant("fig9_wgan", f"{_ABLATIONS}fig9_wgan.flags", "WGAN, twice the iterations (Fig. 9)", iterations=2, cost=2.3),
    Variant(
        "fig9_wgan_gp",
        f"{_ABLATIONS}fig9_wgan_gp.flags",
        "WGAN-GP, twice the iterations (Fig. 9)",
        iterations=2,
        cost=3.0,
    ),
    Variant("noise_code", f"{_ABLATIONS}noise_code.flags", "noise code instead of map (ours)", _GAN),
)
NAMES = tuple(variant.name for variant in VARIANTS)

CLAIMS = (
    Claim(
        "Fig. 1",
        "A regression paints sepia: less colourful than the GAN",
        BASE,
        "fig1_regression",
        "colorfulness",
        1,
        "Half of the colour of a drawn room is in kinds whose mean is itself colourful (floors, lamps, plants).",
    ),
    Claim(
        "Fig. 1",
        "and the same for every noise",
        BASE,
        "fig1_regression",
        "diversity",
        1,
        "",
    ),
    Claim(
        "Fig. 3",
        "Full resolution throughout keeps colours within things better than an encoder-decoder",
        BASE,
        "fig3_encoder_decoder",
        "edge_agreement",
        1,
        "At 32 x 32 an encoder-decoder squeezes rooms of a few large planes through a bottleneck that can hold them.",
    ),
    Claim(
        "Fig. 3",
        "and than a U-Net",
        BASE,
        "fig3_unet",
        "edge_agreement",
        1,
        "A U-Net's skip connections bring the edges of the grey picture to the last layers too.",
    ),
    Claim(
        "Fig. 3",
        "and noise as dropout, as in the U-Net, gives less diversity",
        BASE,
        "fig3_unet",
        "diversity",
        1,
        "Dropout here is a fixed function of z and cannot be averaged away in one picture, as Isola et al.'s can.",
    ),
    Claim(
        "Fig. 6",
        "YUV keeps the photo's luminance",
        BASE,
        "fig6_rgb_l1",
        "luminance_drift",
        -1,
        "",
    ),
    Claim(
        "Fig. 6",
        "and steadier colours than RGB + L1: an item has one colour",
        BASE,
        "fig6_rgb_l1",
        "within_share",
        -1,
        "The paper saw split items late in training on photos with texture; items of drawn rooms are plain.",
    ),
    Claim(
        "Fig. 7",
        "Noise before three convs gives more diversity than before one",
        BASE,
        "fig7_single_layer_noise",
        "diversity",
        1,
        "Noise fades on its way through six convs because G learns to ignore what does not help it; a few hundred "
        "iterations may be too few for that. And batch norm, here behind every conv, scales up again what is left.",
    ),
    Claim(
        "Fig. 7",
        "that is: the spread over z of an item's colour is nearer to the law's",
        BASE,
        "fig7_single_layer_noise",
        "distance_given_photo",
        -1,
        "As above; and more diversity is not more of the right one.",
    ),
    Claim(
        "Fig. 8",
        "The grey photo before every conv gives steadier colours than before the first: an item has one colour",
        BASE,
        "fig8_single_layer_condition",
        "within_share",
        -1,
        "Six convs of 16 filters without stride lose little of a picture of a few planes on the way.",
    ),
    Claim(
        "Fig. 8",
        "and colours stop where things stop",
        BASE,
        "fig8_single_layer_condition",
        "edge_agreement",
        1,
        "As above.",
    ),
    Claim(
        "Fig. 9",
        "WGAN is no better at twice the iterations",
        BASE,
        "fig9_wgan",
        "distance_given_photo",
        -1,
        "Clipping slows a critic down; with rates ten times the published ones that matters less.",
    ),
    Claim(
        "Fig. 9",
        "nor is WGAN with gradient penalty",
        BASE,
        "fig9_wgan_gp",
        "distance_given_photo",
        -1,
        "The paper tried the clipped WGAN; five critic updates an iteration are also five times its data.",
    ),
    Claim(
        "ours",
        "A noise code paints fewer blotches than the paper's noise map",
        "noise_code",
        BASE,
        "within_share",
        -1,
        "",
    ),
    Claim(
        "ours",
        "and its colours stop where things stop",
        "noise_code",
        BASE,
        "edge_agreement",
        1,
        "",
    ),
)
