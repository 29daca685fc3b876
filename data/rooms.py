"""Drawn rooms: pictures whose p(colour | grey) is known exactly.

Luminance comes from geometry, light, surface and image noise, none of which knows about colour. Chroma comes from the
kind of item alone: each item has one (U, V), drawn from the law of its kind (data/laws.py), independent of all else.
So the grey picture tells which item is where and nothing more, and a colouring is right when each item's chroma is a
draw from its kind's law.

Pictures are drawn at twice their size and averaged 2 x 2, luminance and chroma alike: a pixel on the border of two
items has the mean of their colours, weighted by area, and belongs to no item's mask.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from colorgan_tf import color
from data import interior, scene
from data.laws import KINDS, LAWS, Law

KIND_NAMES = tuple(KINDS)
MIXED = -1  # in Room.items: a pixel that several items share
_NEAR = 0.3  # metres; what is nearer to the camera is cut off
_DARKEST = np.array([kind.darkest for kind in KINDS.values()], np.float32)
_BRIGHTEST = np.array([kind.brightest for kind in KINDS.values()], np.float32)
_NUMBER = {name: number for number, name in enumerate(KIND_NAMES)}


@dataclasses.dataclass(frozen=True)
class Room:
    """A picture and the truth about it."""

    rgb: np.ndarray  # uint8 [size, size, 3]
    items: np.ndarray  # int8 [size, size]: index into KIND_NAMES, or MIXED
    chroma: dict[str, np.ndarray]  # kind -> its (U, V) in [-0.5, 0.5], for every kind in view

    @property
    def gray(self) -> np.ndarray:
        """Luminance of `rgb`, float32 [size, size, 1] in [0, 1]."""
        return color.luminance(self.rgb.astype(np.float32) / 255.0)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """kind -> bool [size, size], the pixels that belong to it alone."""
        return {kind: self.items == _NUMBER[kind] for kind in self.chroma}

    @property
    def laws(self) -> dict[str, Law]:
        """kind -> the law that its `chroma` was drawn from."""
        return {kind: LAWS[kind] for kind in self.chroma}


def draw_room(index: int, seed: int, size: int) -> Room:
    """Room number `index` of the series `seed`: the same picture in every process and in any order."""
    rng = np.random.default_rng([seed, index])
    # Every kind's chroma is drawn, in view or not, and before the geometry: it cannot depend on it.
    chroma = np.stack([law.sample(rng, 1)[0] for law in LAWS.values()]).astype(np.float32)
    room = interior.furnish(rng)
    luminance, kinds = _render(room, 2 * size, rng)
    y = _halve(luminance)[..., None]
    uv = np.stack([_halve(chroma[:, 0][kinds]), _halve(chroma[:, 1][kinds])], axis=-1)
    rgb = np.rint(color.yuv_to_rgb(y, uv) * 255.0)
    corners = kinds[::2, ::2]
    pure = (corners == kinds[1::2, ::2]) & (corners == kinds[::2, 1::2]) & (corners == kinds[1::2, 1::2])
    items = np.where(pure, corners, MIXED).astype(np.int8)
    in_view = np.flatnonzero(np.bincount(kinds.ravel(), minlength=len(KIND_NAMES)))
    return Room(rgb.astype(np.uint8), items, {KIND_NAMES[k]: chroma[k] for k in in_view})


def _halve(image: np.ndarray) -> np.ndarray:
    """The means of 2 x 2 pixels."""
    rows = image[::2] + image[1::2]
    return 0.25 * (rows[:, ::2] + rows[:, 1::2])


@functools.lru_cache(maxsize=4)
def _pixel_centres(side: int) -> np.ndarray:
    return (np.arange(side, dtype=np.float32) + 0.5) / side


def _render(room: interior.Interior, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Luminance float32 [side, side] and kind numbers [side, side]."""
    cos, sin = np.cos(room.yaw), np.sin(room.yaw)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])  # world to camera
    eye = np.array(room.eye)
    corners = (np.array([face.corners for face in room.faces]) - eye) @ turn.T
    normals = np.array([face.normal for face in room.faces], float) @ turn.T

    face_map = _draw_faces(corners, room, side)
    pick = face_map.ravel()

    # On a plane n . P = d, with P = depth * ray, 1 / depth = (n . ray) / d: linear over the picture.
    distance = np.einsum("fi,fi->f", normals, corners[:, 0])
    planes = (normals / distance[:, None]).astype(np.float32)
    columns = [
        *planes.T,
        *np.array([face.normal for face in room.faces], np.float32).T,
        np.array([face.albedo for face in room.faces], np.float32),
    ]
    table = np.take(np.stack(columns), pick, axis=1).reshape(len(columns), side, side)
    a, b, c, nx, ny, nz, albedo = table
    ray_x = ((_pixel_centres(side) - room.centre[0]) / room.focal).astype(np.float32)[None, :]
    ray_y = ((room.centre[1] - _pixel_centres(side)) / room.focal).astype(np.float32)[:, None]
    depth = 1.0 / np.maximum(a * ray_x + b * ray_y + c, 1e-3)
    x = depth * (np.float32(cos) * ray_x + np.float32(sin)) + np.float32(eye[0])
    y = depth * ray_y + np.float32(eye[1])
    z = depth * (np.float32(cos) - np.float32(sin) * ray_x) + np.float32(eye[2])

    light = _light(room, (x, y, z), (nx, ny, nz))
    surfaces = np.array([face.surface for face in room.faces], np.int8)[face_map]
    kinds = np.array([_NUMBER[face.kind] for face in room.faces], np.int8)[face_map]
    light *= albedo
    _add_surfaces(light, surfaces, (x, y, z), (nx, nz), room, rng)

    # A camera's curve: 0 is dark, more and more light nears white and never reaches it.
    tone = 1.0 - np.exp(-light)
    low, high = _DARKEST[kinds], _BRIGHTEST[kinds]
    luminance = low + (high - low) * tone
    noise = rng.standard_normal((side // 2, side // 2), dtype=np.float32) * np.float32(rng.uniform(0.004, 0.015))
    luminance += noise.repeat(2, axis=0).repeat(2, axis=1)
    return np.clip(luminance, low, high), kinds


def _draw_faces(corners: np.ndarray, room: interior.Interior, side: int) -> np.ndarray:
    """For each pixel the number of the face that is seen there, uint8 [side, side]."""
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    behind = corners[..., 2].min(axis=1) < _NEAR
    safe = np.maximum(corners[..., 2], _NEAR)
    u = ((room.centre[0] + room.focal * corners[..., 0] / safe) * side - 0.5).tolist()
    v = ((room.centre[1] - room.focal * corners[..., 1] / safe) * side - 0.5).tolist()
    for number in range(len(corners)):
        if behind[number]:
            points = _clip_near(corners[number].tolist())
            outline = [
                (
                    (room.centre[0] + room.focal * px / pz) * side - 0.5,
                    (room.centre[1] - room.focal * py / pz) * side - 0.5,
                )
                for px, py, pz in points
            ]
        else:
            outline = list(zip(u[number], v[number], strict=True))
        if len(outline) > 2:
            draw.polygon(outline, fill=number)
    return np.asarray(image)


def _clip_near(points: list[list[float]]) -> list[tuple[float, float, float]]:
    """Cuts off the part of a polygon that is nearer than _NEAR."""
    kept = []
    for (x0, y0, z0), (x1, y1, z1) in zip(points, points[1:] + points[:1], strict=True):
        if z0 >= _NEAR:
            kept.append((x0, y0, z0))
        if (z0 >= _NEAR) != (z1 >= _NEAR):
            t = (_NEAR - z0) / (z1 - z0)
            kept.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0), _NEAR))
    return kept


