from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from dicom_films import detection_on
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from monai_ceph.readers import SpacingSource
from monai_ceph.reports.dicom_uids import (
    NAMESPACE,
    derived_uid,
    device_uid,
    instance_uid,
    series_uid,
    tracking_uid,
)
from monai_ceph.result import Detection

PARTS = st.lists(st.none() | st.integers() | st.floats(allow_nan=False) | st.text())
GIVEN = {"spacing_source": SpacingSource.USER}


def of_model(**changes: str) -> Detection:
    detection = detection_on()
    return detection.model_copy(update={"model": detection.model.model_copy(update=changes)})


def sr_uid(detection: Detection, image: str = "1.2", header: str = "h", replaces: str | None = None) -> str:
    return instance_uid("SR", image, detection, header, replaces)


def refused(stated: tuple[float, float]) -> Detection:
    return detection_on(pixel_spacing=None, stated_spacing=stated, spacing_source=SpacingSource.IMPLAUSIBLE)


class TestDerivedUid:
    @given(PARTS)
    def test_valid(self, parts: list[Any]) -> None:
        uid = derived_uid(*parts)
        assert UID(uid).is_valid
        assert uid.startswith("2.25.")

    @given(PARTS, PARTS)
    def test_a_function_of_its_parts(self, first: list[Any], second: list[Any]) -> None:
        # 1 and 1.0 are equal in Python and different in JSON
        same = json.dumps(first) == json.dumps(second)
        assert (derived_uid(*first) == derived_uid(*second)) is same

    def test_as_documented(self) -> None:
        # what anybody can compute without this package
        name = uuid.uuid5(uuid.UUID("afafd9b5-8fa6-4106-a2c3-27676ddcae90"), '["device", "a", null, 2]')
        assert uuid.UUID("afafd9b5-8fa6-4106-a2c3-27676ddcae90") == NAMESPACE
        assert derived_uid("device", "a", None, 2) == f"2.25.{name.int}"


class TestUids:
    def test_a_repeat_gives_the_same(self) -> None:
        later = detection_on(seconds={"reading": 1.0}, warnings=(), file="elsewhere/film.dcm")
        assert sr_uid(detection_on()) == sr_uid(later)

    def test_what_makes_another_object(self) -> None:
        uids = [
            sr_uid(detection_on()),
            instance_uid("PR", "1.2", detection_on(), "h"),
            sr_uid(detection_on(), image="1.3"),
            sr_uid(detection_on(), header="another patient"),
            sr_uid(detection_on(), replaces="2.25.1"),
            sr_uid(detection_on(), header="another patient", replaces="2.25.1"),
            sr_uid(detection_on(frame=1)),
            sr_uid(detection_on(frame=2)),
            sr_uid(of_model(weights_sha256="0")),
            sr_uid(of_model(recipe_sha256="0")),
            sr_uid(of_model(software="monai-ceph 99")),
            sr_uid(detection_on(pixel_spacing=(0.1, 0.1))),
            sr_uid(detection_on(pixel_spacing=(0.1, 0.2))),
            sr_uid(detection_on(**GIVEN, pixel_spacing=(0.1, 0.1))),
            sr_uid(detection_on(**GIVEN, pixel_spacing=(0.1, 0.2))),
            sr_uid(refused((0.3, 0.3))),
            sr_uid(refused((0.4, 0.4))),
        ]
        assert len(set(uids)) == len(uids)

    def test_one_series_per_study_kind_and_model(self) -> None:
        model, other = detection_on().model, of_model(weights_sha256="0").model
        uids = {series_uid("SR", "1", model), series_uid("PR", "1", model), series_uid("SR", "2", model)}
        assert len(uids | {series_uid("SR", "1", other)}) == 4
        assert series_uid("SR", "1", of_model(name="renamed").model) == series_uid("SR", "1", model)

    def test_a_device_is_a_model(self) -> None:
        assert device_uid(detection_on().model) != device_uid(of_model(recipe_sha256="0").model)

    @pytest.mark.parametrize("other", [("1.3", None, "S"), ("1.2", 1, "S"), ("1.2", None, "N")])
    def test_a_landmark_of_a_frame_is_tracked(self, other: tuple[str, int | None, str]) -> None:
        assert tracking_uid("1.2", None, "S") != tracking_uid(*other)
