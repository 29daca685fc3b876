"""How much it matters whether Algorithm 2 normalizes by the minibatch, as in the paper, or by moving averages.

    python -m bench.batch_statistics --run=runs/photos --data=datasets/val64

Prints a table. All figures are RMS distances of (U, V) on the 0-255 scale, over the same photos and the same noise.
`evaluate.py --normalization=both` gives the metrics of both beside each other.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import itertools
import sys

import numpy as np
from absl import app, flags

RUN = flags.DEFINE_string("run", None, "Run directory of train.py.", required=True)
DATA = flags.DEFINE_string("data", None, "Directory written by data.convert.", required=True)
STEP = flags.DEFINE_integer("step", None, "Which checkpoint; the newest by default.", lower_bound=0)
SIZES = flags.DEFINE_list("batch_sizes", ["2", "4", "8", "16", "64"], "Minibatches to colour the photos in.")
COUNT = flags.DEFINE_integer("photos", 128, "How many photos.", lower_bound=2)
K = flags.DEFINE_integer("k", 4, "Rounds of Algorithm 2.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 0, "Of the noise and of who is in a batch with whom.", lower_bound=0)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    try:
        compare()
    except (ValueError, OSError) as error:
        print(f"bench.batch_statistics: {error}", file=sys.stderr)
        return 1


def compare():
    from colorgan_tf import color, metrics, sampling
    from colorgan_tf.evaluation.sources import from_data_dir
    from colorgan_tf.runs import load_generator

    sizes = [int(size) for size in SIZES.value]
    model, settings, step = load_generator(RUN.value, STEP.value)
    photos = list(itertools.islice(from_data_dir(DATA.value, "val", settings.image_size), COUNT.value))
    keys, rgb = [key for key, _ in photos], np.stack([picture for _, picture in photos])
    gray = np.asarray(color.luminance(rgb), np.float32)

    def colour(generator, order, size):
        """Shown chroma [n, k, s, s, 2] of the photos, coloured in minibatches of the given order, put back in place."""
        shown = np.empty((len(keys), K.value, *gray.shape[1:3], 2), np.float32)
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            batch = [keys[i] for i in chosen]
            pictures = sampling.sample(generator, gray[chosen], batch, K.value, settings.noise_size, SEED.value)[0]
            shown[chosen] = color.rgb_to_yuv(pictures)[1]
        return shown

    def distance(a, b):
        return float(np.mean(metrics.truth_distance(a, b)))

    rng = np.random.default_rng(SEED.value)
    straight, mixed = np.arange(len(keys)), rng.permutation(len(keys))
    moving = sampling.keras_generator(model)
    batch = sampling.keras_generator(model, batch_statistics=True)
    reference = colour(moving, straight, max(sizes))
    again = colour(moving, mixed, max(sizes))

    def by_noise(shown):
        """Distance between two colourings of one photo from different noise."""
        return np.mean([metrics.pairwise_rms(colourings) for colourings in shown])

    print(f"{RUN.value}, step {step}: {len(keys)} photos, k = {K.value}, seed {SEED.value}\n")
    print("| minibatch | from moving averages | when its companions change | when the noise changes |")
    print("| --- | --- | --- | --- |")
    print(f"| any, moving averages | 0 | {distance(reference, again):.2g} | {by_noise(reference):.2f} |")
    for size in sizes:
        one, other = colour(batch, straight, size), colour(batch, mixed, size)
        print(
            f"| {size} | {distance(one, reference):.2f} | {distance(one, other):.2f} | {by_noise(one):.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
