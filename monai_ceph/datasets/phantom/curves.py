"""Curves for the phantom: splines, and the points on them that definitions name. All points are (x, y)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STEPS = 24
"""Samples per segment of every spline: control point ``i`` is sample ``i * STEPS``."""

Points = dict[str, np.ndarray]
Normal = Callable[..., np.ndarray]


def spline(
    points: Sequence[np.ndarray | tuple[float, float]] | np.ndarray, closed: bool = False, steps: int = STEPS
) -> np.ndarray:
    """Return a smooth curve through ``points`` (n, 2): a centripetal Hermite spline.

    Centripetal, because the uniform one makes loops where control points lie unevenly.
    """
    p = np.asarray(points, dtype=np.float64)
    pad = 3 if closed else 0
    if closed:
        p = np.concatenate([p[-pad:], p, p[: pad + 1]])
    chord = np.sqrt(np.linalg.norm(np.diff(p, axis=0), axis=1)) + 1e-9
    t = np.concatenate([[0.0], np.cumsum(chord)])
    tangent = np.gradient(p, t, axis=0)
    u = np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None]
    h = chord[:, None, None]
    curve = (
        (2 * u**3 - 3 * u**2 + 1) * p[:-1, None]
        + (u**3 - 2 * u**2 + u) * h * tangent[:-1, None]
        + (3 * u**2 - 2 * u**3) * p[1:, None]
        + (u**3 - u**2) * h * tangent[1:, None]
    )
    if closed:
        return curve[pad : -pad or None].reshape(-1, 2)
    return np.concatenate([curve.reshape(-1, 2), p[-1:]])


def farthest(curve: np.ndarray, direction: tuple[float, float] | np.ndarray) -> np.ndarray:
    """Return the point of ``curve`` farthest along ``direction``, between samples by a parabola."""
    height = curve @ np.asarray(direction, dtype=np.float64)
    i = int(np.clip(np.argmax(height), 1, len(curve) - 2))
    a, b, c = height[i - 1 : i + 2]
    bend = a - 2 * b + c
    u = 0.0 if bend >= 0 else float(np.clip(0.5 * (a - c) / bend, -1, 1))
    return (
        curve[i] + 0.5 * u * (curve[i + 1] - curve[i - 1]) + 0.5 * u**2 * (curve[i + 1] - 2 * curve[i] + curve[i - 1])
    )


def deepest(curve: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the point of ``curve`` that lies farthest behind the chord ``start`` to ``end``."""
    along = end - start
    normal = np.array([along[1], -along[0]]) / np.linalg.norm(along)
    return farthest(curve, normal if normal[0] < 0 else -normal)


def tooth(tip: np.ndarray, axis: np.ndarray, length: float, width: float, blunt: float = 0.0) -> np.ndarray:
    """Return the outline of a tooth: ``tip`` is its extreme point, ``axis`` points to the root's apex.

    ``blunt`` in 0..1 flattens the biting end (0: an incisor, 1: a molar).
    """
    normal = np.array([-axis[1], axis[0]])
    t = np.linspace(0.0, 1.0, 40)
    crown = np.clip(t / 0.42, 0, 1)
    edge = crown ** (0.62 - 0.45 * blunt)
    root = np.where(t > 0.42, np.clip((1 - t) / 0.58, 0, 1) ** 0.6, 1.0)
    half = 0.5 * width * edge * root
    spine = tip + np.outer(t * length, axis)
    return np.concatenate([spine + half[:, None] * normal, (spine - half[:, None] * normal)[::-1]])
