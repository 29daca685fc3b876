"""The geometry of a drawn room: which quadrilaterals, of which items, stand where.

Metres; x to the right, y up, z away from the camera. The room is the box [0, width] x [0, height] x [.., depth] and its
back wall is at z = depth. Faces are listed from back to front, so that drawing them in order hides what is hidden.
"""

import dataclasses

import numpy as np

Point = tuple[float, float, float]

# How a face's surface is drawn; see data/rooms.py.
PLAIN, BOARDS, TILES, STRIPES, FOLDS, WAVES, GLOW = range(7)

_BACK, _RIGHT, _LEFT, _UP, _DOWN = (0, 0, -1), (-1, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0)  # inward normals


@dataclasses.dataclass(frozen=True)
class Face:
    """A flat quadrilateral of an item; `albedo` is how light the surface is, `normal` points into the room."""

    kind: str
    corners: tuple[Point, Point, Point, Point]
    normal: tuple[int, int, int]
    albedo: float
    surface: int = PLAIN


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


class _Builder:
    """Collects faces; knows from where they are seen."""

    def __init__(self, rng: np.random.Generator):
        # One call for all random numbers: a thousand small ones would take longer than the drawing.
        self._numbers = iter(rng.random(256).tolist())
        self.faces: list[Face] = []
        self.groups: list[tuple[float, list[Face]]] = []
        self.shadows: list[tuple[float, float, float, float]] = []
        self.eye: Point = (0.0, 0.0, 0.0)

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * next(self._numbers)

    def chance(self, probability: float) -> bool:
        return next(self._numbers) < probability

    def box(self, kind, x, y, z, albedo, surface=PLAIN, top=None) -> list[Face]:
        """The visible faces of a box that spans the intervals x, y, z; `top` is the upper face's surface."""
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
        ex, ey, _ = self.eye
        faces = []
        if ex < x0:
            corners = ((x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1))
            faces.append(Face(kind, corners, _RIGHT, albedo, surface))
        if ex > x1:
            corners = ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1))
            faces.append(Face(kind, corners, _LEFT, albedo, surface))
        if ey > y1:
            corners = ((x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1))
            faces.append(Face(kind, corners, _UP, albedo, surface if top is None else top))
        if ey < y0:
            corners = ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1))
            faces.append(Face(kind, corners, _DOWN, albedo, surface))
        faces.append(Face(kind, ((x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)), _BACK, albedo, surface))
        return faces

    def stand(self, faces: list[Face], x, z) -> None:
        """A group of faces that stands on the floor within the intervals x, z."""
        self.groups.append((z[0] + z[1], faces))
        self.shadows.append((*x, *z))

    def on_wall(self, kind, wall, along, y, gap, albedo, surface=PLAIN) -> Face:
        """A rectangle `gap` metres in front of a wall: `wall` is (axis, position, inward direction)."""
        axis, position, inward = wall
        (a0, a1), (y0, y1), p = along, y, position + inward * gap
        if axis == "z":
            return Face(kind, ((a0, y0, p), (a1, y0, p), (a1, y1, p), (a0, y1, p)), _BACK, albedo, surface)
        corners = ((p, y0, a0), (p, y0, a1), (p, y1, a1), (p, y1, a0))
        return Face(kind, corners, (inward, 0, 0), albedo, surface)


def furnish(rng: np.random.Generator) -> Interior:
    """A random room."""
    b = _Builder(rng)
    width, height, depth = b.uniform(3.2, 4.8), b.uniform(2.4, 3.0), b.uniform(3.8, 5.2)
    b.eye = eye = (width * b.uniform(0.3, 0.7), b.uniform(1.25, 1.75), 0.0)
    _shell(b, width, height, depth)
    back, left, right = ("z", depth, -1), ("x", 0.0, 1), ("x", width, -1)

    layout = int(b.uniform(0, 3))  # the bed's head: at the back wall, at the left one, at the right one
    if layout == 0:
        bed_x = b.uniform(0.25, 0.75) * width
        lamp = _bed_at_back(b, bed_x, width, depth)
        walls = [left, right]
    else:
        lamp = _bed_at_side(b, layout == 1, width, depth)
        walls = [right if layout == 1 else left, back]
    window_wall = walls[b.chance(0.5)]
    if layout == 0 and b.chance(0.4) and abs(bed_x - width / 2) > 0.1 * width:
        window_wall = back
    window, taken = _window(b, window_wall, width, height, depth, bed_x if layout == 0 else None)
    if b.chance(0.75):
        picture_wall = next(wall for wall in (back, left, right) if wall is not window_wall)
        _picture(b, picture_wall, width, depth, bed_x if layout == 0 and picture_wall is back else None)
    _wardrobe_plant_chair(b, layout, width, height, depth, taken)

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


