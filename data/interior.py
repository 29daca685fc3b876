"""A drawn room: its walls, what is in it, its lights, and the camera.

The room is the box [0, width] x [0, height] x [.., depth] and its back wall is at z = depth.
"""

import dataclasses

import numpy as np

from data.furniture import add_picture, add_wardrobe_plant_chair, add_window, bed_at_back, bed_at_side
from data.scene import BACK, BOARDS, DOWN, LEFT, PLAIN, RIGHT, STRIPES, TILES, UP, Builder, Face, Point


@dataclasses.dataclass(frozen=True)
class Interior:
    """A furnished room and the camera in it."""

    width: float
    height: float
    depth: float
    eye: Point
    yaw: float  # radians
    focal: float  # in units of the picture's side
    centre: tuple[float, float]  # of the picture, where the camera's axis goes through it
    window: Point  # the middle of the window, where daylight comes from
    lamp: Point
    lamp_on: bool
    day: float  # brightness of the daylight
    shadows: tuple[tuple[float, float, float, float], ...]  # x0, x1, z0, z1 of what stands on the floor
    faces: tuple[Face, ...]


def furnish(rng: np.random.Generator) -> Interior:
    """A random room."""
    b = Builder(rng)
    width, height, depth = b.uniform(3.2, 4.8), b.uniform(2.4, 3.0), b.uniform(3.8, 5.2)
    b.eye = eye = (width * b.uniform(0.3, 0.7), b.uniform(1.25, 1.75), 0.0)
    _shell(b, width, height, depth)
    back, left, right = ("z", depth, -1), ("x", 0.0, 1), ("x", width, -1)

    layout = int(b.uniform(0, 3))  # the bed's head: at the back wall, at the left one, at the right one
    if layout == 0:
        bed_x = b.uniform(0.25, 0.75) * width
        lamp = bed_at_back(b, bed_x, width, depth)
        walls = [left, right]
    else:
        lamp = bed_at_side(b, layout == 1, width, depth)
        walls = [right if layout == 1 else left, back]
    window_wall = walls[b.chance(0.5)]
    if layout == 0 and b.chance(0.4) and abs(bed_x - width / 2) > 0.1 * width:
        window_wall = back
    window, taken = add_window(b, window_wall, width, height, depth, bed_x if layout == 0 else None)
    if b.chance(0.75):
        picture_wall = next(wall for wall in (back, left, right) if wall is not window_wall)
        add_picture(b, picture_wall, width, depth, bed_x if layout == 0 and picture_wall is back else None)
    add_wardrobe_plant_chair(b, layout, width, height, depth, taken)

    for _, faces in sorted(b.groups, key=lambda group: -group[0]):
        b.faces += faces
    return Interior(
        width=width,
        height=height,
        depth=depth,
        eye=eye,
        yaw=b.uniform(-0.22, 0.22),
        focal=b.uniform(0.72, 1.0),
        centre=(b.uniform(0.44, 0.56), b.uniform(0.30, 0.46)),
        window=window,
        lamp=lamp,
        lamp_on=b.chance(0.6),
        day=b.uniform(0.6, 1.5),
        shadows=tuple(b.shadows),
        faces=tuple(b.faces),
    )


def _shell(b: Builder, w: float, h: float, d: float) -> None:
    near = -2.0  # behind the camera, where it is cut off
    wall, ceiling, floor = b.uniform(0.5, 1.3), b.uniform(0.9, 1.5), b.uniform(0.35, 1.1)
    paper = STRIPES if b.chance(0.2) else PLAIN
    boards = (BOARDS, BOARDS, TILES, PLAIN)[int(b.uniform(0, 4))]
    b.faces += [
        Face("ceiling", ((0, h, near), (w, h, near), (w, h, d), (0, h, d)), DOWN, ceiling),
        Face("floor", ((0, 0, near), (w, 0, near), (w, 0, d), (0, 0, d)), UP, floor, boards),
        Face("wall", ((0, 0, near), (0, h, near), (0, h, d), (0, 0, d)), LEFT, wall, paper),
        Face("wall", ((w, 0, near), (w, h, near), (w, h, d), (w, 0, d)), RIGHT, wall, paper),
        Face("wall", ((0, 0, d), (w, 0, d), (w, h, d), (0, h, d)), BACK, wall, paper),
    ]
    if b.chance(0.7):  # skirting boards
        t, light = 0.09, b.uniform(0.4, 1.4)
        b.faces += [
            b.on_wall("trim", ("z", d, -1), (0, w), (0, t), 0.01, light),
            b.on_wall("trim", ("x", 0.0, 1), (near, d), (0, t), 0.01, light),
            b.on_wall("trim", ("x", w, -1), (near, d), (0, t), 0.01, light),
        ]
    if b.chance(0.6):
        x, z = w * b.uniform(0.35, 0.65), d * b.uniform(0.5, 0.7)
        rx, rz, y = b.uniform(0.7, 1.2), b.uniform(0.6, 1.1), 0.01
        corners = ((x - rx, y, z - rz), (x + rx, y, z - rz), (x + rx, y, z + rz), (x - rx, y, z + rz))
        b.faces.append(Face("rug", corners, UP, b.uniform(0.4, 1.1), STRIPES if b.chance(0.5) else PLAIN))
