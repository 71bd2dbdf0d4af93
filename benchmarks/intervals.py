"""How often the measurement of the doctors' points lies within the stated interval, and how often a class is right.

``python benchmarks/intervals.py ISBI2015/ --evidence runs/evidence.npz --points runs/profile_coverage --global-weights
'runs/G{fold}/final.pt' --local-weights ... --context-weights ...`` takes what ``error_model.py`` saw with networks that
have not seen the films of the fold. It detects once and keeps the detections in ``--points``, a folder that
``profile_coverage.py`` can share. Everything is cross-fitted: for each fifth of the films, the radii and the factors of
the intervals are learned on the others. ``--write FILE`` then learns the factors on all, and writes the bias. Test
films are not read.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from error_model import FIFTHS, PLAIN, Evidence, fifth_of, judge, learn
from fold import of_fold
from profiles import detected

from monai_ceph import weights
from monai_ceph.analysis import DEFINITIONS, Measurement, Norms, load_norms, measure
from monai_ceph.analysis.challenge import film_classes
from monai_ceph.analysis.norms.files import norm_sets
from monai_ceph.analysis.uncertainty import interval_factor
from monai_ceph.datasets import Film, isbi2015, split_fold
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.profiles.radii import conformal_radius
from monai_ceph.readers import SpacingSource
from monai_ceph.result import Detection

SHARE = 0.95
USED = [index for index, each in enumerate(DEFINITIONS) if each.smooth and set(each.landmarks) <= set(SYMBOLS)]
KINDS = ("with_radii", "without_radii")


@dataclass
class Seen:
    """What is known of the films, and the half lengths of the intervals as linearisation gives them.

    Attributes:
        measured: what was detected on each film, without radii.
        true: the same of the mean of both doctors' points.
        halves: by kind: (FIFTHS, films, M); of the radii of the model that did not see the fifth, or without radii.
        fifth: (films,) of each film.
    """

    measured: list[tuple[Measurement, ...]]
    true: list[tuple[Measurement, ...]]
    halves: dict[str, np.ndarray]
    fifth: np.ndarray

    @property
    def errors(self) -> np.ndarray:
        """Detected minus true value of the USED measurements, (films, M)."""
        found, truth = (np.array([values(each) for each in films]) for films in (self.measured, self.true))
        return found - truth

    def factors(self, kind: str, films: np.ndarray, fifth: int) -> np.ndarray:
        """Return the factor of each measurement, (M,), that some films ask for."""
        ratio = np.abs(self.errors)[films] / self.halves[kind][fifth][films]
        return np.array([conformal_radius(column[np.isfinite(column)], SHARE) for column in ratio.T])

    def cross_fitted(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Return half lengths by models of other films, (films, M), before and after the factor."""
        before, after = (np.zeros_like(self.errors) for _ in range(2))
        for fifth in range(FIFTHS):
            mine = self.fifth == fifth
            before[mine] = self.halves[kind][fifth][mine]
            after[mine] = before[mine] * self.factors(kind, ~mine, fifth)
        return before, after


def at_scale(detection: Detection, film: Film, radii: np.ndarray | None) -> Detection:
    """Return a detection at the scale of the film, with radii for 95 %, (19,) in mm, or without radii."""
    side = film.pixel_spacing
    marks = tuple(
        mark.model_copy(update={"radius_95_px": None if radii is None else float(radii[index]) / side})
        for index, mark in enumerate(detection.landmarks)
    )
    scale = {"pixel_spacing": (side, side), "spacing_source": SpacingSource.USER}
    return detection.model_copy(update={"landmarks": marks, **scale})


def truth_of(film: Film, detection: Detection) -> tuple[Measurement, ...]:
    places = dict(zip(SYMBOLS, film.landmarks[:, ::-1].tolist(), strict=True))
    way = {"turned": detection.turned, "mirrored": detection.mirrored}
    return measure(places, film.pixel_spacing, norms=Norms(), **way)


def values(measurements: Sequence[Measurement]) -> list[float]:
    found = [measurements[index].value for index in USED]
    return [math.nan if value is None else value for value in found]


def halves(measurements: Sequence[Measurement], kind: str) -> list[float]:
    """Return half of the length of each interval without its factor."""
    found = [measurements[index] for index in USED]
    factors = [interval_factor(each.symbol, [kind == "with_radii"]) for each in found]
    return [
        math.nan if each.interval is None else (each.interval[1] - each.interval[0]) / 2 / factor
        for each, factor in zip(found, factors, strict=True)
    ]


