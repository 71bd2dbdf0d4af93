"""What a report of one film says, for every kind of file that shows it: one text, one rounding, one order.

:func:`film_report` turns a detection and its measurements into rows of text and numbers. The writers
(:mod:`monai_ceph.reports.html_report`, :mod:`monai_ceph.reports.pdf_report`) lay them out and decide nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache

from monai_ceph.analysis import Measurement, Norm, load_norms
from monai_ceph.analysis.challenge import film_classes
from monai_ceph.analysis.norms.files import norm_sets
from monai_ceph.analysis.uncertainty import known_bias
from monai_ceph.readers.radiograph import in_mm
from monai_ceph.result import Detection

__all__ = [
    "CHART_LIMIT",
    "CLASSES_TITLE",
    "DRAFT",
    "ClassRow",
    "FilmReport",
    "MeasurementGroup",
    "MeasurementRow",
    "Signature",
    "class_rows",
    "film_report",
    "norm_text",
    "quantity",
    "signed_number",
    "span",
    "verdict",
]

DRAFT = "DRAFT: not reviewed"
"""What a report says until a named person has signed it."""

CHART_LIMIT = 4.0
"""Ends of the deviation chart in SD; what lies beyond is drawn at the end, as an arrow."""

CLASSES_TITLE = "Classes of the ISBI 2015 challenge"
"""Above the eight classes."""

# rows of the chart that leave room below it
_FEW_ROWS = 15
_DIGITS = {"degree": 1, "mm": 1, "percent": 1, "ratio": 3}
_SIGNS = {"degree": "°", "mm": " mm", "percent": " %", "ratio": ""}


@dataclass(frozen=True)
class Signature:
    """Who reviewed the result, and when.

    Attributes:
        name: of the person.
        signed: time of the signature, with a time zone.
    """

    name: str
    signed: datetime


@dataclass(frozen=True)
class MeasurementRow:
    """One measurement as a report shows it. Texts are empty where there is nothing to say.

    Attributes:
        symbol: its short form.
        name: its full name.
        value: with its unit; empty if there is none.
        reason: why there is no value.
        interval: the 95 % interval, in the unit of the value.
        norm: mean and SD of the norm, or its limits, in the unit of the value.
        deviation: in SD of the norm; None without a norm.
        deviation_interval: the 95 % interval in SD of the norm; None without one.
        verdict: ``within``, ``above`` or ``below`` the norm, or ``not certain`` if the interval crosses its limit.
        uncertain: symbols of the landmarks whose place is uncertain.
        explanation: definition, source, population of the norm and its source, in sentences.
    """

    symbol: str
    name: str
    value: str
    reason: str
    interval: str
    norm: str
    deviation: float | None
    deviation_interval: tuple[float, float] | None
    verdict: str
    uncertain: str
    explanation: str


@dataclass(frozen=True)
class MeasurementGroup:
    """The measurements of one analysis, such as Steiner's, in the order of the definitions."""

    title: str
    rows: tuple[MeasurementRow, ...]

    @property
    def normed(self) -> bool:
        """Whether a measurement of the group has a norm; otherwise two columns would be empty."""
        return any(row.norm for row in self.rows)


@dataclass(frozen=True)
class ClassRow:
    """One of the eight classes as a report shows it.

    Attributes:
        symbol: of the measurement.
        value: with its unit.
        text: the class, or the classes that the interval reaches.
        certain: the interval stays within one class.
    """

    symbol: str
    value: str
    text: str
    certain: bool


@dataclass(frozen=True)
class FilmReport:
    """What the report of one film says.

    Attributes:
        film: what the film is called.
        image_uid: SOP Instance UID of a DICOM image; None for other files.
        uncertain: the film as a whole is in doubt.
        standing: ``DRAFT: not reviewed``, or who signed it and when.
        signed: it is no draft.
        groups: measurements that have a value, by analysis.
        absent: reason and symbols of those that have none.
        classes: by the limits of the ISBI 2015 challenge, for the measurements that have a value.
        chart: the rows that have a norm, in the order of the groups.
        norms: populations and sources of the norms that are used.
        explanations: what intervals, verdicts and norms mean, in sentences.
        landmarks: a sentence on how many landmarks are ok, uncertain and missing, with their symbols.
        warnings: sentences for the person who reviews the result.
        facts: names and values: scale, model, hashes, software, time.
    """

    film: str
    image_uid: str | None
    uncertain: bool
    standing: str
    signed: bool
    groups: tuple[MeasurementGroup, ...]
    absent: tuple[tuple[str, str], ...]
    classes: tuple[ClassRow, ...]
    chart: tuple[MeasurementRow, ...]
    norms: tuple[str, ...]
    explanations: tuple[str, ...]
    landmarks: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def facts_beside(self) -> bool:
        """There is room for the facts below the chart, beside the figure."""
        return len(self.chart) <= _FEW_ROWS