def _light(room: interior.Interior, point, normal) -> np.ndarray:
    """Light that arrives at each pixel's point of the room: float32 [side, side], around 1."""
    (x, y, z), (nx, ny, nz) = point, normal
    light = np.full_like(x, 0.35)
    lights = [(room.window, 1.3 * room.day, 4.0), ((room.width / 2, room.height - 0.3, room.depth * 0.4), 0.5, 6.0)]
    if room.lamp_on:
        lights.append((room.lamp, 0.7, 0.35))
    for (lx, ly, lz), strength, reach in lights:
        dx, dy, dz = np.float32(lx) - x, np.float32(ly) - y, np.float32(lz) - z
        squared = dx * dx + dy * dy + dz * dz + np.float32(0.05)
        facing = 0.5 + 0.5 * (nx * dx + ny * dy + nz * dz) / np.sqrt(squared)  # lights are large: soft, no hard edge
        light += np.float32(strength) * facing * facing / (1.0 + squared / np.float32(reach))
    # Corners of the room are darker, and so is the floor beside whatever stands on it.
    nearest = np.minimum(np.minimum(x, room.width - x), np.float32(room.depth) - z)
    edge = np.minimum(np.abs(y), np.abs(np.float32(room.height) - y))
    light *= 1.0 - 0.22 * np.exp(-4.0 * np.maximum(nearest, 0.0)) * (ny != 0)
    light *= 1.0 - 0.22 * np.exp(-4.0 * edge) * (ny == 0)
    ground = (ny > 0) & (y < 0.03)
    gx, gz = x[ground], z[ground]
    shade = np.ones_like(gx)
    for x0, x1, z0, z1 in room.shadows:
        away_x = np.maximum(np.maximum(np.float32(x0) - gx, gx - np.float32(x1)), 0.0)
        away_z = np.maximum(np.maximum(np.float32(z0) - gz, gz - np.float32(z1)), 0.0)
        shade *= 1.0 - 0.6 * np.exp(-5.0 * (away_x + away_z))
    light[ground] *= shade
    return light


