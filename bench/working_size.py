"""At which size, and in which shape, should the generator see a photo?

    python -m bench.working_size --model=exports/colorgan --photos=val-00000.tar

Photos from a tar (96 pixels square in the figures of docs/colorize.md) are coloured at several working sizes, brought
up to their own size as colorize.py does, and measured there; then their middle two thirds (3 : 2), squeezed to a square
or in their own shape. Edge agreement, roughness, colorfulness, best-of-k distance to the truth: colorgan_tf/metrics.py.
"""

import os
import sys
import tarfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

from bench.tar_photos import read_tar

MODEL = flags.DEFINE_string("model", None, "Export to use, one for any size.")
PHOTOS = flags.DEFINE_string("photos", None, "Tar of photos.")
COUNT = flags.DEFINE_integer("count", 40, "How many photos.", 1)
DRAWS = flags.DEFINE_integer("draws", 8, "Colourings of each.", 1)

flags.mark_flags_as_required(["model", "photos"])


def measure(colorizer, pictures: list[np.ndarray], sizes: list[tuple[int, int]]) -> str:
    """One line of figures for pictures coloured at working sizes (height, width)."""
    from colorgan_tf import color, metrics, photos, upsample
    from colorgan_tf.colorizer import draw_noise, reduced

    noise = draw_noise(0, DRAWS.value, colorizer.generator.noise_size)
    edges, rough, colorful, best = [], [], [], []
    for rgb, size in zip(pictures, sizes, strict=True):
        photo = photos.read_photo(rgb)
        y, truth = color.rgb_to_yuv(rgb / 255.0)
        middle = reduced(photo, *upsample.middle_size(y.shape[:2], size))
        chroma = [
            np.stack(upsample.fit(middle, small).rows(photo.gray(), 0, len(y)), axis=-1)
            for small in colorizer._predict(reduced(photo, *size), noise)
        ]
        chroma = color.fit_chroma(np.broadcast_to(y, (len(chroma), *y.shape)), np.stack(chroma))
        edges.extend(metrics.edge_agreement(y, chroma))
        rough.extend(np.square(metrics.roughness(y, chroma)))
        colorful.extend(metrics.colorfulness(color.yuv_to_rgb(np.broadcast_to(y, (len(chroma), *y.shape)), chroma)))
        best.append(metrics.truth_distance(chroma, truth).min())
    return f"{np.mean(edges):6.3f} {np.sqrt(np.mean(rough)):6.2f} {np.mean(colorful):6.1f} {np.mean(best):6.2f}"


def truth(pictures: list[np.ndarray]) -> str:
    """The same figures of the photos themselves."""
    from colorgan_tf import color, metrics

    pairs = [color.rgb_to_yuv(rgb / 255.0) for rgb in pictures]
    edges = np.mean([metrics.edge_agreement(y, uv) for y, uv in pairs])
    rough = np.sqrt(np.mean([metrics.roughness(y, uv) ** 2 for y, uv in pairs]))
    return f"{edges:6.3f} {rough:6.2f} {np.mean([metrics.colorfulness(rgb) for rgb in pictures]):6.1f}   0.00"


def main(argv):
    del argv
    from colorgan_tf.colorizer import Colorizer, working_size

    try:
        pictures = read_tar(PHOTOS.value, COUNT.value)
        colorizer = Colorizer(MODEL.value)
        if not colorizer.generator.any_size:
            raise ValueError(f"{MODEL.value}: takes one size only")
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"bench.working_size: {error}", file=sys.stderr)
        return 1
    trained = colorizer.generator.image_size
    print(f"{len(pictures)} photos, {DRAWS.value} colourings each, trained at {trained}")
    print(f"{'':28s}  edges  rough colour   best")
    print(f"{'truth':28s} {truth(pictures)}")
    for side in (trained // 2, trained * 3 // 4, trained, trained * 5 // 4, trained * 3 // 2, trained * 2):
        sizes = [working_size(*rgb.shape[:2], side) for rgb in pictures]
        print(f"{f'shorter side {side}':28s} {measure(colorizer, pictures, sizes)}", flush=True)

    strips = [np.ascontiguousarray(rgb[len(rgb) // 6 : len(rgb) * 5 // 6]) for rgb in pictures]
    area = round(trained / np.sqrt(1.5))  # as many pixels as the square it was trained at
    print(f"{'3 : 2: truth':28s} {truth(strips)}")
    for name, size in (("squeezed to the square", (trained, trained)), ("shorter side", (trained, trained * 3 // 2)),
                       ("same area", (area, round(area * 1.5)))):  # fmt: skip
        print(f"{f'3 : 2: {name}':28s} {measure(colorizer, strips, [size] * len(strips))}", flush=True)
    return 0


if __name__ == "__main__":
    app.run(main)
