"""The paper's figures from what was just measured.

Groups of truth and colourings (Fig. 10), grids of one photo (Fig. 7), systems side by side (Fig. 6, 8, 9).

Only a few photos are drawn for them, and of these only the pictures that will be shown are kept, as bytes.
"""

import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colorgan_tf.evaluation.classifier import to_bytes
from colorgan_tf.evaluation.measure import TRUTH
from colorgan_tf.evaluation.sources import Batch, Subsample

GROUPS, GROUP_SIZE = 20, 4  # Fig. 10: 20 groups of truth and four colourings
GRIDS = 2  # photos that get a grid of all their colourings
ROWS, ROW_SIZE = 8, 3  # side by side: photos, and colourings of each by every system
GAP = 2  # pixels between pictures
WHITE = 255


class Pictures:
    """Gathers pictures during the pass (an observer of `measure.run`), and writes them afterwards."""

    def __init__(self, seed: int):
        self._seed = seed
        self._groups: dict[str, Subsample] = {}  # by system: (first colourings [GROUP_SIZE, s, s, 3])
        self._grids: dict[str, Subsample] = {}  # by system: as many colourings as make a square

    def __call__(self, name: str, batch: Batch, rgb: np.ndarray) -> None:
        """See `measure.Observer`."""
        # One purpose for groups and grids: the photos with a grid are then the first of those with a group.
        groups = self._groups.setdefault(name, Subsample(GROUPS, self._seed, "pictures"))
        grids = self._grids.setdefault(name, Subsample(GRIDS, self._seed, "pictures"))
        side = math.isqrt(rgb.shape[1])
        for key, colourings in zip(batch.keys, rgb, strict=True):
            groups.offer(key, lambda shown=colourings: to_bytes(shown[:GROUP_SIZE]))
            if side > 1:
                grids.offer(key, lambda shown=colourings: to_bytes(shown[: side * side]))

    def write(self, directory: str, systems: list[str]) -> dict[str, list[str]]:
        """Writes the figures of these systems; gives back the file names by kind."""
        os.makedirs(directory, exist_ok=True)
        truth = {key: shown[0] for key, shown in self._groups[TRUTH].items()}
        written: dict[str, list[str]] = {"side_by_side": [], "groups": [], "grids": []}

        def save(kind, name, canvas, header=None):
            image = Image.fromarray(canvas)
            image = _with_header(image, header) if header else image
            image.save(os.path.join(directory, name))
            written[kind].append(name)

        if systems:
            rows, header = self._side_by_side(truth, systems)
            save("side_by_side", "side_by_side.png", montage(rows), header)
        for name in systems:
            groups = [np.concatenate([truth[key][None], shown]) for key, shown in self._groups[name].items()]
            save("groups", f"groups_{name}.png", group_page(groups))
            for index, (_, shown) in enumerate(self._grids[name].items()):
                side = math.isqrt(len(shown))
                save("grids", f"grid_{name}_{index}.png", montage(shown.reshape(side, side, *shown.shape[1:])))
        return written

    def keys(self) -> list[str]:
        """Of the photos shown, in the order of the groups; the first ones are those of the rows and grids."""
        return [key for key, _ in self._groups[TRUTH].items()]

    def _side_by_side(self, truth, systems):
        """One row a photo: grey, truth, then ROW_SIZE colourings by each system; and the columns' header."""
        shown = {name: dict(self._groups[name].items()) for name in systems}
        rows = []
        for key in list(truth)[:ROWS]:
            gray = Batch([key], truth[key][None].astype(np.float32) / 255.0).gray[0]
            row = [to_bytes(np.repeat(gray, 3, axis=-1)), truth[key]]
            for name in systems:
                row.extend(shown[name][key][:ROW_SIZE])
            rows.append(np.stack(row))
        size = rows[0].shape[1] + GAP
        header, column = [(0, "grey"), (size, "truth")], 2
        for name in systems:
            header.append((column * size, name))
            column += len(next(iter(shown[name].values()))[:ROW_SIZE])
        return np.stack(rows), header


def montage(pictures: np.ndarray, gap: int = GAP) -> np.ndarray:
    """uint8 [rows, columns, h, w, 3] to one picture [.., .., 3], white between."""
    rows, columns, height, width = pictures.shape[:4]
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), WHITE, np.uint8)
    for i in range(rows):
        for j in range(columns):
            top, left = i * (height + gap), j * (width + gap)
            canvas[top : top + height, left : left + width] = pictures[i, j]
    return canvas


def group_page(groups: list[np.ndarray], columns: int = 2) -> np.ndarray:
    """Fig. 10: groups uint8 [n, h, w, 3] (truth first), `columns` groups beside each other, wider gaps between them."""
    strips = [montage(group[None]) for group in groups]
    strips += [np.full_like(strips[0], WHITE)] * (-len(strips) % columns)
    height, width = strips[0].shape[:2]
    return montage(np.stack(strips).reshape(-1, columns, height, width, 3), gap=4 * GAP)


def _with_header(image, header):
    """The picture with a line of names above, each at its column's left edge."""
    font = ImageFont.load_default()
    page = Image.new("RGB", (image.width, image.height + 14), (WHITE,) * 3)
    draw = ImageDraw.Draw(page)
    for left, text in header:
        draw.text((left, 1), text, fill=(0, 0, 0), font=font)
    page.paste(image, (0, 14))
    return page
