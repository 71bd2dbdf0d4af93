"""The grey values between which a film is scaled: percentiles, and a look for values far from all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["GreyLimits", "grey_limits"]

# so many of the pixels may lie in a gap; the strictest that shows one says best where it ends
_IN_GAP = (0, 0.002, 0.005, 0.01, 0.02)
# a head fills more of a film than that, so a part with fewer pixels is none, however many grey values it has
_SMALL_PART = 0.1
# of the range that is left: what was cut off still differs from it, so that the edge of a shutter is seen
_MARGIN = 0.05


@dataclass(frozen=True)
class GreyLimits:
    """What becomes 0 and what becomes 1.

    Attributes:
        low: becomes 0, as does all below.
        high: becomes 1, as does all above.
        cut: share of the pixels beyond a gap, which had no part in the percentiles, 0..1.
    """

    low: float
    high: float
    cut: float


def grey_limits(sample: np.ndarray, percentiles: tuple[float, float], max_gap: float | None) -> GreyLimits:
    """Return two percentiles of a film's pixels, without those that lie beyond a wide gap.

    Detectors and software set what was not exposed, is burnt or is a marker to an end of the range, however far from
    the anatomy that is. Between both there is a gap with hardly a pixel in it. Of the two parts beside a gap the
    smaller is cut off if it has less than a tenth of the pixels, otherwise that with the narrower range of grey values,
    such as air that was set to one value. This goes on while there is a gap.

    Args:
        sample: pixels, all finite, in any order and shape; an empty one has the limits 0 and 0.
        percentiles: the lower and the upper one, in 0..100.
        max_gap: share of the range between the percentiles that at most 2 % of the pixels may spread over; None does
            not look for gaps.
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
            # one grey value shows no head: an image with two keeps both
            break
        kept, low, high = part, part_low, part_high
        above_cut, below_cut = above_cut or take_below, below_cut or not take_below
    margin = _MARGIN * (high - low)
    return GreyLimits(low - margin * below_cut, high + margin * above_cut, 1 - kept.size / values.size)


def _gap(values: np.ndarray, low: float, high: float, max_gap: float) -> tuple[int, int] | None:
    """Return the places in sorted values between which a gap lies, None if there is none."""
    first, last = np.searchsorted(values, low, "left"), np.searchsorted(values, high, "right")
    inner = values[first:last]
    for share in _IN_GAP:
        count = max(1, int(share * values.size))
        if inner.size <= count:
            return None
        widths = inner[count:] - inner[:-count]
        widest = int(widths.argmax())
        if widths[widest] > max_gap * (high - low):
            return int(first) + widest, int(first) + widest + count
    return None


def _is_anatomy(below: np.ndarray, above: np.ndarray) -> bool:
    """Return whether the part below a gap is the anatomy, and not the one above."""
    small = _SMALL_PART * (below.size + above.size)
    if min(below.size, above.size) < small:
        return below.size > above.size
    spreads = [np.subtract(*np.percentile(part, (95, 5))) for part in (below, above)]
    return bool(spreads[0] > spreads[1])
