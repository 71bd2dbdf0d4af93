"""The grey values that become 0 and 1: percentiles, without outliers far from the anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["IN_GAP", "MARGIN", "SMALL_PART", "GreyLimits", "grey_limits"]

# share of the pixels that may lie in a gap; the smallest one that shows a gap locates its ends best
IN_GAP = (0, 0.002, 0.005, 0.01, 0.02)
# a head fills more of a film than this share, so a part with fewer pixels is not the anatomy
SMALL_PART = 0.1
# share of the remaining range that is added where values were cut off, so that the edge of a shutter stays visible
MARGIN = 0.05


@dataclass(frozen=True)
class GreyLimits:
    """The grey values that become 0 and 1.

    Attributes:
        low: becomes 0, as do all lower values.
        high: becomes 1, as do all higher values.
        cut: share of the pixels that lie beyond a gap and were left out of the percentiles, 0..1.
    """

    low: float
    high: float
    cut: float


def grey_limits(sample: np.ndarray, percentiles: tuple[float, float], max_gap: float | None) -> GreyLimits:
    """Return two percentiles of a film's pixels, without the pixels beyond a wide gap.

    Detectors and software set unexposed areas, overexposed areas and markers to an end of the range, which can be far
    from the anatomy. In the gap between them there are hardly any pixels. Of the two parts beside a gap, one is cut
    off: the smaller if it has less than a tenth of the pixels, otherwise the one with the narrower range of grey
    values, such as air that was set to one value. This repeats until there is no gap.

    Args:
        sample: pixels, all finite, in any order and shape; for an empty sample both limits are 0.
        percentiles: the lower and the upper one, in 0..100.
        max_gap: largest share of the range between the percentiles that may hold less than 2 % of the pixels; a wider
            one is a gap. None skips the search for gaps.
    """
    if not sample.size:
        return GreyLimits(0.0, 0.0, 0.0)
    if max_gap is None:
        low, high = np.percentile(sample, percentiles).tolist()
        return GreyLimits(low, high, 0.0)
    values = kept = np.sort(sample, axis=None)
    low, high = np.percentile(kept, percentiles).tolist()
    below_cut = above_cut = False
    while (gap := _gap(kept, low, high, max_gap)) is not None:
        below, above = kept[: gap[0] + 1], kept[gap[1] :]
        take_below = _is_anatomy(below, above)
        part = below if take_below else above
        part_low, part_high = np.percentile(part, percentiles).tolist()
        if part_low == part_high:
            # a part with one grey value shows no head, so an image with two values keeps both
            break
        kept, low, high = part, part_low, part_high
        above_cut, below_cut = above_cut or take_below, below_cut or not take_below
    margin = MARGIN * (high - low)
    return GreyLimits(low - margin * below_cut, high + margin * above_cut, 1 - kept.size / values.size)


def _gap(values: np.ndarray, low: float, high: float, max_gap: float) -> tuple[int, int] | None:
    """Return the indices in sorted values on both sides of a gap; None if there is no gap."""
    first, last = np.searchsorted(values, low, "left"), np.searchsorted(values, high, "right")
    inner = values[first:last]
    for share in IN_GAP:
        count = max(1, int(share * values.size))
        if inner.size <= count:
            return None
        widths = inner[count:] - inner[:-count]
        widest = int(widths.argmax())
        if widths[widest] > max_gap * (high - low):
            return int(first) + widest, int(first) + widest + count
    return None


def _is_anatomy(below: np.ndarray, above: np.ndarray) -> bool:
    """Return True if the part below a gap is the anatomy, False if it is the part above."""
    small = SMALL_PART * (below.size + above.size)
    if min(below.size, above.size) < small:
        return below.size > above.size
    spreads = [np.subtract(*np.percentile(part, (95, 5))) for part in (below, above)]
    return bool(spreads[0] > spreads[1])
