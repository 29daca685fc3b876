"""Bringing small chroma up to a photo's own size, so that colours stop where things stop.

The generator's chroma is some 64 pixels wide, the photo thousands. In two steps, compared with others in
docs/colorize.md:

1. At a middle size (`MIDDLE` times the chroma's), a guided filter (He et al. 2013) pulls the enlarged chroma to the
   luminance's edges, and back-projection gives every small pixel its own colour back, which the filter alone blurs.
2. From there to full size, chroma is a local linear function of luminance, slope * y + offset, whose two maps are
   enlarged instead of the chroma itself (He and Sun 2015).

The second step works on any rows alone, so a panorama needs no more memory than one strip of it.
"""

import dataclasses

import cv2
import numpy as np

MIDDLE = 4  # middle size over the chroma's size
FILTER_EPSILON = 1e-4  # of luminance variance: below it a patch counts as flat
SLOPE_EPSILON = 1e-3
BACK_PROJECTIONS = 2


@dataclasses.dataclass(frozen=True)
class ChromaMap:
    """Chroma as slope * y + offset over the whole photo, at any size: float32 [4, h, w], slopes of U, V, then offsets.

    Planes, since NumPy is slow where the last axis is two long.
    """

    planes: np.ndarray

    def rows(self, gray: np.ndarray, top: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """U and V of the rows from `top` of a photo `height` pixels high.

        gray: their luminance, float32 [rows, width] in [0, 1]. Returns two float32 [rows, width], around [-0.5, 0.5].
        """
        rows, width = gray.shape
        last = self.planes.shape[1] - 1
        # Bilinear, pixel centres aligned as cv2.resize has them: down the columns here, so that strips meet.
        place = (np.arange(top, top + rows, dtype=np.float64) + 0.5) * ((last + 1) / height) - 0.5
        place = np.clip(place, 0.0, last)
        above = place.astype(int)
        part = (place - above).astype(np.float32)[:, None]
        strip = self.planes[:, above] * (1.0 - part) + self.planes[:, np.minimum(above + 1, last)] * part
        slopes_and_offsets = [cv2.resize(plane, (width, rows), interpolation=cv2.INTER_LINEAR) for plane in strip]
        slope_u, slope_v, offset_u, offset_v = slopes_and_offsets
        return slope_u * gray + offset_u, slope_v * gray + offset_v


def middle_size(full: tuple[int, int], small: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) at which `fit` wants the luminance, for a photo and its chroma of these (height, width)."""
    return min(full[0], MIDDLE * small[0]), min(full[1], MIDDLE * small[1])


def fit(gray: np.ndarray, chroma: np.ndarray) -> ChromaMap:
    """Fits chroma to luminance.

    gray: float32 [h, w] in [0, 1], the photo reduced to `middle_size`; chroma: float32 [ch, cw, 2].
    """
    height, width = gray.shape
    # Where the photo is smaller than what the generator was shown, its chroma is reduced first.
    small = (min(chroma.shape[1], width), min(chroma.shape[0], height))
    chroma = _resize(chroma, small, cv2.INTER_AREA)
    middle = _resize(chroma, (width, height), cv2.INTER_LINEAR)
    if small != (width, height):
        radius = max(1, round(max(width / small[0], height / small[1])))
        middle = cv2.ximgproc.guidedFilter(gray, middle, radius, FILTER_EPSILON)
        for _ in range(BACK_PROJECTIONS):
            missing = chroma - _resize(middle, small, cv2.INTER_AREA)
            middle += _resize(missing, (width, height), cv2.INTER_CUBIC)

    mean_y, mean_uv = _mean(gray), _mean(middle)
    variance = _mean(gray * gray) - mean_y * mean_y
    covariance = _mean(middle * gray[..., None]) - mean_uv * mean_y[..., None]
    slope = _mean(covariance / (variance + SLOPE_EPSILON)[..., None])
    offset = middle - slope * gray[..., None]
    return ChromaMap(np.ascontiguousarray(np.concatenate([slope, offset], axis=-1).transpose(2, 0, 1)))


def _resize(picture, size, interpolation):
    if picture.shape[1::-1] == tuple(size):
        return picture
    return cv2.resize(picture, size, interpolation=interpolation)


def _mean(picture):
    return cv2.blur(picture, (3, 3), borderType=cv2.BORDER_REFLECT)