def _shell(b: _Builder, w: float, h: float, d: float) -> None:
    near = -2.0  # behind the camera, where it is cut off
    wall, ceiling, floor = b.uniform(0.5, 1.3), b.uniform(0.9, 1.5), b.uniform(0.35, 1.1)
    paper = STRIPES if b.chance(0.2) else PLAIN
    boards = (BOARDS, BOARDS, TILES, PLAIN)[int(b.uniform(0, 4))]
    b.faces += [
        Face("ceiling", ((0, h, near), (w, h, near), (w, h, d), (0, h, d)), _DOWN, ceiling),
        Face("floor", ((0, 0, near), (w, 0, near), (w, 0, d), (0, 0, d)), _UP, floor, boards),
        Face("wall", ((0, 0, near), (0, h, near), (0, h, d), (0, 0, d)), _LEFT, wall, paper),
        Face("wall", ((w, 0, near), (w, h, near), (w, h, d), (w, 0, d)), _RIGHT, wall, paper),
        Face("wall", ((0, 0, d), (w, 0, d), (w, h, d), (0, h, d)), _BACK, wall, paper),
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
        b.faces.append(Face("rug", corners, _UP, b.uniform(0.4, 1.1), STRIPES if b.chance(0.5) else PLAIN))


def _bed_at_back(b: _Builder, x: float, width: float, depth: float) -> Point:
    half, length, top = b.uniform(0.55, 0.95), b.uniform(1.7, 2.1), b.uniform(0.45, 0.62)
    x = min(max(x, half + 0.1), width - half - 0.1)
    x0, x1, z1 = x - half, x + half, depth - 0.08
    z0 = z1 - length
    wood, cloth, linen = b.uniform(0.3, 1.0), b.uniform(0.4, 1.2), b.uniform(1.0, 1.6)
    faces = b.box("wood", (x0 - 0.05, x1 + 0.05), (0, top + b.uniform(0.3, 0.65)), (z1, depth), wood)
    faces += b.box("wood", (x0 - 0.03, x1 + 0.03), (0.1, top - 0.2), (z0 - 0.03, z1), wood)
    faces += b.box("sheet", (x0, x1), (top - 0.22, top), (z0, z1), linen)
    count = 1 if half < 0.65 else 2
    light = b.uniform(0.6, 1.3)
    for i in range(count):
        p0 = x0 + (i + 0.08) * 2 * half / count
        p1 = x0 + (i + 0.92) * 2 * half / count
        faces += b.box("pillow", (p0, p1), (top, top + 0.16), (z1 - 0.5, z1 - 0.08), light)
    fold = z1 - b.uniform(0.55, 1.0)
    drop = b.uniform(0.1, top - 0.2)
    faces += b.box("blanket", (x0 - 0.04, x1 + 0.04), (drop, top + 0.05), (z0 - 0.04, fold), cloth, FOLDS, WAVES)
    b.stand(faces, (x0, x1), (z0, z1))
    side = 1 if x < width / 2 else -1
    n0 = x + side * (half + 0.12)
    table = tuple(sorted((n0, n0 + side * 0.42)))
    high = b.uniform(0.42, 0.6)
    faces = b.box("wood", table, (0, high), (depth - 0.45, depth - 0.05), wood * b.uniform(0.7, 1.3))
    lamp = (sum(table) / 2, high, depth - 0.25)
    _lamp(b, faces, lamp)
    b.stand(faces, table, (depth - 0.45, depth))
    return (lamp[0], high + 0.4, lamp[2] - 0.1)


def _bed_at_side(b: _Builder, left: bool, width: float, depth: float) -> Point:
    length, across, top = b.uniform(1.7, 2.05), b.uniform(1.0, 1.7), b.uniform(0.42, 0.6)
    z1 = depth - b.uniform(0.1, 0.8)
    z0 = z1 - across

    def span(near_wall: float, far: float) -> tuple[float, float]:
        """Distances from the head's wall as an interval of x."""
        return (near_wall, far) if left else (width - far, width - near_wall)

    wood, cloth, linen = b.uniform(0.3, 1.0), b.uniform(0.4, 1.2), b.uniform(1.0, 1.6)
    faces = b.box("wood", span(0, 0.08), (0, top + b.uniform(0.25, 0.55)), (z0 - 0.05, z1 + 0.05), wood)
    faces += b.box("wood", span(0.08, length), (0.1, top - 0.2), (z0 - 0.02, z1), wood)
    faces += b.box("sheet", span(0.08, length), (top - 0.22, top), (z0, z1), linen)
    count = 1 if across < 1.2 else 2
    light = b.uniform(0.6, 1.3)
    for i in reversed(range(count)):
        p = (z0 + (i + 0.08) * across / count, z0 + (i + 0.92) * across / count)
        faces += b.box("pillow", span(0.14, 0.55), (top, top + 0.16), p, light)
    drop = b.uniform(0.08, top - 0.2)
    fold = b.uniform(0.65, 1.05)
    faces += b.box("blanket", span(fold, length + 0.04), (drop, top + 0.05), (z0 - 0.04, z1), cloth, FOLDS, WAVES)
    b.stand(faces, span(0, length), (z0, z1))
    high = b.uniform(0.42, 0.6)
    table = (z0 - 0.6, z0 - 0.2) if z1 > depth - 0.5 else (z1 + 0.05, depth - 0.03)
    faces = b.box("wood", span(0.03, 0.45), (0, high), table, wood * b.uniform(0.7, 1.3))
    lamp = (sum(span(0.03, 0.45)) / 2, high, sum(table) / 2)
    _lamp(b, faces, lamp)
    b.stand(faces, span(0.03, 0.45), table)
    return (lamp[0], high + 0.4, lamp[2])


def _lamp(b: _Builder, faces: list[Face], foot: Point) -> None:
    x, y, z = foot
    stem, shade, low, high = b.uniform(0.12, 0.25), b.uniform(0.2, 0.3), b.uniform(0.14, 0.2), b.uniform(0.07, 0.14)
    faces += [
        Face("trim", ((x - 0.03, y, z), (x + 0.03, y, z), (x + 0.03, y + stem, z), (x - 0.03, y + stem, z)), _BACK, 0.7)
    ]
    y += stem
    corners = ((x - low, y, z), (x + low, y, z), (x + high, y + shade, z), (x - high, y + shade, z))
    faces += [Face("lamp", corners, _BACK, 1.0, GLOW)]


def _window(b: _Builder, wall, width, height, depth, bed_x) -> tuple[Point, tuple[float, float]]:
    """Adds a window with curtains; returns its middle and the interval it takes along its wall."""
    axis, position, inward = wall
    half = b.uniform(0.45, 0.8)
    if axis == "z":
        free = (0.1, width - 0.1)
        if bed_x is not None:  # beside the bed
            free = (0.1, bed_x - 0.2) if bed_x > width / 2 else (bed_x + 0.2, width - 0.1)
        half = min(half, (free[1] - free[0]) / 2 - 0.2)
        middle = b.uniform(free[0] + half + 0.15, free[1] - half - 0.15)
    else:
        middle = b.uniform(0.45, 0.75) * depth
    low, high = b.uniform(0.75, 1.05), height - b.uniform(0.25, 0.5)
    along = (middle - half, middle + half)
    frame, sky = b.uniform(0.8, 1.5), b.uniform(1.2, 2.5)
    b.faces.append(b.on_wall("trim", wall, (along[0] - 0.07, along[1] + 0.07), (low - 0.07, high + 0.07), 0.01, frame))
    panes = 2 if b.chance(0.7) else 1
    rows = 2 if b.chance(0.4) else 1
    for i in range(panes):
        a = (along[0] + 2 * half * i / panes + 0.03, along[0] + 2 * half * (i + 1) / panes - 0.03)
        for j in range(rows):
            y = (low + (high - low) * j / rows + 0.02, low + (high - low) * (j + 1) / rows - 0.02)
            b.faces.append(b.on_wall("window", wall, a, y, 0.015, sky, GLOW))
    if b.chance(0.75):
        cloth, cover, foot = b.uniform(0.5, 1.3), b.uniform(0.25, 0.6), b.uniform(0.1, 0.5)
        for a in ((along[0] - 0.3, along[0] + cover * half), (along[1] - cover * half, along[1] + 0.3)):
            b.faces.append(b.on_wall("curtain", wall, a, (foot, high + 0.15), 0.06, cloth, FOLDS))
    point = (middle, (low + high) / 2, position + inward * 0.3)
    if axis == "x":
        point = (position + inward * 0.3, (low + high) / 2, middle)
    return point, (along[0] - 0.3, along[1] + 0.3) if axis == "z" else (width, width)


def _picture(b: _Builder, wall, width, depth, bed_x) -> None:
    axis, _, _ = wall
    half, tall = b.uniform(0.25, 0.55), b.uniform(0.2, 0.4)
    middle = b.uniform(0.3, 0.7) * width if axis == "z" else b.uniform(0.45, 0.75) * depth
    if bed_x is not None:
        middle = bed_x
    y = b.uniform(1.6, 1.8)
    light, dark = b.uniform(0.5, 1.3), b.uniform(0.1, 1.5)
    b.faces.append(b.on_wall("trim", wall, (middle - half, middle + half), (y - tall, y + tall), 0.02, dark))
    inner = (middle - half + 0.06, middle + half - 0.06)
    b.faces.append(b.on_wall("picture", wall, inner, (y - tall + 0.06, y + tall - 0.06), 0.025, light, WAVES))


def _wardrobe_plant_chair(b: _Builder, layout, width, height, depth, taken) -> None:
    """What stands where the bed leaves room; a window on the back wall (`taken`) stays free."""
    corner_left = layout == 2 or (layout == 0 and b.chance(0.5))
    x = (0.02, 0.62) if corner_left else (width - 0.62, width - 0.02)
    if layout != 0 and b.chance(0.6) and (taken[1] < x[0] or taken[0] > x[1]):
        z = (depth - b.uniform(0.9, 1.6), depth - 0.02)
        faces = b.box("wood", x, (0, height * b.uniform(0.65, 0.85)), z, b.uniform(0.3, 1.1))
        b.stand(faces, x, z)
    elif b.chance(0.7):
        px, pz, size = sum(x) / 2, b.uniform(1.9, 2.6), b.uniform(0.7, 1.3)
        _plant(b, px, pz, size)
    if b.chance(0.45):
        away = not corner_left if layout == 0 else corner_left
        cx = b.uniform(0.35, 0.6) if away else width - b.uniform(0.35, 0.6)
        cz = b.uniform(1.7, 2.3)
        w, seat, back, cloth = b.uniform(0.25, 0.36), b.uniform(0.36, 0.46), b.uniform(0.35, 0.5), b.uniform(0.4, 1.1)
        faces = b.box("chair", (cx - w, cx + w), (0.08, seat + back), (cz + 0.2, cz + 0.36), cloth)
        faces += b.box("chair", (cx - w, cx + w), (0.08, seat), (cz - 0.35, cz + 0.2), cloth)
        if b.chance(0.5):
            for a in ((cx - w - 0.1, cx - w), (cx + w, cx + w + 0.1)):
                faces += b.box("chair", a, (0.05, seat + 0.18), (cz - 0.36, cz + 0.3), cloth)
        b.stand(faces, (cx - w, cx + w), (cz - 0.35, cz + 0.36))


def _plant(b: _Builder, x: float, z: float, size: float) -> None:
    pot, tall, light = 0.14 * size, 0.28 * size, b.uniform(0.5, 1.3)
    faces = [
        Face(
            "trim", ((x - pot * 0.7, 0, z), (x + pot * 0.7, 0, z), (x + pot, tall, z), (x - pot, tall, z)), _BACK, light
        )
    ]
    for i in range(9):
        angle = -1.2 + 0.3 * i + b.uniform(-0.12, 0.12)
        length, wide = size * b.uniform(0.4, 0.75), 0.09 * size
        dx, dy = np.sin(angle), np.cos(angle)
        tip = (x + dx * length, tall + dy * length, z)
        mid = (x + dx * length * 0.55, tall + dy * length * 0.55)
        sides = ((mid[0] - dy * wide, mid[1] + dx * wide, z), (mid[0] + dy * wide, mid[1] - dx * wide, z))
        corners = ((x, tall, z), sides[0], tip, sides[1])
        faces.append(Face("plant", corners, _BACK, b.uniform(0.35, 1.1)))
    b.stand(faces, (x - pot, x + pot), (z - pot, z + pot))
