"""Whether an export's LiteRT and ONNX files paint what its SavedModel paints, on photos.

python export.py --run_dir=runs/photos --format=saved_model,tflite,onnx
python -m bench.agreement --export=exports/colorgan --data=datasets/val64       seconds; needs requirements-export.txt
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags, logging

EXPORT = flags.DEFINE_string("export", None, "A version folder, or the folder of versions.", required=True)
DATA = flags.DEFINE_string("data", None, "Directory written by data.convert.", required=True)
PHOTOS = flags.DEFINE_integer("photos", 64, "Photos of its val split.", lower_bound=1)
NOISES = flags.DEFINE_integer("noises", 4, "Noise vectors for each.", lower_bound=1)


def main(argv):
    del argv
    logging.set_verbosity(logging.ERROR)
    import numpy as np
    import onnxruntime
    import tensorflow as tf

    from colorgan_tf import color, formats, inference, records

    generator = inference.load_export(EXPORT.value)
    onnx = onnxruntime.InferenceSession(os.path.join(generator.path, formats.FILES["onnx"]))
    tflite = tf.lite.Interpreter(os.path.join(generator.path, formats.FILES["tflite"])).get_signature_runner()
    runtimes = {
        "LiteRT": lambda gray, noise: tflite(gray=gray, noise=noise),
        "ONNX Runtime": lambda gray, noise: dict(
            zip(("rgb", "chroma"), onnx.run(["rgb", "chroma"], {"gray": gray, "noise": noise}), strict=True)
        ),
    }
    rng = np.random.default_rng(0)
    worst = dict.fromkeys(runtimes, 0.0)
    count = 0
    for photo in records.photos(DATA.value, "val", generator.image_size).take(PHOTOS.value):
        gray = np.repeat(color.luminance(photo["rgb"].numpy())[None], NOISES.value, axis=0)
        noise = rng.uniform(-1, 1, (NOISES.value, generator.noise_size)).astype(np.float32)
        rgb, chroma = generator(gray, noise)
        for name, run in runtimes.items():
            found = run(gray, noise)
            worst[name] = max(worst[name], np.abs(found["rgb"] - rgb).max(), np.abs(found["chroma"] - chroma).max())
        count += NOISES.value
    for name, difference in worst.items():
        print(f"{name}: largest difference {difference:.2g} over {count} colourings of {count // NOISES.value} photos")
    return 0 if max(worst.values()) <= formats.TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(app.run(main))
