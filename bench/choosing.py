"""What leaving out the most vivid draws does to the colourings a user is given.

    python -m bench.choosing --photos=val-00000.tar --count=60

Of 16 draws for every photo, small as `Colorizer` looks at them, a share of the calmest is kept, and of these the four
that differ most. For several shares: mean chroma of the four and of the most vivid of them, and the RMS distance
between the closest two, all 0-255; above, the mean chroma of the photos.
Too vivid is exaggeration, too close is no choice.
"""

import os
import sys
import tarfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags

from bench.tar_photos import read_tar

MODEL = flags.DEFINE_string("model", None, "Export to use; the shipped one by default.")
PHOTOS = flags.DEFINE_string("photos", None, "Tar of photos.", required=True)
COUNT = flags.DEFINE_integer("count", 60, "How many photos.", 1)

CHOSEN = 4
SHARES = (1.0, 0.75, 0.5)


def main(argv):
    del argv
    from colorgan_tf import color
    from colorgan_tf.colorizer import DRAWS, Colorizer, draw_noise
    from colorgan_tf.photos import read_photo
    from colorgan_tf.spread import calmest, distances, spread, vividness

    try:
        pictures = read_tar(PHOTOS.value, COUNT.value)
        colorizer = Colorizer(MODEL.value)
    except (OSError, ValueError, tarfile.TarError) as error:
        print(f"bench.choosing: {error}", file=sys.stderr)
        return 1
    noise = draw_noise(0, DRAWS, colorizer.generator.noise_size)
    figures = {share: [] for share in SHARES}
    for rgb in pictures:
        chroma = 255 * colorizer.predict_small(read_photo(rgb), noise)
        for share in SHARES:
            calm = chroma[calmest(chroma, max(CHOSEN, round(share * DRAWS)))]
            four = calm[spread(calm, CHOSEN)]
            apart = distances(four)[np.triu_indices(CHOSEN, 1)]
            figures[share].append((vividness(four).mean(), vividness(four).max(), apart.min()))
    truth = np.mean([255 * vividness(color.rgb_to_yuv(rgb / 255.0)[1][None]) for rgb in pictures])
    print(f"{len(pictures)} photos, mean chroma {truth:.1f}; {CHOSEN} of {DRAWS} draws")
    print("share of the calmest   mean chroma   most vivid   closest two")
    for share, values in figures.items():
        mean, most, closest = np.mean(values, axis=0)
        print(f"{share:20.2f} {mean:13.1f} {most:12.1f} {closest:13.1f}")
    return 0


if __name__ == "__main__":
    app.run(main)
