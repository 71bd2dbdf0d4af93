"""The drawing of the phantom: contours become attenuation, attenuation becomes a film."""

from __future__ import annotations

from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from monai_ceph.datasets.phantom.jaws import CHEEK_TEETH
from monai_ceph.datasets.phantom.shape import Shape


class Plate:
    """A sum of log-attenuations on a pixel grid, with pixel centres at integers.

    Args:
        height, width: of the grid.
        scale: pixels per pixel of the full-size film; widths and blurs are given for the full-size film.
        sharpness: sigma of the film's point spread, in pixels of the full-size film.
    """

    def __init__(self, height: int, width: int, scale: float, sharpness: float) -> None:
        self.mu = np.zeros((height, width), dtype=np.float32)
        self.scale = scale
        self.spread = max(0.45, sharpness * scale)
        self.fine = int(np.clip(ceil(2.0 / scale), 2, 6))  # sub-pixels per pixel

    def _mask(
        self, points: np.ndarray, blur: float, width: float | None = None, sharp: bool = True
    ) -> tuple[tuple[slice, slice], np.ndarray, Image.Image] | None:
        """Return where the shape lies, its 8-bit coverage there, and the same as an image."""
        rows, columns = self.mu.shape
        pad = 2.0 + 3.0 * self.spread + 3.0 * blur * self.scale + 0.5 * (width or 0.0) * self.scale
        x0, y0 = np.maximum(np.floor(points.min(axis=0) - pad), 0).astype(int)
        x1, y1 = np.ceil(points.max(axis=0) + pad).astype(int) + 1
        x1, y1 = min(int(x1), columns), min(int(y1), rows)
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None
        size = ((x1 - x0) * self.fine, (y1 - y0) * self.fine)
        canvas = Image.new("L", size)
        # Centre of pixel x lies at (x + 0.5) * fine - 0.5 in sub-pixels, again with centres at integers.
        xy = ((points + 0.5 - (x0, y0)) * self.fine - 0.5).ravel().tolist()
        if width is None:
            ImageDraw.Draw(canvas).polygon(xy, fill=255)
        else:
            thick = max(1, round(width * self.scale * self.fine))
            ImageDraw.Draw(canvas).line(xy, fill=255, width=thick, joint="curve")
        canvas = canvas.reduce(self.fine)
        if sharp:
            # The point spread goes on here: on 8 bits and small boxes it costs a tenth of a blur of the sum.
            canvas = canvas.filter(ImageFilter.GaussianBlur(self.spread))
        return (slice(y0, y1), slice(x0, x1)), np.asarray(canvas), canvas

    def _soften(self, image: Image.Image, blur: float) -> Image.Image:
        """Blur at a resolution that the blur itself allows: cheap however wide it is."""
        sigma = max(blur * self.scale, self.spread)
        factor = max(1, min(int(sigma / 2.0), min(image.size)))
        small = image.reduce(factor) if factor > 1 else image
        small = small.filter(ImageFilter.GaussianBlur(sigma / factor))
        if factor == 1:
            return small
        # reduce() rounds the size up: its last cells reach past the edge.
        box = (0.0, 0.0, image.size[0] / factor, image.size[1] / factor)
        return small.resize(image.size, Image.Resampling.BILINEAR, box=box)

    def body(self, points: np.ndarray, core: float, *, rim: float = 0.0, rim_width: float = 20.0) -> None:
        """Fill an outline with a sharp edge; ``rim`` brightens (below 0: thins) the inside of that edge."""
        found = self._mask(points, 2.0 * rim_width / 3.0 if rim else 0.0)
        if found is None:
            return
        where, mask, image = found
        weight = mask.astype(np.float32) * np.float32(core / 255.0)
        if rim:
            wide = np.asarray(self._soften(image, rim_width), dtype=np.float32)
            weight += mask * (255.0 - wide) * np.float32(2.0 * rim / 255.0**2)
        self.mu[where] += weight

    def cloud(self, points: np.ndarray, amount: float, blur: float) -> None:
        """Fill an outline with a soft edge."""
        found = self._mask(points, blur, sharp=False)
        if found is None:
            return
        where, _, image = found
        self.mu[where] += np.asarray(self._soften(image, blur), dtype=np.float32) * np.float32(amount / 255.0)

    def line(self, points: np.ndarray, width: float, amount: float, blur: float = 0.0) -> None:
        """Draw a line of the given width, centred on ``points``."""
        found = self._mask(points, blur, width, sharp=not blur)
        if found is None:
            return
        where, mask, image = found
        drawn = np.asarray(self._soften(image, blur)) if blur else mask
        self.mu[where] += drawn.astype(np.float32) * np.float32(amount / 255.0)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Return a (height, width) float32 field of unit noise, interpolated from ``cells`` cells across."""
    grid = rng.standard_normal((max(2, cells * height // width), cells), dtype=np.float32)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC))


def draw_head(
    plate: Plate, shape: Shape, matrix: np.ndarray, origin: np.ndarray, unit: float, rng: np.random.Generator
) -> None:
    """Add a head to the plate: ``pixel = origin + matrix @ point``; ``unit`` is |SN| in full-size pixels."""
    c = {name: origin + points @ matrix.T for name, points in shape.contours.items()}
    # The side of the head farther from the film: larger, blurred, a little off.
    far_shift = matrix @ (rng.uniform(0.010, 0.042, 2) * rng.choice([-1.0, 1.0], 2))

    def far(name: str) -> np.ndarray:
        middle = c[name].mean(axis=0)
        return (c[name] - middle) * 1.015 + middle + far_shift

    def place(x: float, y: float) -> np.ndarray:
        return origin + matrix @ np.array([x, y])

    bone = rng.uniform(0.92, 1.10)
    flesh = rng.uniform(0.85, 1.10)

    # Flesh, and the ways of air through it.
    plate.body(c["skin"], 0.62 * flesh, rim=-0.24 * flesh, rim_width=55)
    plate.cloud(c["skin"], 0.30 * flesh, 90)
    plate.cloud(c["nostril"], -0.16, 9)
    plate.cloud(c["pharynx"], -0.42, 13)
    plate.cloud(c["soft_palate"], 0.20, 5)
    plate.body(c["hyoid"], 0.22 * bone, rim=0.22, rim_width=8)

    # Braincase.
    plate.body(c["cranium"], 0.34 * bone, rim=0.42 * bone, rim_width=26)
    plate.cloud(c["brain"], 0.78 * bone, 55)
    plate.cloud(c["brain"], -0.14 * bone, 12)
    plate.line(c["vault_outer"], 9, 0.22 * bone)
    plate.line(c["vault_inner"], 11, 0.34 * bone, 2.5)
    plate.line(c["roof"], 9, 0.48 * bone, 1.5)
    plate.line(c["roof"] + far_shift * 0.7 + matrix @ np.array([0.0, -0.03]), 8, 0.28 * bone, 3.0)
    plate.cloud(c["petrous"], 0.40 * bone, 16)
    plate.cloud(c["sphenoid"], 0.40 * bone, 9)
    plate.line(c["base"], 10, 0.42 * bone, 1.2)
    plate.line(c["base_front"], 10, 0.20 * bone, 4)
    plate.line(c["clivus"], 9, 0.36 * bone, 2)

    # Sella and sphenoid.
    plate.cloud(c["sphenoid_sinus"], -0.42, 6)
    plate.cloud(c["sella"], -0.22, 5)
    plate.line(c["sella"], 9, 0.50 * bone, 1)
    plate.body(c["anterior_clinoid"], 0.34 * bone, rim=0.25, rim_width=8)
    plate.body(c["posterior_clinoid"], 0.38 * bone, rim=0.25, rim_width=8)

    # Mid-face.
    plate.cloud(c["frontal_process"], 0.26 * bone, 9)
    plate.cloud(c["frontal_sinus"], -0.55, 4)
    plate.line(np.concatenate([c["frontal_sinus"], c["frontal_sinus"][:1]]), 7, 0.30 * bone, 1.5)
    plate.body(c["nasal_bone"], 0.16 * bone, rim=0.40, rim_width=10)
    plate.line(c["suture"], 7, -0.42)
    plate.cloud(c["orbit"], -0.16, 10)
    plate.line(far("orbit_rim"), 12, 0.20 * bone, 4)
    plate.line(c["orbit_rim"], 10, 0.50 * bone, 1)
    plate.line(c["orbit_floor"], 8, 0.30 * bone, 2)
    plate.cloud(c["zygoma"], 0.22 * bone, 7)
    plate.line(c["zygoma"][: len(c["zygoma"]) // 2], 8, 0.22 * bone, 3)
    plate.cloud(c["maxillary_sinus"], -0.22, 10)
    plate.cloud(c["nasal_airway"], -0.20, 12)
    plate.line(c["pterygoid"], 10, 0.30 * bone, 3)
    plate.line(c["pterygoid"] + far_shift, 10, 0.22 * bone, 4)

    # Jaws.
    plate.body(c["maxilla"], 0.30 * bone, rim=0.26 * bone, rim_width=12)
    plate.line(c["maxilla_front"], 7, 0.16 * bone, 1)
    plate.body(c["palate"], 0.62 * bone)
    plate.line(c["palate_roof"], 8, 0.30 * bone, 2.5)
    plate.body(c["mandible"], 0.40 * bone, rim=0.52 * bone, rim_width=13)
    plate.cloud(far("mandible"), 0.26 * bone, 5)
    plate.line(np.concatenate([far("mandible"), far("mandible")[:1]]), 12, 0.16 * bone, 4)
    plate.line(c["canal"], 16, -0.10, 5)
    plate.line(c["lingual"], 12, 0.34 * bone, 3)
    for jaw in ("upper", "lower"):
        for i in range(len(CHEEK_TEETH)):
            name = f"{jaw}_tooth_{i}"
            plate.body(c[name], 0.34 * bone, rim=0.10, rim_width=8)
            plate.cloud(far(name), 0.20 * bone, 4)
            crown = np.concatenate([c[name][:16], c[name][-16:]])
            plate.body(crown, 0.22 * bone)
            if i > 2 and rng.random() < 0.25:  # a filling
                plate.body(crown, rng.uniform(0.3, 1.2))
        name = f"{jaw}_incisor"
        plate.cloud(c[name] + 0.6 * far_shift + matrix @ np.array([-0.035, 0.0]), 0.34 * bone, 4)
        plate.body(c[name], 0.62 * bone, rim=0.25, rim_width=7)
        plate.body(np.concatenate([c[name][:15], c[name][-15:]]), 0.30 * bone)

    # Ear, with the rods of the cephalostat.
    plate.cloud(c["ear_canal"], -0.50, 3)
    plate.line(np.concatenate([c["ear_canal"], c["ear_canal"][:1]]), 5, 0.22 * bone, 1.5)
    for name, amount in (("ear_rod", 0.55), ("ear_rod_far", 0.40)):
        ring = np.concatenate([c[name], c[name][:1]])
        plate.body(c[name], 0.10)
        plate.line(ring, 6, amount)

    for i in range(1, 8):
        for name, core in ((f"arch_{i}", 0.16), (f"vertebra_{i}", 0.40)):
            plate.body(c[name], core * bone, rim=0.9 * core * bone, rim_width=9)

    # Air cells: crooked bright walls behind the ear and in the ethmoid, none of them a landmark.
    turn = np.linspace(0, 2 * np.pi, 10)
    for x0, x1, y0, y1, count, strength in (
        (-0.90, -0.42, 0.20, 0.60, 46, 0.13),
        (0.36, 0.76, -0.06, 0.36, 40, 0.14),
    ):
        for _ in range(count):
            middle = place(rng.uniform(x0, x1), rng.uniform(y0, y1))
            radius = rng.uniform(0.015, 0.065, 2) * unit * plate.scale
            reach = rng.integers(4, 10)
            wall = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius * rng.uniform(0.7, 1.3, (10, 1))
            plate.line(middle + wall[:reach], 6, strength, 1.5)


def draw_ruler(plate: Plate, x: float, tip: float, pixels_per_mm: float) -> None:
    """Add the nasion rod: bar, pad and a scale with a tick each 5 mm. Positions in plate pixels."""
    s = plate.scale

    def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])

    plate.body(box(x - 14 * s, -20 * s, x + 14 * s, tip), 0.55)
    plate.body(box(x - 55 * s, -20 * s, x + 55 * s, tip - 560 * s), 0.16, rim=0.22, rim_width=10)
    plate.body(box(x - 42 * s, tip - 90 * s, x + 42 * s, tip + 130 * s), 0.28)
    plate.body(box(x - 190 * s, tip + 70 * s, x - 42 * s, tip + 120 * s), 0.28)
    for i in range(9):
        y = tip + 10 * s - 5.0 * i * pixels_per_mm
        plate.body(box(x - 26 * s, y - 5 * s, x, y + 5 * s), 1.1)
    plate.body(box(x, tip + 10 * s - 40 * pixels_per_mm, x + 9 * s, tip + 10 * s), 1.1)


def expose(plate: Plate, rng: np.random.Generator) -> np.ndarray:
    """Return the film as (height, width) uint16 in 0..4095: scatter, grain, film curve."""
    height, width = plate.mu.shape
    mu = plate.mu
    for cells, amount in ((260, 0.018), (90, 0.015), (12, 0.03)):
        mu *= 1.0 + np.float32(amount) * smooth_noise(rng, height, width, cells)
    np.maximum(mu, 0.0, out=mu)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None]
    heel = rng.uniform(-0.10, 0.12) * x + rng.uniform(-0.08, 0.08) * y
    # The side before the face is often fogged towards the edge of the film.
    fog = rng.uniform(0.0, 0.12) * (x * x + y * y) + rng.uniform(-0.4, 0.9) * np.maximum(x - 0.55, 0.0)
    mu += (heel + np.maximum(fog, 0.0)).astype(np.float32)
    # Quantum noise: fewer photons behind more matter. Pixels of a small film gather more of them.
    grain = rng.uniform(0.016, 0.034) * max(plate.scale, 0.35)
    mu += rng.standard_normal(mu.shape, dtype=np.float32) * np.exp(0.42 * mu) * np.float32(grain)
    middle, latitude = rng.uniform(1.05, 1.30), rng.uniform(0.42, 0.54)
    film = 1.0 / (1.0 + np.exp((middle - mu) / np.float32(latitude)))
    return np.rint(film * np.float32(4095.0)).astype(np.uint16)
