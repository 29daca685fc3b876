"""The page's pictures: two systems beside each other on the same drawn rooms with the same noise."""

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colorgan_tf.evaluation import systems
from colorgan_tf.evaluation.classifier import to_bytes
from colorgan_tf.evaluation.pictures import montage
from colorgan_tf.evaluation.sources import Batch
from data import judging
from miniature.plan import BASE

ROWS, COLUMNS = 4, 5
SCALE = 2  # 32 pixels are small on a page
_HEADER = 14
PAIRS = (
    ("fig1", "Fig. 1: COLORGAN and an L2 regression", BASE, "fig1_regression"),
    ("fig3a", "Fig. 3: COLORGAN and an encoder-decoder", BASE, "fig3_encoder_decoder"),
    ("fig3b", "Fig. 3: COLORGAN and a U-Net", BASE, "fig3_unet"),
    ("fig6", "Fig. 6: YUV and RGB + L1", BASE, "fig6_rgb_l1"),
    ("fig7", "Fig. 7: multi-layer and single-layer noise", BASE, "fig7_single_layer_noise"),
    ("fig8", "Fig. 8: multi-layer and single-layer condition", BASE, "fig8_single_layer_condition"),
    ("fig9a", "Fig. 9: GAN and WGAN at twice the iterations", BASE, "fig9_wgan"),
    ("fig9b", "Fig. 9: GAN and WGAN-GP at twice the iterations", BASE, "fig9_wgan_gp"),
    ("saturating", "G descends -log D, and log(1 - D) as Algorithm 1 has it", BASE, "saturating"),
    ("code", "The paper's noise map and our noise code", BASE, "noise_code"),
)


def side_by_side(rgb: np.ndarray, gray: np.ndarray, painted: Sequence[tuple[str, np.ndarray]]) -> Image.Image:
    """Rows of grey, truth and each system's colourings, under a line of names.

    rgb [n, s, s, 3] and gray [n, s, s, 1] in [0, 1]; painted: (name, [n, k, s, s, 3] in [0, 1]).
    """
    columns = [np.repeat(gray, 3, axis=-1)[:, None], rgb[:, None], *(pictures for _, pictures in painted)]
    canvas = Image.fromarray(montage(to_bytes(np.concatenate(columns, axis=1))))
    canvas = canvas.resize((canvas.width * SCALE, canvas.height * SCALE), Image.Resampling.NEAREST)
    page = Image.new("RGB", (canvas.width, canvas.height + _HEADER), "white")
    page.paste(canvas, (0, _HEADER))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default()
    step, column = (rgb.shape[1] + 2) * SCALE, 0
    for name, width in (("grey", 1), ("truth", 1), *((name, pictures.shape[1]) for name, pictures in painted)):
        draw.text((column * step, 1), name, fill="black", font=font)
        column += width
    return page


def write(runs: dict[str, str], image_size: int, directory: str, seed: int) -> dict[str, str]:
    """Writes the pictures whose two systems are in `runs` (name -> run directory); caption -> file name."""
    rooms = judging.draw_rooms(ROWS, image_size, seed)
    rgb = np.stack([room.rgb for room in rooms]).astype(np.float32) / np.float32(255.0)
    batch = Batch([f"shown-{i}" for i in range(ROWS)], rgb)
    os.makedirs(directory, exist_ok=True)
    painted: dict[str, np.ndarray] = {}
    for name in {name for pair in PAIRS for name in pair[2:]} & set(runs):
        painted[name] = systems.load_models(name, runs[name], COLUMNS, seed)[0][0].paint(batch)
    written = {}
    for file_name, caption, *names in PAIRS:
        if all(name in painted for name in names):
            page = side_by_side(rgb, batch.gray, [(name, painted[name]) for name in names])
            page.save(os.path.join(directory, f"{file_name}.png"), optimize=True)
            written[caption] = f"{file_name}.png"
    return written
