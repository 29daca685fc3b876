"""How to bring small chroma up to a photo's size: PSNR, bleeding across edges, and processor time of several ways.

    python -m bench.upsampling                         drawn rooms of 512 pixels, chroma of 32 and 64
    python -m bench.upsampling --photos=val-00000.tar  photos in a tar (96 pixels), chroma of 24 and 32

True chroma is reduced, brought up again by each way with the full-size luminance, and compared. "edges" is the RMS
error over the tenth of the pixels with the steepest true chroma, where colours bleed; errors on the 0-255 scale.
"""

import sys
import tarfile
import time

import cv2
import numpy as np
from absl import app, flags

from bench.tar_photos import read_tar
from colorgan_tf import color, upsample
from data.rooms import draw_room

PHOTOS = flags.DEFINE_string("photos", None, "Tar of photos, all of one size; drawn rooms without it.")
COUNT = flags.DEFINE_integer("count", 12, "How many pictures.", 1)


def linear(gray, chroma):
    return cv2.resize(chroma, gray.shape[::-1], interpolation=cv2.INTER_LINEAR)


def cubic(gray, chroma):
    return cv2.resize(chroma, gray.shape[::-1], interpolation=cv2.INTER_CUBIC)


def joint_bilateral(space, value):
    """Of the bilinear enlargement; `space` in small pixels, `value` of luminance."""

    def enlarge(gray, chroma):
        third = np.zeros((*gray.shape, 1), np.float32)  # OpenCV takes 1 or 3 channels
        planes = np.concatenate([linear(gray, chroma), third], axis=-1)
        return cv2.ximgproc.jointBilateralFilter(gray, planes, -1, value, space * _scale(gray, chroma))[..., :2]

    return enlarge


def guided(radius, epsilon):
    """Of the bilinear enlargement; `radius` in small pixels."""

    def enlarge(gray, chroma):
        return cv2.ximgproc.guidedFilter(
            gray, linear(gray, chroma), max(1, round(radius * _scale(gray, chroma))), epsilon
        )

    return enlarge


def back_projected(enlarge, times):
    """Gives every small pixel its own mean back, `times` times."""

    def enlarge_and_correct(gray, chroma):
        result = enlarge(gray, chroma)
        for _ in range(times):
            missing = chroma - cv2.resize(result, chroma.shape[1::-1], interpolation=cv2.INTER_AREA)
            result = result + cubic(gray, missing)
        return result

    return enlarge_and_correct


def project(gray, chroma):
    """What colorize.py does."""
    height, width = upsample.middle_size(gray.shape, chroma.shape[:2])
    middle = cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)
    return np.stack(upsample.fit(middle, chroma).rows(gray, 0, len(gray)), axis=-1)


def _scale(gray, chroma):
    return len(gray) / len(chroma)


METHODS = {
    "bilinear": linear,
    "bicubic": cubic,
    "bicubic, back-projected twice": back_projected(cubic, 2),
    "joint bilateral 0.7, 0.1": joint_bilateral(0.7, 0.1),
    "joint bilateral 1, 0.05": joint_bilateral(1.0, 0.05),
    "joint bilateral 1, 0.05, back-projected twice": back_projected(joint_bilateral(1.0, 0.05), 2),
    "guided 1, 1e-3": guided(1.0, 1e-3),
    "guided 1, 1e-4": guided(1.0, 1e-4),
    "guided 2, 1e-4": guided(2.0, 1e-4),
    "guided 1, 1e-4, back-projected twice": back_projected(guided(1.0, 1e-4), 2),
    "colorize.py (the same at 4 x, then linear in y)": project,
}


def pictures():
    """Float32 RGB pictures, and the chroma sizes to try."""
    if not PHOTOS.value:
        return [draw_room(i, 1, 512).rgb / np.float32(255) for i in range(COUNT.value)], (32, 64)
    return [np.float32(rgb) / 255 for rgb in read_tar(PHOTOS.value, COUNT.value)], (24, 32)


def main(argv):
    del argv
    try:
        photos, sizes = pictures()
    except (OSError, tarfile.TarError) as error:
        print(f"bench.upsampling: {PHOTOS.value}: {error}", file=sys.stderr)
        return 1
    for size in sizes:
        print(f"{len(photos)} pictures of {photos[0].shape[1]} x {photos[0].shape[0]}, chroma {size} x {size}")
        print(f"{'':48s}  PSNR dB    rms  edges   ms")
        for name, enlarge in METHODS.items():
            errors, edges, seconds = [], [], 0.0
            for rgb in photos:
                y, uv = color.rgb_to_yuv(rgb)
                gray = np.ascontiguousarray(y[..., 0])
                small = cv2.resize(uv, (size, size), interpolation=cv2.INTER_AREA)
                start = time.process_time()
                result = enlarge(gray, small)
                seconds += time.process_time() - start
                error = ((color.fit_chroma(y, result) - uv) ** 2).mean(axis=-1)
                steep = sum(slope**2 for channel in (0, 1) for slope in np.gradient(uv[..., channel]))
                errors.append(error.mean())
                edges.append(error[steep >= np.quantile(steep, 0.9)].mean())
            psnr = -10 * np.log10(np.maximum(errors, 1e-12)).mean()
            rms, at_edges = (255 * np.sqrt(np.mean(values)) for values in (errors, edges))
            print(f"{name:48s} {psnr:8.2f} {rms:6.2f} {at_edges:6.2f} {1000 * seconds / len(photos):6.1f}")
    return 0


if __name__ == "__main__":
    app.run(main)
