"""Reports of a person's landmarks differ from the model's, and can be found and read again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_films import COLUMNS, CREATED, IMAGE, ROWS, SERIES, detection_on, header, without
from highdicom import sr
from pydicom import Dataset
from samples import row_column

from monai_ceph.errors import CephError
from monai_ceph.reports.dicom_objects import write_object
from monai_ceph.reports.reviewed_report import Review, review_series_uid, reviewed_report
from monai_ceph.reports.sr_points import read_points
from monai_ceph.reports.structured_report import structured_report


def review(**changes: Any) -> Review:
    points = np.stack([np.arange(19) * 10 + 50.75, np.arange(19) * 10 + 20.25], axis=1)
    points[[3, 18]] = np.nan
    values: dict[str, Any] = {
        "file": "film.dcm",
        "image_uid": IMAGE,
        "rows": ROWS,
        "columns": COLUMNS,
        "points": points,
        "observer": "Doe^Jane",
        "created": CREATED,
    }
    return Review(**{**values, **changes})


def groups(document: Dataset, **which: Any) -> list[Any]:
    """Return the measurement groups with a point."""
    return sr.ComprehensiveSR.from_dataset(document).content.get_planar_roi_measurement_groups(**which)


def names(document: Dataset) -> dict[str, str]:
    """Concept names of the observation context, with their values."""
    items = document.ContentSequence
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: str(
            item.get("PersonName") or item.ConceptCodeSequence[0].CodeMeaning
        )
        for item in items
        if item.RelationshipType == "HAS OBS CONTEXT"
    }


def test_the_observer_is_a_person(tmp_path: Path) -> None:
    context = names(reviewed_report(review(), header(tmp_path)))
    assert context == {"Observer Type": "Person", "Person Observer Name": "Doe^Jane"}


def test_no_group_names_an_algorithm_or_a_score(tmp_path: Path) -> None:
    found = groups(reviewed_report(review(), header(tmp_path)))
    assert len(found) == 17
    for group in found:
        meanings = {item.ConceptNameCodeSequence[0].CodeMeaning for item in group[0].ContentSequence}
        assert not any("lgorithm" in meaning or "core" in meaning for meaning in meanings)


def test_the_report_is_unverified(tmp_path: Path) -> None:
    document = reviewed_report(review(), header(tmp_path))
    assert (document.VerificationFlag, document.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert "VerifyingObserverSequence" not in document


@pytest.mark.parametrize(
    ("given", "written"), [(None, "Unknown"), ("", "Unknown"), ("a=b\\c\n", "abc"), ("x" * 99, "x" * 64)]
)
def test_names_of_observers(tmp_path: Path, given: str | None, written: str) -> None:
    assert names(reviewed_report(review(observer=given), header(tmp_path)))["Person Observer Name"] == written


def test_the_points_can_be_read_from_the_report(tmp_path: Path) -> None:
    write_object(tmp_path / "sr.dcm", reviewed_report(review(), header(tmp_path)))
    found = read_points(pydicom.dcmread(tmp_path / "sr.dcm"))
    assert list(found) == [IMAGE]
    np.testing.assert_allclose(found[IMAGE], review().points, atol=1e-4, equal_nan=True)


def test_points_of_the_model_are_read_too(tmp_path: Path) -> None:
    detection = without(detection_on(), "S")
    found = read_points(structured_report(detection, header(tmp_path)))
    np.testing.assert_allclose(found[IMAGE], row_column(detection), atol=1e-4, equal_nan=True)


def test_other_objects_have_no_points(tmp_path: Path) -> None:
    with pytest.raises(CephError, match="not a report of landmarks"):
        read_points(header(tmp_path))


def test_a_point_outside_the_film(tmp_path: Path) -> None:
    points = review().points.copy()
    points[1] = (10.0, COLUMNS + 1.0)
    with pytest.raises(CephError, match=r"film\.dcm: Nasion lies outside the film"):
        reviewed_report(review(points=points), header(tmp_path))


def test_every_review_is_an_object_of_its_own_in_a_series_that_can_be_found(tmp_path: Path) -> None:
    first = reviewed_report(review(), header(tmp_path))
    later = reviewed_report(review(created=CREATED + timedelta(milliseconds=5)), header(tmp_path))
    assert first.SOPInstanceUID != later.SOPInstanceUID
    assert first.SeriesInstanceUID == later.SeriesInstanceUID == review_series_uid(SERIES)
    assert first.ContentTime < later.ContentTime
    again = reviewed_report(review(), header(tmp_path))
    assert again.SOPInstanceUID == first.SOPInstanceUID


def test_its_series_differs_from_the_models(tmp_path: Path) -> None:
    model = structured_report(detection_on(), header(tmp_path))
    person = reviewed_report(review(), header(tmp_path))
    assert model.SeriesInstanceUID != person.SeriesInstanceUID
    assert person.SeriesDescription == "Cephalometric landmarks, placed by a person"


def test_another_film(tmp_path: Path) -> None:
    with pytest.raises(CephError, match="different films"):
        reviewed_report(review(rows=ROWS + 1), header(tmp_path))


def test_times_are_those_of_the_review(tmp_path: Path) -> None:
    moment = datetime(2026, 5, 6, 7, 8, 9, 120_000, tzinfo=timezone.utc)
    document = reviewed_report(review(created=moment), header(tmp_path))
    assert (document.ContentDate, document.ContentTime) == ("20260506", "070809.120000")


def test_tracking_follows_a_landmark_from_the_model_to_the_person(tmp_path: Path) -> None:
    tracking = groups(structured_report(detection_on(), header(tmp_path)))[0].tracking_uid
    (group,) = groups(reviewed_report(review(), header(tmp_path)), tracking_uid=tracking)
    assert group.tracking_identifier == "Sella"
