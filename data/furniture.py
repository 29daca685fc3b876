"""What stands and hangs in a drawn room: each function adds faces, of random sizes and places, to a `scene.Builder`."""

import numpy as np

from data.scene import BACK, FOLDS, GLOW, WAVES, Builder, Face, Point


def bed_at_back(b: Builder, x: float, width: float, depth: float) -> Point:
    """Adds a bed with its head at the back wall, a bedside table and a lamp; returns where the lamp shines."""
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


def bed_at_side(b: Builder, left: bool, width: float, depth: float) -> Point:
    """Adds a bed with its head at the left or right wall, a table and a lamp; returns where the lamp shines."""
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


def _lamp(b: Builder, faces: list[Face], foot: Point) -> None:
    x, y, z = foot
    stem, shade, low, high = b.uniform(0.12, 0.25), b.uniform(0.2, 0.3), b.uniform(0.14, 0.2), b.uniform(0.07, 0.14)
    faces += [
        Face("trim", ((x - 0.03, y, z), (x + 0.03, y, z), (x + 0.03, y + stem, z), (x - 0.03, y + stem, z)), BACK, 0.7)
    ]
    y += stem
    corners = ((x - low, y, z), (x + low, y, z), (x + high, y + shade, z), (x - high, y + shade, z))
    faces += [Face("lamp", corners, BACK, 1.0, GLOW)]


def add_window(b: Builder, wall, width, height, depth, bed_x) -> tuple[Point, tuple[float, float]]:
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


def add_picture(b: Builder, wall, width, depth, bed_x) -> None:
    """Adds a framed picture, above the bed where one stands at that wall."""
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


def add_wardrobe_plant_chair(b: Builder, layout, width, height, depth, taken) -> None:
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


def _plant(b: Builder, x: float, z: float, size: float) -> None:
    pot, tall, light = 0.14 * size, 0.28 * size, b.uniform(0.5, 1.3)
    faces = [
        Face(
            "trim", ((x - pot * 0.7, 0, z), (x + pot * 0.7, 0, z), (x + pot, tall, z), (x - pot, tall, z)), BACK, light
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
        faces.append(Face("plant", corners, BACK, b.uniform(0.35, 1.1)))
    b.stand(faces, (x - pot, x + pot), (z - pot, z + pot))
