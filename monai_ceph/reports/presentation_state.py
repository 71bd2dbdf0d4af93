"""Landmarks drawn over the unchanged film: a softcopy presentation state (PS3.3 A.33).

Grey films get a Grayscale Softcopy Presentation State. It cannot refer to colour films, so these get a Color Softcopy
Presentation State with the same graphics.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import PresentationLUTTransformation, pr
from highdicom.color import CIELabColor
from pydicom import Dataset

from monai_ceph.landmarks import LANDMARKS, Landmark
from monai_ceph.reports.dicom_display import is_grey, is_inverted, modality_lut, pixel_shape, voi_lut
from monai_ceph.reports.dicom_objects import (
    building,
    complete,
    identification,
    reviewed_identification,
    set_body_part,
    write_object,
)
from monai_ceph.reports.dicom_source import image_reference
from monai_ceph.reports.dicom_uids import derived_uid, tracking_uid
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.labels import Label, place_labels
from monai_ceph.reports.notes import NOTICE, circle_lines, profile_lines, scale_line
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, ObjectSettings
from monai_ceph.reports.structured_report import image_position
from monai_ceph.result import DetectedLandmark, Detection

__all__ = ["presentation_state", "save_gsps"]

# name, order of drawing, description and colour in CIELab
_LAYERS: dict[str, tuple[str, int, str, tuple[float, float, float]]] = {
    "ok": ("LANDMARKS", 1, "Landmarks that were found", (78.0, -60.0, 50.0)),
    "uncertain": ("UNCERTAIN", 2, "Landmarks that are uncertain", (75.0, 30.0, 70.0)),
    "notice": ("NOTICE", 3, "Missing landmarks and intended use", (92.0, 0.0, 0.0)),
}
# Five empty name components (PS3.5 6.2). DICOM also allows an empty value, but viewers based on DCMTK refuse such a
# presentation state, and DCMTK itself writes this value for films without a name
_NO_NAME = "^^^^"
# shares of the longest side of the film, so that circles and text are visible on a screen
_RADIUS, _LETTER_WIDTH, _TEXT_HEIGHT = 0.004, 0.011, 0.02


def presentation_state(
    detection: Detection,
    source: Dataset,
    reviewer: str | None = None,
    replaces: ObjectReference | None = None,
    circles: bool = False,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> pr.GrayscaleSoftcopyPresentationState | pr.ColorSoftcopyPresentationState:
    """Return the presentation state of one film: a point, a circle and the symbol for each landmark.

    Uncertain landmarks have their own layer and a question mark. A third layer lists landmarks that are missing or
    outside the film, the source of the scale and the notice on intended use.

    Args:
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        reviewer: the person who signed these points; None: nobody reviewed them.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        circles: the circle of a landmark is the one that it lies inside in 90 % of cases, where that is known.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or has an unknown SOP class.
    """
    with building("presentation state", detection):
        reference = image_reference(source, detection)
        layers, annotations = _graphics(detection, reference, circles)
        arguments = {
            "referenced_images": [reference],
            "content_label": "CEPH_LANDMARKS",
            "content_description": _description(reviewer, replaces),
            "graphic_layers": layers,
            "graphic_annotations": annotations,
            **identification("PR", reference, source, detection, replaces, settings),
        }
        if reviewer is not None:
            arguments |= reviewed_identification("PR", reference, source, detection, reviewer, settings)
            arguments["content_creator_name"] = reviewer
        if circles:
            # it shows something else, and an archive keeps the first object of a UID
            arguments["sop_instance_uid"] = derived_uid("circles", arguments["sop_instance_uid"])
        # empty, so that highdicom adds no grayscale pipeline; it is added below
        reference.SharedFunctionalGroupsSequence, reference.PerFrameFunctionalGroupsSequence = [Dataset()], []
        if is_grey(source):
            reference.SamplesPerPixel = 1
            shape = "INVERSE" if is_inverted(source) else "IDENTITY"
            state = pr.GrayscaleSoftcopyPresentationState(
                presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=shape), **arguments
            )
            state.update(modality_lut(source, detection.frame))
            if item := voi_lut(source, detection.frame):
                state.SoftcopyVOILUTSequence = [item]
        else:
            # films with a palette are displayed in colour, too
            reference.SamplesPerPixel = 3
            profile = pkgutil.get_data("highdicom", "_icc_profiles/sRGB_v4_ICC_preference.icc")
            state = pr.ColorSoftcopyPresentationState(icc_profile=profile, **arguments)
        area = state.DisplayedAreaSelectionSequence[0]
        for name in ("PresentationPixelSpacing", "PresentationPixelAspectRatio"):
            area.pop(name, None)
        area.update(pixel_shape(source, detection))
        if detection.frame is not None:
            for item in (*state.ReferencedSeriesSequence, *state.GraphicAnnotationSequence):
                item.ReferencedImageSequence[0].ReferencedFrameNumber = detection.frame
        set_body_part(state, source, settings)
        complete(state, source, detection, settings, detection.model)
        if not state.PatientName:
            state.PatientName = _NO_NAME
    return state


def save_gsps(
    target: Path,
    detection: Detection,
    source: Dataset,
    replaces: ObjectReference | None = None,
    circles: bool = False,
    settings: ObjectSettings = DEFAULT_SETTINGS,
) -> None:
    """Write the presentation state of one film, beside its place first. The same detection gives the same bytes.

    Args:
        target: the file to write.
        detection: result for the film or one of its frames.
        source: the film's header, from :func:`monai_ceph.reports.dicom_source.source_header`.
        replaces: the object that was made before the header was changed under the same UID; None if there is none.
        circles: see :func:`presentation_state`.
        settings: of the clinic.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or has an unknown SOP class.
        OSError: if the file cannot be written.
    """
    state = presentation_state(detection, source, replaces=replaces, circles=circles, settings=settings)
    write_object(target, state)


def _description(reviewer: str | None, replaces: ObjectReference | None) -> str:
    """Return the description. The standard has no reference to a state that is replaced."""
    standing = "unreviewed" if reviewer is None else "reviewed"
    return f"Cephalometric landmarks, {standing}" + ("" if replaces is None else ", new version")


def _graphics(
    detection: Detection, reference: Dataset, circles: bool
) -> tuple[list[pr.GraphicLayer], list[pr.GraphicAnnotation]]:
    graphics: dict[str, list[pr.GraphicObject]] = {name: [] for name in _LAYERS}
    texts: dict[str, list[pr.TextObject]] = {name: [] for name in _LAYERS}
    outside: list[str] = []
    placed: list[tuple[Landmark, DetectedLandmark, tuple[float, float]]] = []
    for landmark, mark in zip(LANDMARKS, detection.landmarks, strict=True):
        if position := image_position(mark, detection):
            placed.append((landmark, mark, position))
        elif mark.x is not None:
            outside.append(landmark.symbol)
    words = [f"{mark.symbol}?" if mark.status == "uncertain" else mark.symbol for _, mark, _ in placed]
    labels = _labels(words, [position for *_, position in placed], detection)
    for (landmark, mark, position), word, label in zip(placed, words, labels, strict=True):
        tracking: dict[str, Any] = {
            "tracking_id": landmark.name,
            "tracking_uid": tracking_uid(reference.SOPInstanceUID, detection.frame, landmark.symbol),
        }
        graphics[mark.status] += _marks(position, detection, tracking, mark.radius_90_px if circles else None)
        # letters of a viewer may be wider than the box: they then extend away from the point
        right = label.box[0] + label.box[2] < 2 * position[0]
        texts[mark.status].append(
            pr.TextObject(
                word,
                pr.AnnotationUnitsValues.PIXEL,
                bounding_box=label.box,
                anchor_point=position,
                text_justification=pr.TextJustificationValues.RIGHT if right else pr.TextJustificationValues.LEFT,
                anchor_point_visible=label.leader is not None,
                **tracking,
            )
        )
    missing = [mark.symbol for mark in detection.landmarks if mark.status == "missing"]
    lines = [
        f"{word}: {', '.join(symbols)}" for word, symbols in (("missing", missing), ("outside", outside)) if symbols
    ]
    texts["notice"] = [_line(0.01, line) for line in ["; ".join(lines)] if line] + [
        *(_line(0.895, line) for line in circle_lines(detection, circles)),
        *(_line(0.92, line) for line in profile_lines(detection)),
        _line(0.945, scale_line(detection)),
        _line(0.97, NOTICE),
    ]
    layers = {
        name: pr.GraphicLayer(title, order, description, CIELabColor(*colour))
        for name, (title, order, description, colour) in _LAYERS.items()
        if texts[name]
    }
    annotations = [
        pr.GraphicAnnotation([reference], layer, graphic_objects=graphics[name], text_objects=texts[name])
        for name, layer in layers.items()
    ]
    return list(layers.values()), annotations


def _marks(
    position: tuple[float, float], detection: Detection, tracking: dict[str, Any], within: float | None
) -> list[pr.GraphicObject]:
    """Return the point, exact to a fraction of a pixel, and a circle that every viewer shows.

    Its radius is ``within``, in pixels, or one for the eye.
    """
    column, row = position
    radius = _RADIUS * max(detection.rows, detection.columns) if within is None else within
    # the second point is on the circle, towards the middle so that it is on the film
    edge = column - radius if column > detection.columns / 2 else column + radius
    pixel = pr.AnnotationUnitsValues.PIXEL
    return [
        pr.GraphicObject(pr.GraphicTypeValues.POINT, np.array([position]), pixel, **tracking),
        pr.GraphicObject(pr.GraphicTypeValues.CIRCLE, np.array([position, (edge, row)]), pixel, **tracking),
    ]


def _labels(words: list[str], positions: list[tuple[float, float]], detection: Detection) -> list[Label]:
    """Return the places of the symbols, in the coordinates of the presentation state.

    The size of a viewer's letters is unknown. The boxes have room for those on a screen that shows the whole film. A
    viewer draws a line from a symbol to its point if they are far apart.
    """
    longest = max(detection.rows, detection.columns)
    sizes = [(len(word) * _LETTER_WIDTH * longest, _TEXT_HEIGHT * longest) for word in words]
    picture = float(detection.columns), float(detection.rows)
    fitting = np.minimum(np.reshape(sizes, (-1, 2)), picture)
    return place_labels(np.array(positions), fitting, picture, 1.5 * _RADIUS * longest)


def _line(top: float, text: str) -> pr.TextObject:
    return pr.TextObject(
        text,
        pr.AnnotationUnitsValues.DISPLAY,
        bounding_box=(0.01, top, 0.99, top + 0.02),
        text_justification=pr.TextJustificationValues.LEFT,
    )
