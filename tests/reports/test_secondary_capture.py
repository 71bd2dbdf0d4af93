"""The tracing as a Secondary Capture image: what its header says, and that nothing takes it for a film."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dicom_films import IMAGE, STUDY, detection_on, film, frames_film, header, without
from pydicom import Dataset, dcmread

from monai_ceph.archives.config import SelectionConfig
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError, ReadError
from monai_ceph.landmarks import SYMBOLS
from monai_ceph.readers import Radiograph, SpacingSource, read_radiograph
from monai_ceph.reports.deidentify import deidentified, deidentified_detection, deidentified_uid
from monai_ceph.reports.film_tracing import draw_tracing
from monai_ceph.reports.secondary_capture import DERIVED, save_sc
from monai_ceph.result import Detection

SC = "1.2.840.10008.5.1.4.1.1.7"
PIXELS = np.random.default_rng(0).random((400, 300), dtype=np.float32)
RADIOGRAPH = Radiograph(PIXELS, Path("film.dcm"))


def read_back(folder: Path, detection: Detection | None = None, source: Dataset | None = None) -> Dataset:
    path = folder / "sc.dcm"
    save_sc(path, detection or detection_on(), film() if source is None else source, RADIOGRAPH)
    return dcmread(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_back(tmp_path_factory.mktemp("plain"))


class TestImage:
    def test_the_pixels_are_those_of_the_tracing(self, plain: Dataset) -> None:
        drawn = np.asarray(draw_tracing(RADIOGRAPH, detection_on(), notes=[DERIVED]))
        assert (plain.PhotometricInterpretation, plain.BitsAllocated) == ("RGB", 8)
        np.testing.assert_array_equal(plain.pixel_array, drawn)

    def test_what_it_was_derived_from(self, plain: Dataset) -> None:
        assert list(plain.ImageType) == ["DERIVED", "SECONDARY"]
        (item,) = plain.SourceImageSequence
        assert (item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID) == (IMAGE, film().SOPClassUID)
        assert "ReferencedFrameNumber" not in item
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        assert plain.BurnedInAnnotation == "YES"
        assert "Not reviewed" in plain.DerivationDescription

    def test_no_viewer_can_measure_on_it(self, tmp_path: Path) -> None:
        written = read_back(tmp_path, source=header(tmp_path, PixelSpacing=[0.1, 0.1], ImagerPixelSpacing=[0.1, 0.1]))
        assert not [name for name in written.dir() if "Spacing" in name]

    def test_a_frame(self, tmp_path: Path) -> None:
        written = read_back(tmp_path, detection_on(frame=2), frames_film())
        assert written.SourceImageSequence[0].ReferencedFrameNumber == 2
        assert written.InstanceNumber == 2
        assert "NumberOfFrames" not in written

    @pytest.mark.parametrize(("stated", "said"), [("01", "01"), ("00", None), (None, None)])
    def test_losses_of_the_film_are_losses_of_its_picture(self, tmp_path: Path, stated: Any, said: Any) -> None:
        written = read_back(tmp_path, source=header(tmp_path, LossyImageCompression=stated))
        assert written.get("LossyImageCompression") == said

    def test_pixels_that_are_not_square(self, plain: Dataset, tmp_path: Path) -> None:
        # of 0.25 x 0.125 mm
        assert list(plain.PixelAspectRatio) == [1000, 500]
        square = detection_on(pixel_spacing=(0.1, 0.1), spacing_source=SpacingSource.USER)
        assert "PixelAspectRatio" not in read_back(tmp_path, square)

    def test_directions_of_the_film(self, tmp_path: Path, plain: Dataset) -> None:
        assert not plain.PatientOrientation
        assert list(read_back(tmp_path, detection_on(patient_orientation=("A", "F"))).PatientOrientation) == ["A", "F"]

    def test_no_landmark_at_all(self, tmp_path: Path) -> None:
        assert read_back(tmp_path, without(detection_on(), *SYMBOLS)).Rows > 1000


class TestIdentity:
    def test_it_belongs_to_the_study_of_the_film(self, plain: Dataset) -> None:
        assert plain.SOPClassUID == SC
        assert plain.StudyInstanceUID == STUDY
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
            assert plain[name].value == film()[name].value
        assert (plain.ContentDate, plain.ContentTime) == ("20260102", "030405")

    def test_the_same_detection_gives_the_same_bytes(self, tmp_path: Path) -> None:
        for name in ("a.dcm", "b.dcm"):
            save_sc(tmp_path / name, detection_on(), header(tmp_path), RADIOGRAPH)
        assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()

    def test_another_scale_is_another_image(self, plain: Dataset, tmp_path: Path) -> None:
        other = read_back(tmp_path, detection_on(pixel_spacing=(0.2, 0.2), spacing_source=SpacingSource.USER))
        assert other.SOPInstanceUID != plain.SOPInstanceUID
        assert other.SeriesInstanceUID == plain.SeriesInstanceUID

    def test_deidentified(self, tmp_path: Path) -> None:
        written = read_back(tmp_path, deidentified_detection(detection_on()), deidentified(film()))
        assert written.PatientIdentityRemoved == "YES"
        assert not written.PatientName
        assert written.SourceImageSequence[0].ReferencedSOPInstanceUID == deidentified_uid(IMAGE)
        for trace in (b"Doe", b"P-17", b"19800229", IMAGE.encode() + b"\0"):
            assert trace not in (tmp_path / "sc.dcm").read_bytes()

    def test_of_another_film(self, tmp_path: Path) -> None:
        with pytest.raises(CephError, match="belongs to image"):
            read_back(tmp_path, detection_on(image_uid="1.2.3.4"))
        assert list(tmp_path.iterdir()) == []


class TestNoFilm:
    """Nothing detects on our own pictures, in a folder or in an archive."""

    def test_in_a_folder(self, tmp_path: Path) -> None:
        read_back(tmp_path)
        with pytest.raises(ReadError, match="a picture that monai-ceph made of a film"):
            read_radiograph(tmp_path / "sc.dcm")

    def test_whose_series_was_renamed(self, plain: Dataset, tmp_path: Path) -> None:
        plain = dcmread(plain.filename)
        plain.SeriesDescription = "Ceph"
        plain.save_as(tmp_path / "sc.dcm")
        with pytest.raises(ReadError, match="a picture that monai-ceph made of a film"):
            read_radiograph(tmp_path / "sc.dcm")

    def test_in_an_archive(self, plain: Dataset) -> None:
        selection = Selection(SelectionConfig())
        assert selection.refusal(plain) == "it is a picture that monai-ceph made of a film"
        series = Dataset()
        series.SeriesDescription, series.Modality = plain.SeriesDescription, plain.Modality
        assert selection.refusal(series) == "it is a picture that monai-ceph made of a film"

    def test_phantoms_and_other_secondary_captures_are_films(self, dicom: Path, tmp_path: Path) -> None:
        assert Selection(SelectionConfig()).refusal(dcmread(dicom, stop_before_pixels=True)) is None
        other = dcmread(dicom)
        other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = SC
        other.ImageType, other.Manufacturer, other.Modality = ["DERIVED", "SECONDARY"], "a scanner", "OT"
        other.save_as(tmp_path / "scan.dcm")
        assert read_radiograph(tmp_path / "scan.dcm").pixels.shape == (other.Rows, other.Columns)