def _add_surfaces(light: np.ndarray, surfaces: np.ndarray, point, normal, room, rng: np.random.Generator) -> None:
    """Boards, tiles, stripes, folds, waves: multiplies `light` in place."""
    x, y, z = point
    nx, _ = normal
    phase, pitch, depth, turned = rng.random(4).tolist()
    strong = np.float32(0.15 + 0.25 * depth)

    def part(surface: int):
        here = surfaces == surface
        return here, x[here], y[here], z[here]

    here, px, _, pz = part(scene.BOARDS)
    if px.size:
        across, along = (px, pz) if turned < 0.5 else (pz, px)
        board = np.floor(across / np.float32(0.12 + 0.1 * pitch))
        tint = np.sin(board * np.float32(12.9898) + np.floor(along / 1.3 + 0.37 * board) * np.float32(78.233))
        light[here] *= 1.0 + strong * tint
    here, px, _, pz = part(scene.TILES)
    if px.size:
        step = np.float32(0.35 + 0.3 * pitch)
        joint = (np.mod(px, step) < 0.03) | (np.mod(pz, step) < 0.03)
        light[here] *= np.where(joint, np.float32(0.6), np.float32(1.0))
    here, px, py, pz = part(scene.STRIPES)
    if px.size:
        light[here] *= 1.0 + strong * np.sign(np.sin((px + pz) * np.float32(14.0 + 14.0 * pitch)))
    here, px, py, pz = part(scene.FOLDS)
    if px.size:
        light[here] *= 1.0 + strong * np.sin((px + pz) * np.float32(22.0 + 16.0 * pitch) + np.float32(6.3 * phase))
    here, px, py, pz = part(scene.WAVES)
    if px.size:
        wave = np.sin(px * np.float32(5 + 4 * pitch) + np.float32(6.3 * phase)) * np.cos(
            (pz + py) * np.float32(4 + 5 * depth)
        )
        light[here] *= 1.0 + np.float32(0.22) * wave
    here, px, py, pz = part(scene.GLOW)
    if px.size:  # lamp shades and window panes shine by themselves
        light[here] += np.float32(0.9 if room.lamp_on else 0.3) + np.float32(0.25) * np.sin(py * np.float32(7.0))


class RoomSource:
    """The drawn rooms as a source for the converter; keys are room-00000017."""

    def __init__(self, count: int, seed: int):
        self._count, self._seed = count, seed

    def fingerprint(self) -> str:
        return f"rooms {self._count} {self._seed}"

    def keys(self) -> Iterator[str]:
        return (f"room-{index:08d}" for index in range(self._count))

    def lost(self) -> list[dict[str, str]]:
        return []

    def jobs(self, keys: Sequence[str]) -> list["RoomJob"]:
        return [RoomJob(int(key.removeprefix("room-")), self._seed) for key in keys]


@dataclasses.dataclass(frozen=True)
class RoomJob:
    """A room still to be drawn."""

    index: int
    seed: int

    def picture(self, size: int) -> np.ndarray:
        return draw_room(self.index, self.seed, size).rgb