def evidence_of(films: list[Film], detections: list[Detection], evidence: Evidence) -> Seen:
    plain, none = evidence.of(evidence.kind == PLAIN), Norms()
    fifths = fifth_of(evidence)
    pairs = list(zip(films, detections, strict=True))
    without = [measure(at_scale(detection, film, None), norms=none) for film, detection in pairs]
    general = [halves(each, "without_radii") for each in without]
    own = []
    for fifth in range(FIFTHS):
        radii = judge(learn(evidence.of(fifths != fifth)), plain)["radius_95"]
        told = [at_scale(*pair[::-1], mine) for pair, mine in zip(pairs, radii, strict=True)]
        own.append([halves(measure(each, norms=none), "with_radii") for each in told])
    return Seen(
        without,
        [truth_of(film, detection) for film, detection in pairs],
        {"with_radii": np.array(own), "without_radii": np.array([general] * FIFTHS)},
        fifth_of(plain),
    )


def print_intervals(seen: Seen) -> None:
    errors = seen.errors
    off = np.abs(errors)
    by_kind = {kind: seen.cross_fitted(kind) for kind in KINDS}
    print("| measurement | unit | films | bias | mean absolute | inside, no factor | half | inside | half | no radii |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    for column, index in enumerate(USED):
        known = np.isfinite(off[:, column])
        shares = [100 * (off[known, column] <= half[known, column]).mean() for kind in KINDS for half in by_kind[kind]]
        before, after = (np.median(half[known, column]) for half in by_kind["with_radii"])
        rows.append(shares)
        each = DEFINITIONS[index]
        digits = 3 if each.unit == "ratio" else 2
        print(
            f"| `{each.symbol}` | {each.unit} | {known.sum()} | "
            f"{errors[known, column].mean():+.{digits}f} | {off[known, column].mean():.{digits}f} | "
            f"{shares[0]:.1f} | {before:.{digits}f} | {shares[1]:.1f} | {after:.{digits}f} | {shares[3]:.1f} |"
        )
    mean, low, high = (reduce(rows, axis=0) for reduce in (np.mean, np.min, np.max))
    shorter = [np.nanmedian(np.divide(*by_kind[kind][::-1])) for kind in KINDS]
    for name, before, after, ratio in (("radii", 0, 1, shorter[0]), ("no radii", 2, 3, shorter[1])):
        print(
            f"\n{name}: inside {mean[before]:.1f} % ({low[before]:.1f} to {high[before]:.1f}) before the factor, "
            f"{mean[after]:.1f} % ({low[after]:.1f} to {high[after]:.1f}) after it, {ratio:.2f} times as long"
        )


def with_halves(measurements: tuple[Measurement, ...], own: np.ndarray) -> tuple[Measurement, ...]:
    """Return the measurements with other intervals."""
    changed = list(measurements)
    for index, half in zip(USED, own, strict=True):
        each = changed[index]
        if each.value is not None and math.isfinite(half):
            changed[index] = each.model_copy(update={"interval": (each.value - half, each.value + half)})
    return tuple(changed)


def flags(told: Sequence[Measurement], true: Sequence[Measurement], norms: Norms) -> Iterator[tuple[bool, bool]]:
    """Yield for each measurement with a norm whether its side of the limits is certain, and whether it is right."""
    for each, other in zip(told, true, strict=True):
        # norms by sex are those of women: the films do not say it
        norm = norms.find(each.symbol, "F")
        if norm is None or each.value is None or other.value is None or each.interval is None:
            continue
        low, high = each.interval
        sides = [int(np.searchsorted(norm.limits, value)) for value in (each.value, other.value)]
        yield not any(low < limit < high for limit in norm.limits), sides[0] == sides[1]


def print_classes(seen: Seen) -> None:
    """Print how often a class is certain and right: the challenge's eight, and above, below or within a norm."""
    _, after = seen.cross_fitted("with_radii")
    outcomes: dict[str, list[tuple[bool, bool]]] = {}
    for measured, true, own in zip(seen.measured, seen.true, after, strict=True):
        told = with_halves(measured, own)
        right = {each.symbol: each.classes[:1] for each in film_classes(true)}
        for one in film_classes(told):
            if one.classes and right.get(one.symbol):
                outcome = (one.certain, one.classes[:1] == right[one.symbol])
                outcomes.setdefault(f"challenge: {one.symbol}", []).append(outcome)
        for name in norm_sets():
            if name != "isbi-2015":
                outcomes.setdefault(f"norms: {name}", []).extend(flags(told, true, load_norms([name])))
    print("\n| class | n | not certain % | right % | right if certain % | right if not certain % |")
    print("|---|---|---|---|---|---|")
    for group in ("challenge: ", "norms: "):
        outcomes[f"{group}all"] = [pair for name, pairs in outcomes.items() if name.startswith(group) for pair in pairs]
    for name, pairs in sorted(outcomes.items()):
        # norms of measurements that the 19 landmarks do not give
        if not pairs:
            continue
        certain, right_ones = np.array(pairs).T
        inner = [100 * right_ones[rows].mean() if rows.any() else math.nan for rows in (certain, ~certain)]
        print(
            f"| {name} | {len(pairs)} | {100 * (~certain).mean():.1f} | {100 * right_ones.mean():.1f} | "
            f"{inner[0]:.1f} | {inner[1]:.1f} |"
        )


def write(seen: Seen, evidence: Evidence, films: list[Film], detections: list[Detection], file: Path) -> None:
    """Learn the factors on all films, with the radii of a model that was learned on all of them, as the shipped one."""
    plain = evidence.of(evidence.kind == PLAIN)
    radii = judge(learn(evidence), plain)["radius_95"]
    told = [at_scale(*row) for row in zip(detections, films, radii, strict=True)]
    own = np.array([halves(measure(each, norms=Norms()), "with_radii") for each in told])
    every = np.ones(len(films), dtype=bool)
    whole = Seen(
        seen.measured, seen.true, {"with_radii": own[None], "without_radii": seen.halves["without_radii"]}, seen.fifth
    )
    symbols = [DEFINITIONS[index].symbol for index in USED]
    factors = {
        kind: dict(zip(symbols, (round(float(each), 3) for each in whole.factors(kind, every, 0)), strict=True))
        for kind in KINDS
    }
    source = f"{len(films)} of the 150 training films of ISBI 2015, by networks that did not see them"
    learned = {"learned_on": source, "share": SHARE, "factors": factors, "bias": known_bias(seen.errors)}
    text = json.dumps(learned, ensure_ascii=False, indent=1)
    file.write_text(text + "\n", encoding="utf-8")


def known_bias(errors: np.ndarray) -> dict[str, float]:
    """Return the mean error of measurements without a length, where it is more than twice its standard error.

    Lengths are left out: what they are in mm is not known on these films.
    """
    found = {}
    for index, column in zip(USED, errors.T, strict=True):
        known = column[np.isfinite(column)]
        mean, error = float(known.mean()), float(known.std(ddof=1)) / math.sqrt(len(known))
        if DEFINITIONS[index].unit != "mm" and abs(mean) > 2 * error:
            found[DEFINITIONS[index].symbol] = round(mean, 4 if DEFINITIONS[index].unit == "ratio" else 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="ISBI 2015 folder")
    parser.add_argument("--evidence", type=Path, required=True, help="file of error_model.py, with the same folds")
    parser.add_argument("--fold", type=int, nargs="+", default=[0], help="held out; several are pooled (default: 0)")
    parser.add_argument("--folds", type=int, default=2, help="number of folds, by seed 0 (default: 2)")
    parser.add_argument("--points", type=Path, default=Path("runs/profile_coverage"), help="where detections are kept")
    for name in weights.STAGES:
        parser.add_argument(f"--{name}-weights", required=True, help="of networks that did not see the fold")
    parser.add_argument("--write", type=Path, help="write the factors here, learned on all films")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kept = dict(np.load(args.evidence))
    kept.pop("shift", None)
    evidence = Evidence(**kept)
    given = {f"{name}_weights": getattr(args, f"{name}_weights") for name in weights.STAGES}
    films: list[Film] = []
    detections: list[Detection] = []
    for fold in args.fold:
        held_out = split_fold(isbi2015(args.dataset, "train"), fold, args.folds, 0)[1]
        settings = {**of_fold(given, fold), "error_model": None, "missing_below": 0.0}
        films += held_out
        detections += detected(held_out, args.points, None, settings)
    seen = evidence_of(films, detections, evidence)
    print_intervals(seen)
    print_classes(seen)
    if args.write:
        write(seen, evidence, films, detections, args.write)


if __name__ == "__main__":
    main()
