"""Grey values in the graph: :class:`monai_ceph.transforms.ScaleFilmIntensity` and the exposed field."""

from __future__ import annotations

import ndonnx as ndx
import numpy as np

from monai_ceph.inferers.exposed_field import BEGINS, FLAT, TOLERANCE, WITHIN
from monai_ceph.onnx_graph.geometry import Array, constant, loop
from monai_ceph.readers.grey_limits import IN_GAP, MARGIN, SMALL_PART
from monai_ceph.transforms import ScaleFilmIntensity

__all__ = ["depth", "exposed_field", "scaled"]

_FALSE = np.asarray(False)


def scaled(film: Array, intensity: ScaleFilmIntensity) -> Array:
    """Return a film (row, column) in 0..1, as :class:`monai_ceph.transforms.ScaleFilmIntensity` does."""
    low, high = _limits(film, intensity)
    width = (high - low).astype(ndx.float32)
    grey = (film - low.astype(ndx.float32)) / ndx.where(width > 0, width, constant(1, np.float32))
    grey = ndx.where(ndx.isnan(grey) | ~(width > 0), constant(0, np.float32), grey)
    return ndx.clip(grey, 0.0, 1.0)


def _limits(film: Array, intensity: ScaleFilmIntensity) -> tuple[Array, Array]:
    """Return the grey values that become 0 and 1: :func:`monai_ceph.readers.grey_limits.grey_limits`."""
    step, percentiles, max_gap = intensity.step, intensity.percentiles, intensity.max_gap
    sample = ndx.reshape(film[::step, ::step], (-1,))
    finite = sample[ndx.isfinite(sample)]
    # a film without finite pixels counts as black
    missing = (finite.dynamic_shape[0] == 0).astype(ndx.int64)
    values = ndx.sort(ndx.concat([finite, constant([0], np.float32)[:missing]]))
    start, stop = constant(0, np.int64), values.dynamic_shape[0]
    low, high = (_percentile(values, start, stop, each) for each in percentiles)
    if max_gap is None:
        return low, high

    def without_a_part(_: Array, *before: Array) -> tuple[Array, ...]:
        start, stop, low, high, below_cut, above_cut = before
        found, left, right = _gap(values, start, stop, low, high, max_gap)
        take_below = _is_anatomy(values, (start, left + 1), (right, stop))
        part = ndx.where(take_below, start, right), ndx.where(take_below, left + 1, stop)
        part_low, part_high = (_percentile(values, *part, each) for each in percentiles)
        # a part with one grey value shows no head, so an image with two values keeps both
        go = found & (part_low != part_high)
        after = (*part, part_low, part_high, below_cut | ~take_below, above_cut | take_below)
        return go, *(ndx.where(go, new, old) for new, old in zip(after, before, strict=True))

    never = ndx.asarray(_FALSE)
    _, _, low, high, below_cut, above_cut = loop(without_a_part, start, stop, low, high, never, never)
    margin = MARGIN * (high - low)
    return low - margin * below_cut.astype(ndx.float64), high + margin * above_cut.astype(ndx.float64)


def _percentile(values: Array, start: Array, stop: Array, percent: float) -> Array:
    """Return a percentile of ``values[start:stop]``, which are sorted."""
    place = (stop - start - 1).astype(ndx.float64) * (percent / 100)
    before = ndx.floor(place)
    index = start + before.astype(ndx.int64)
    low, high = (values[each].astype(ndx.float64) for each in (index, ndx.minimum(index + 1, stop - 1)))
    return low + (high - low) * (place - before)


def _gap(
    values: Array, start: Array, stop: Array, low: Array, high: Array, max_gap: float
) -> tuple[Array, Array, Array]:
    """Return whether sorted ``values[start:stop]`` have a gap, and the indices on both sides of it."""
    kept = values[start:stop]
    first, last = (
        ndx.sum(each.astype(ndx.int64)) for each in (kept.astype(ndx.float64) < low, kept.astype(ndx.float64) <= high)
    )
    inner, size = kept[first:last], last - first
    found, left, right = ndx.asarray(_FALSE), start, start
    # backwards, so that the smallest share that shows a gap is kept
    for share in reversed(IN_GAP):
        count = ndx.maximum((share * (stop - start).astype(ndx.float64)).astype(ndx.int64), constant(1, np.int64))
        # too few pixels: widths of 0 are no gap
        count = ndx.where(size > count, count, constant(0, np.int64))
        widths = inner[count:] - inner[: size - count]
        widest = ndx.argmax(widths)
        here = widths[widest].astype(ndx.float64) > max_gap * (high - low)
        index = start + first + widest
        found, left, right = found | here, ndx.where(here, index, left), ndx.where(here, index + count, right)
    return found, left, right


def _is_anatomy(values: Array, below: tuple[Array, Array], above: tuple[Array, Array]) -> Array:
    """Return whether the part below a gap is the anatomy; each part is a start and a stop in sorted values."""
    sizes = [stop - start for start, stop in (below, above)]
    small = SMALL_PART * (sizes[0] + sizes[1]).astype(ndx.float64)
    spreads = [_percentile(values, *part, 95) - _percentile(values, *part, 5) for part in (below, above)]
    return ndx.where(ndx.minimum(*sizes).astype(ndx.float64) < small, sizes[0] > sizes[1], spreads[0] > spreads[1])


def exposed_field(film: Array) -> Array:
    """Return top, left, bottom, right of the exposed part of a film (row, column) in 0..1, in pixels.

    See :func:`monai_ceph.inferers.exposed_field.exposed_field`.
    """
    top, bottom = _ends(film)
    left, right = _ends(film[top : bottom + 1, :].mT)
    # check the rows again: a wide shutter beside them hides the straight edge. Without one, nothing changes.
    top, bottom = _ends(film[:, left : right + 1])
    return ndx.stack([top, left, bottom, right]).astype(ndx.float64)


def depth(field: Array, points: Array) -> Array:
    """Return the distances of (N, 2) points, (row, column), from the nearest border; negative outside."""
    return ndx.min(ndx.concat([points - field[:2], field[2:] - points], axis=1), axis=1)


def _ends(film: Array) -> tuple[Array, Array]:
    """Return the first and the last row that no shutter covers."""
    count, length = film.dynamic_shape[0], film.dynamic_shape[1]
    one = constant(1, np.int64)
    grey = film[:, :: ndx.maximum(length // 200, one)]
    ordered = ndx.sort(grey, axis=1)
    median = ordered[:, (grey.dynamic_shape[1] - 1) // 2]
    share = ndx.mean((ndx.abs(grey - median[:, None]) > TOLERANCE).astype(ndx.float32), axis=1)
    seen = (share > FLAT).astype(ndx.int64)
    first, last = ndx.argmax(seen), count - 1 - ndx.argmax(ndx.flip(seen))
    reach = ndx.maximum(ndx.round(WITHIN * count.astype(ndx.float64)).astype(ndx.int64), 2 * one)
    straight_first = ndx.max(share[first : first + reach + 1]) >= BEGINS
    straight_last = ndx.max(share[ndx.maximum(last - reach, 0 * one) : last + 1]) >= BEGINS
    any_seen = ndx.any(seen == 1)
    return (
        ndx.where(any_seen & straight_first, first, 0 * one),
        ndx.where(any_seen & straight_last, last, count - 1),
    )
