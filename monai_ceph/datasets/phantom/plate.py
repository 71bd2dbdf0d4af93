"""What absorbs x-rays between the tube and the film, summed on a pixel grid."""

from __future__ import annotations

from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["Plate"]


class Plate:
    """A sum of log-attenuations on a pixel grid, with pixel centres at integers.

    Args:
        height, width: size of the grid in pixels.
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
        """Return the slices that contain the shape, its 8-bit coverage there, and the same as an image."""
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
            # Blurring each 8-bit mask in its small box costs a tenth of blurring the sum.
            canvas = canvas.filter(ImageFilter.GaussianBlur(self.spread))
        return (slice(y0, y1), slice(x0, x1)), np.asarray(canvas), canvas

    def _soften(self, image: Image.Image, blur: float) -> Image.Image:
        """Blur at a reduced resolution, so that wide blurs are cheap, too."""
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
