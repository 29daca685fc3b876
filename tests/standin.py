"""A stand-in for a trained generator's export: closed-form chroma, with the real signature and files.

`python tests/standin.py exports/standin` writes one by hand.
"""

import json
import os
import sys

import numpy as np


def chroma(gray, noise):
    """What the stand-in paints, in NumPy: gray [b, h, w, 1], noise [b, n] to [b, h, w, 2] (U, V)."""
    tint = np.asarray(noise)[:, None, None, :2]
    slope = np.asarray(noise)[:, None, None, 2:4]
    return 0.2 * tint + 0.2 * slope * np.sin(6.0 * np.asarray(gray))


def write_export(folder, any_size=True, image_size=64, noise_size=100, color_space="yuv", **changes):
    """Writes a version folder; `changes` override colorgan.json's fields (None leaves the field out)."""
    import tensorflow as tf

    size = None if any_size else image_size

    class StandIn(tf.Module):
        def __init__(self):
            super().__init__()
            self.scale = tf.Variable(0.2)  # so that there is a variables file to damage

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, size, size, 1], tf.float32, "gray"),
                tf.TensorSpec([None, noise_size], tf.float32, "noise"),
            ]
        )
        def serve(self, gray, noise):
            tint, slope = noise[:, None, None, :2], noise[:, None, None, 2:4]
            uv = self.scale * tint + self.scale * slope * tf.sin(6.0 * gray)
            u, v = uv[..., :1], uv[..., 1:]
            red, blue = gray + 1.402 * v, gray + 1.772 * u
            green = (gray - 0.299 * red - 0.114 * blue) / 0.587
            return {"rgb": tf.clip_by_value(tf.concat([red, green, blue], -1), 0.0, 1.0), "chroma": uv}

    module = StandIn()
    tf.saved_model.save(module, folder, signatures={"serving_default": module.serve})
    info = {"image_size": image_size, "noise_size": noise_size, "any_size": any_size, "color_space": color_space}
    info |= {"step": 0, "run": "stand-in"} | changes
    with open(os.path.join(folder, "colorgan.json"), "w", encoding="utf-8") as file:
        json.dump({name: value for name, value in info.items() if value is not None}, file)


if __name__ == "__main__":
    write_export(os.path.join(sys.argv[1], "1"))
