"""Drawn rooms as PNG files, to look at or to colour.

    python -m data.draw --count=6 --size=256 --output=outputs/rooms

Room number N is the same picture at every size (up to detail) and the one that the converter draws for key room-N.
"""

import os
import sys

from absl import app, flags
from PIL import Image

from data import rooms

OUTPUT = flags.DEFINE_string("output", None, "Directory for room-NUMBER.png.", required=True)
COUNT = flags.DEFINE_integer("count", 6, "How many rooms.", lower_bound=1)
SIZE = flags.DEFINE_integer("size", 256, "Pixels a side.", 8, 2048)
FIRST = flags.DEFINE_integer("first", 0, "Number of the first room.", lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "As in data.convert.", lower_bound=0)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]}")
    try:
        os.makedirs(OUTPUT.value, exist_ok=True)
        for number in range(FIRST.value, FIRST.value + COUNT.value):
            room = rooms.draw_room(number, SEED.value, SIZE.value)
            Image.fromarray(room.rgb).save(os.path.join(OUTPUT.value, f"room-{number:08d}.png"))
    except OSError as error:
        print(f"data.draw: {error}", file=sys.stderr)
        return 1
    print(f"{COUNT.value} rooms in {OUTPUT.value}")
    return 0


if __name__ == "__main__":
    app.run(main)
