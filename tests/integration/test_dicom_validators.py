"""dicom3tools and DCMTK validate our DICOM objects; skipped if these programs are not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import CR, NAMES, colour_film, detection_on, film, frames_film, saved, without
from PIL import Image
from pydicom import DataElement, Dataset, config
from samples import changed, row_column

from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import Radiograph, SpacingSource
from monai_ceph.reports.deidentify import deidentified, deidentified_detection
from monai_ceph.reports.dicom_objects import write_object
from monai_ceph.reports.dicom_source import INHERITED, source_header
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.reviewed_report import Review, reviewed_report
from monai_ceph.reports.secondary_capture import save_sc
from monai_ceph.reports.structured_report import save_sr
from monai_ceph.result import Detection

# docs/reference/dicom-objects.md says why each of them stays
KNOWN = (
    r"(ComprehensiveSR|SCImage|GrayscaleSoftcopyPresentationState|ColorSoftcopyPresentationState)",
    r"Warning - Unrecognized defined term <99MONAICEPH> for value 1 of attribute <Coding Scheme Designator>",
    r"Warning - Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID ",
    r"Warning - Dicom dataset contains attributes not present in standard DICOM IOD - .*",
    r"Warning - Missing attribute or value that would be needed to build DICOMDIR - .*",
    r"Warning - Value dubious for this VR - \(0x0010,0x0010\) PN Patient's Name .* Retired Person Name form",
    r"W: ObservationDateTime \(0040,a032\) violates VR definition in SR document",
    r"W: (The VR checker does not support this|Reading unknown/unsupported) ?Specific ?Character ?Set.*",
    r"W: Testing: .*",
    r"W: Test passed\.",
)
NAME_WITHOUT_DELIMITER = r"Warning - Value dubious for this VR - \(0x0040,0xa123\) .* Retired Person Name form"
NO_LUT = dict.fromkeys(
    ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "RescaleSlope", "RescaleIntercept", "RescaleType")
)
OUTSIDE = changed(changed(detection_on(), 2, x=-4.0), 3, x=299.5, y=399.5)

Variant = tuple[Dataset, Detection]
VARIANTS: dict[str, Variant] = {
    "dx": (film(), detection_on()),
    "cr": (film(SOPClassUID=CR, Modality="CR", PresentationLUTShape=None, **NO_LUT), detection_on()),
    "monochrome1": (film(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"), detection_on()),
    "colour": (colour_film(), detection_on()),
    "frames": (frames_film(), detection_on(frame=2)),
    "bare": (film(**dict.fromkeys((*INHERITED, "InstanceNumber", "SpecificCharacterSet"))), detection_on()),
    "missing": (film(), without(detection_on(), "S", "Ar")),
    "three": (film(), without(detection_on(), *SYMBOLS[3:])),
    "none": (film(), without(detection_on(), *SYMBOLS)),
    "outside": (film(), OUTSIDE),
    "no scale": (film(), detection_on(pixel_spacing=None, spacing_source=SpacingSource.NONE, warnings=())),
    "deidentified": (deidentified(film()), deidentified_detection(detection_on())),
    **{
        name: (film(SpecificCharacterSet=character_set, PatientName=text), detection_on())
        for name, (character_set, text) in NAMES.items()
    },
}


def remarks(program: str, *arguments: Path | str, status: int = 0) -> list[str]:
    """Return what a program says on standard error; skips the test where it is not installed."""
    if shutil.which(program) is None:
        pytest.skip("dicom3tools or DCMTK is not installed (apt-get install dicom3tools dcmtk)")
    run = subprocess.run(
        [program, *arguments], capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=False
    )
    assert run.returncode == status, run.stderr
    return run.stderr.splitlines()


def unknown(lines: list[str], *known: str) -> list[str]:
    return [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in (*KNOWN, *known))]


def with_pixels(dataset: Dataset) -> Dataset:
    """Return a film with five grey values, one after the other."""
    dataset = deepcopy(dataset)
    steps = np.array([0, 1024, 2048, 3071, 4095], dtype=np.uint16)
    dataset.PixelData = np.resize(steps, (dataset.Rows, dataset.Columns)).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


@pytest.fixture(scope="module", params=VARIANTS)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path, Path]:
    """Return the variant's name, its SR, its presentation state and its secondary capture.

    To make them takes longer than to validate them.
    """
    dataset, detection = VARIANTS[request.param]
    folder = tmp_path_factory.mktemp("objects")
    source = source_header(saved(dataset, folder / "film.dcm"))
    report, state, capture = (folder / name for name in ("sr.dcm", "pr.dcm", "sc.dcm"))
    save_sr(report, detection, source)
    save_gsps(state, detection, source)
    save_sc(capture, detection, source, Radiograph(np.zeros((400, 300), np.float32), Path("film.dcm")))
    return request.param, report, state, capture


class TestValidators:
    def test_dciodvfy(self, objects: tuple[str, Path, Path, Path]) -> None:
        _, *files = objects
        assert unknown([line for file in files for line in remarks("dciodvfy", file)]) == []

    def test_dsrdump(self, objects: tuple[str, Path, Path, Path]) -> None:
        assert unknown(remarks("dsrdump", objects[1])) == []

    @pytest.mark.parametrize("save", [save_sr, save_gsps])
    def test_uids_with_leading_zeros_are_the_only_complaint(self, tmp_path: Path, save: Callable[..., None]) -> None:
        dataset = film()
        for name, uid in (("StudyInstanceUID", "1.2.03.1"), ("SOPInstanceUID", "1.2.03.3")):
            dataset.add(DataElement(name, "UI", uid, validation_mode=config.IGNORE))
        source = source_header(saved(dataset, tmp_path / "film.dcm"))
        save(tmp_path / "a.dcm", detection_on(image_uid="1.2.03.3"), source)
        # dciodvfy complains about these UIDs and nothing else
        printed = remarks("dciodvfy", tmp_path / "a.dcm", status=1)
        leading = r"Error - Value invalid for this VR .*<1\.2\.03\.[13]> - Leading zeroes in embedded numeric .*"
        sums = r"Error - Dicom dataset contains invalid data values for Value Representations"
        assert unknown(printed, leading, sums) == []

    @pytest.mark.parametrize("observer", ["Doe^Jane", None])
    def test_a_report_of_a_persons_landmarks_is_valid(self, tmp_path: Path, observer: str | None) -> None:
        detection = without(detection_on(), "S")
        source = source_header(saved(film(), tmp_path / "film.dcm"))
        review = Review(
            *("film.dcm", detection.image_uid, detection.rows, detection.columns),
            *(row_column(detection), observer, detection.created),
        )
        write_object(tmp_path / "sr.dcm", reviewed_report(review, source))
        printed = remarks("dciodvfy", tmp_path / "sr.dcm") + remarks("dsrdump", tmp_path / "sr.dcm")
        assert unknown(printed, NAME_WITHOUT_DELIMITER) == []

    def test_dcmpschk(self, objects: tuple[str, Path, Path, Path]) -> None:
        name, _, state, _ = objects
        expected: list[str] = []
        if name == "unicode":
            # it takes the bytes 80 to 9F of UTF-8 for control characters, also in a state that DCMTK made
            path = saved(with_pixels(VARIANTS[name][0]), state.with_name("film.dcm"))
            remarks("dcmpsmk", path, state.with_name("of-dcmtk.dcm"))
            expected = unknown(remarks("dcmpschk", state.with_name("of-dcmtk.dcm")))
        assert unknown(remarks("dcmpschk", state)) == expected


class TestDcmtkShowsTheFilmAsBefore:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, [0, 64, 128, 191, 255]),
            ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, [255, 191, 127, 64, 0]),
            ({"WindowCenter": 2048, "WindowWidth": 2048, "WindowCenterWidthExplanation": None}, [0, 0, 128, 255, 255]),
            ({"RescaleSlope": "0.5", "WindowCenter": 2048, "WindowWidth": 4096}, [0, 32, 64, 96, 128]),
            ({"PatientName": None}, [0, 64, 128, 191, 255]),
        ],
    )
    def test_grey_values(self, tmp_path: Path, changes: dict[str, Any], expected: list[int]) -> None:
        if "WindowCenter" in changes:
            changes = {**changes, "WindowCenterWidthExplanation": None}
        dataset = with_pixels(film(**changes))
        path = saved(dataset, tmp_path / "film.dcm")
        save_gsps(tmp_path / "pr.dcm", detection_on(), source_header(path))
        remarks("dcmp2pgm", "-p", tmp_path / "pr.dcm", path, tmp_path / "film.pgm")
        with Image.open(tmp_path / "film.pgm") as picture:
            shown = np.asarray(picture).astype(int)
        assert shown.shape == (dataset.Rows, dataset.Columns)
        assert np.abs(shown[0, :5] - expected).max() <= 1
