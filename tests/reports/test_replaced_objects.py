"""What each kind of object says of the one that it replaces, as far as PS3.3 has a place for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicom_films import detection_on, film
from pydicom import Dataset

from monai_ceph.readers import Radiograph
from monai_ceph.reports.header_identity import ObjectReference
from monai_ceph.reports.presentation_state import presentation_state
from monai_ceph.reports.secondary_capture import secondary_capture
from monai_ceph.reports.structured_report import structured_report

OLD = ObjectReference("1.2.9.1", "1.2.9.2", "1.2.840.10008.5.1.4.1.1.7", "1.2.9.3")


def predecessor(made: Dataset) -> tuple[str, str, str, str]:
    (study,) = made.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    return (
        *(study.StudyInstanceUID, series.SeriesInstanceUID),
        *(document.ReferencedSOPClassUID, document.ReferencedSOPInstanceUID),
    )


def capture(replaces: ObjectReference | None) -> Dataset:
    pixels: Any = np.zeros((400, 300), np.float32)
    return secondary_capture(detection_on(), film(), Radiograph(pixels, None), replaces=replaces)  # type: ignore[arg-type]


def test_an_sr_names_its_predecessor() -> None:
    document = structured_report(detection_on(), film(), OLD)
    assert predecessor(document) == (OLD.study, OLD.series, OLD.sop_class, OLD.uid)


def test_a_pdf_names_its_predecessor() -> None:
    pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
    from monai_ceph.reports.encapsulated_pdf import encapsulated_pdf

    made = encapsulated_pdf(detection_on(), film(), (), None, replaces=OLD)
    assert predecessor(made) == (OLD.study, OLD.series, OLD.sop_class, OLD.uid)
    assert "PredecessorDocumentsSequence" not in encapsulated_pdf(detection_on(), film(), (), None)


def test_a_secondary_capture_refers_to_the_one_before() -> None:
    (item,) = capture(OLD).ReferencedInstanceSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (OLD.sop_class, OLD.uid)
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "ReplacedObject"
    assert "ReferencedInstanceSequence" not in capture(None)


@pytest.mark.parametrize("reviewer", [None, "Doe^Jane"])
def test_a_presentation_state_says_in_words_that_it_is_new(reviewer: str | None) -> None:
    first, later = (presentation_state(detection_on(), film(), reviewer, replaces) for replaces in (None, OLD))
    assert later.ContentDescription == f"{first.ContentDescription}, new version"
    assert len(later.ContentDescription) <= 64