def quantity(value: float, unit: str, signed: bool = False) -> str:
    """Return a value with its unit, as reports print it: ``82.3°``, ``64.1 mm``, ``0.651``; a minus is a real one.

    Args:
        value: in the unit.
        unit: degree, mm, percent or ratio.
        signed: with a plus, as for a change.
    """
    text = signed_number(value, _DIGITS[unit])
    return (text if signed else text.removeprefix("+")) + _SIGNS[unit]


def signed_number(value: float, digits: int = 1) -> str:
    """Return a number with its sign, such as a deviation in SD; what rounds to 0 has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def span(low: float, high: float, unit: str) -> str:
    """Return an interval beside a value, whose unit it has: ``80.1 to 84.5``."""
    return f"{_bare(low, unit)} to {_bare(high, unit)}"


def _bare(value: float, unit: str) -> str:
    return quantity(value, unit).removesuffix(_SIGNS[unit])


def film_report(
    detection: Detection,
    measurements: Sequence[Measurement],
    signature: Signature | None = None,
    scale_by: str | None = None,
) -> FilmReport:
    """Return what the report of a film says.

    Args:
        detection: result for the film.
        measurements: of this detection, in the order of the definitions.
        signature: who reviewed the result; without it the report is a draft.
        scale_by: who gave the film its scale in a review, None if nobody did.
    """
    groups: dict[str, list[MeasurementRow]] = {}
    absent: dict[str, list[str]] = {}
    norms: dict[str, None] = {}
    for measurement in measurements:
        if measurement.value is None:
            absent.setdefault(measurement.reason or "no value", []).append(measurement.symbol)
            continue
        groups.setdefault(measurement.analyses[0], []).append(_row(measurement))
        if measurement.norm is not None:
            norms[_norm_source(measurement)] = None
    found = tuple(MeasurementGroup(title, tuple(rows)) for title, rows in groups.items())
    return FilmReport(
        film=detection.file,
        image_uid=detection.image_uid,
        uncertain=detection.state == "uncertain",
        standing=DRAFT if signature is None else _signed(signature),
        signed=signature is not None,
        groups=found,
        absent=tuple((reason, ", ".join(symbols)) for reason, symbols in absent.items()),
        classes=tuple(class_rows(measurements)),
        chart=tuple(row for group in found for row in group.rows if row.deviation is not None),
        norms=tuple(norms),
        explanations=tuple(_explanations(measurements, tuple(norms))),
        landmarks=_landmarks(detection),
        warnings=detection.warnings,
        facts=tuple(_facts(detection, scale_by)),
    )


def class_rows(measurements: Sequence[Measurement]) -> Iterator[ClassRow]:
    """Yield the classes of a film by the ISBI 2015 challenge, of the measurements that have a value."""
    by_symbol = {each.symbol: each for each in measurements}
    for found in film_classes(measurements):
        each = by_symbol[found.symbol]
        assert each.value is not None
        text = " or ".join(found.classes) or "no class"
        certain = len(found.classes) < 2
        yield ClassRow(
            found.symbol, quantity(each.value, each.unit), text if certain else f"not certain: {text}", certain
        )


def _explanations(measurements: Sequence[Measurement], norms: Sequence[str]) -> Iterator[str]:
    yield "Interval: the error of points that the model finds, as known from films with known points."
    biased = {each.symbol: each.unit for each in measurements if each.value is not None}
    if bias := [
        f"{symbol} {quantity(off, biased[symbol], signed=True)}"
        for symbol, off in known_bias().items()
        if symbol in biased
    ]:
        yield f"Known bias on unseen films: {', '.join(bias)}."
    yield "Classes: the challenge's limits, corrected measurements."
    yield "Not certain: the interval crosses a limit."
    if norms:
        yield f"Norms: {'; '.join(norms)}."
    else:
        yield "No norms are used."
    if all(each.norm.verified for each in measurements if each.norm is not None):
        yield (
            "Norms not read in their primary source are off; monai-ceph report --norms NAME uses them: "
            f"{', '.join(_unread_sets())}."
        )


@cache
def _unread_sets() -> tuple[str, ...]:
    """Return the shipped sets that have a norm that was not read in its primary source."""
    return tuple(
        name
        for name in norm_sets()
        if not all(norm.verified for rows in load_norms([name]).by_symbol.values() for norm in rows)
    )


def _row(measurement: Measurement) -> MeasurementRow:
    assert measurement.value is not None
    unit, norm, interval = measurement.unit, measurement.norm, measurement.interval
    in_sd = None
    if norm is not None and norm.mean is not None and norm.sd is not None and interval is not None:
        in_sd = (interval[0] - norm.mean) / norm.sd, (interval[1] - norm.mean) / norm.sd
    return MeasurementRow(
        symbol=measurement.symbol,
        name=measurement.name,
        value=quantity(measurement.value, unit),
        reason="",
        interval="" if interval is None else span(*interval, unit),
        norm="" if norm is None else norm_text(norm, unit),
        deviation=measurement.deviation,
        deviation_interval=in_sd,
        verdict=verdict(measurement),
        uncertain=", ".join(measurement.uncertain),
        explanation=" ".join(_explanation(measurement)),
    )


def norm_text(norm: Norm, unit: str) -> str:
    """Return mean and SD, or the limits of a norm that has no mean."""
    if norm.mean is None or norm.sd is None:
        return span(*norm.limits, unit)
    return f"{_bare(norm.mean, unit)} ± {_bare(norm.sd, unit)}"


def verdict(measurement: Measurement) -> str:
    """Return how a value is to its norm, as :attr:`MeasurementRow.verdict`; empty without a norm."""
    if measurement.norm is None:
        return ""
    if measurement.certain is False:
        return "not certain"
    return measurement.flag or "within"


def _explanation(measurement: Measurement) -> Iterator[str]:
    yield f"{measurement.name}: {measurement.definition}."
    if len(measurement.analyses) > 1:
        yield f"Also in: {', '.join(measurement.analyses[1:])}."
    yield f"Source: {measurement.citation}."
    if measurement.norm is not None:
        yield f"Norm: {_norm_source(measurement)}."
    if measurement.uncertain:
        yield f"Uncertain landmarks: {', '.join(measurement.uncertain)}."


def _norm_source(measurement: Measurement) -> str:
    norm = measurement.norm
    assert norm is not None
    read = "" if norm.verified or "not read" in norm.citation else " (not read in the primary source)"
    people = "" if norm.people == "not stated" else f"{norm.people}: "
    return f"{people}{norm.citation}{read}"


def _landmarks(detection: Detection) -> str:
    counts = Counter(mark.status for mark in detection.landmarks)
    parts = [f"{counts['ok']} of {len(detection.landmarks)} landmarks are ok"]
    for status in ("uncertain", "missing"):
        if symbols := [mark.symbol for mark in detection.landmarks if mark.status == status]:
            parts.append(f"{status}: {', '.join(symbols)}")
    return "; ".join(parts) + "."


def _signed(signature: Signature) -> str:
    moment = signature.signed.astimezone(timezone.utc)
    return f"Reviewed and signed by {signature.name}, {moment:%Y-%m-%d %H:%M} UTC"


def _facts(detection: Detection, scale_by: str | None) -> Iterator[tuple[str, str]]:
    model = detection.model
    if detection.frame is not None:
        yield "frame", str(detection.frame)
    yield "size", f"{detection.columns} x {detection.rows} pixels"
    spacing = detection.pixel_spacing
    yield "scale", f"{in_mm(*spacing)} per pixel" if spacing else "not known: no lengths in mm"
    source = detection.spacing_source.label if scale_by is None else f"calibrated by {scale_by}"
    yield "source of the scale", source
    how = [f"turned by {detection.turned}°"] if detection.turned else []
    how += ["faces left"] if detection.mirrored else []
    how += ["bones dark"] if detection.inverted else []
    yield "film", ", ".join(how) or "upright, faces right"
    yield "model", f"{model.name} {model.version}"
    if detection.profile is not None:
        yield "profile", detection.profile.label
        yield "profile SHA-256", detection.profile.sha256
    yield "weights SHA-256", model.weights_sha256
    yield "recipe SHA-256", model.recipe_sha256
    yield "software", model.software
    # what is de-identified has no time
    if detection.created.timestamp():
        yield "detected", f"{detection.created.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"
