"""Flat faces in a room: what drawn rooms are built from.

Metres; x to the right, y up, z away from the camera.
"""

import dataclasses

import numpy as np

Point = tuple[float, float, float]

# How a face's surface is drawn; see data/rooms.py.
PLAIN, BOARDS, TILES, STRIPES, FOLDS, WAVES, GLOW = range(7)

# Normals, named after the wall that has them, on which they point into the room; UP is the floor's.
BACK, RIGHT, LEFT, UP, DOWN = (0, 0, -1), (-1, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0)


@dataclasses.dataclass(frozen=True)
class Face:
    """A flat quadrilateral of an item; `albedo` is how light the surface is, `normal` points into the room."""

    kind: str
    corners: tuple[Point, Point, Point, Point]
    normal: tuple[int, int, int]
    albedo: float
    surface: int = PLAIN


class Builder:
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
            faces.append(Face(kind, corners, RIGHT, albedo, surface))
        if ex > x1:
            corners = ((x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1))
            faces.append(Face(kind, corners, LEFT, albedo, surface))
        if ey > y1:
            corners = ((x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1))
            faces.append(Face(kind, corners, UP, albedo, surface if top is None else top))
        if ey < y0:
            corners = ((x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1))
            faces.append(Face(kind, corners, DOWN, albedo, surface))
        faces.append(Face(kind, ((x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)), BACK, albedo, surface))
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
            return Face(kind, ((a0, y0, p), (a1, y0, p), (a1, y1, p), (a0, y1, p)), BACK, albedo, surface)
        corners = ((p, y0, a0), (p, y0, a1), (p, y1, a1), (p, y1, a0))
        return Face(kind, corners, (inward, 0, 0), albedo, surface)
