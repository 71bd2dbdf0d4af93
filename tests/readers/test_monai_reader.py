"""The image reader for MONAI's LoadImage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import LoadImage, LoadImaged
from PIL import Image
from reader_films import COLUMNS, GREY8, GREY12, ROWS, UID, dicom, save

from monai_ceph.errors import ReadError
from monai_ceph.readers.monai_reader import RadiographReader


class TestMonaiReader:
    def test_load_image(self, tmp_path: Path) -> None:
        path = save(dicom(PixelSpacing=["0.2", "0.1"], PixelSpacingCalibrationType="GEOMETRY"), tmp_path / "a.dcm")
        image = LoadImage(reader=RadiographReader, ensure_channel_first=True)(path)
        assert isinstance(image, MetaTensor)
        assert image.shape == (1, ROWS, COLUMNS)
        assert image.dtype == torch.float32
        np.testing.assert_array_equal(image[0].numpy(), GREY12)
        assert image.affine.shape == (3, 3)
        assert torch.equal(image.affine, torch.eye(3, dtype=image.affine.dtype))
        assert image.meta["filename_or_obj"] == str(path)
        assert (image.meta["row_spacing"], image.meta["column_spacing"]) == (0.2, 0.1)
        assert image.meta["image_uid"] == UID
        assert image.meta["spacing_source"] == "pixel_spacing_calibrated"
        assert tuple(image.meta["spatial_shape"]) == (ROWS, COLUMNS)

    def test_batch(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        save(dicom(PixelSpacing=["0.1", "0.1"]), tmp_path / "b.dcm")
        load = LoadImaged(keys="image", reader=RadiographReader, ensure_channel_first=True)
        data = Dataset([{"image": str(tmp_path / "a.png")}, {"image": str(tmp_path / "b.dcm")}], load)
        (batch,) = DataLoader(data, batch_size=2)
        assert batch["image"].shape == (2, 1, ROWS, COLUMNS)
        assert batch["image"].affine.shape == (2, 3, 3)
        np.testing.assert_array_equal(batch["image"][0, 0].numpy(), GREY8)
        assert torch.isnan(batch["image"].meta["row_spacing"]).tolist() == [True, False]
        assert batch["image"].meta["image_uid"] == ["", UID]

    def test_error_names_the_file(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match=r"missing\.png: no such file"):
            LoadImage(reader=RadiographReader)(tmp_path / "missing.png")

    def test_suffixes_and_options(self, tmp_path: Path) -> None:
        Image.fromarray(GREY8).save(tmp_path / "a.png")
        reader = RadiographReader(pixel_spacing=0.1)
        assert reader.verify_suffix(tmp_path / "a.png")
        assert not reader.verify_suffix([tmp_path / "a.png", tmp_path / "labels.csv"])
        assert reader.get_data(reader.read(tmp_path / "a.png"))[1]["row_spacing"] == 0.1
        with pytest.raises(ValueError, match="one file at a time"):
            reader.read([tmp_path / "a.png", tmp_path / "a.png"])

    def test_frame(self, tmp_path: Path) -> None:
        dataset = dicom(NumberOfFrames=2, PatientOrientation=["A", "F"], StudyInstanceUID="1.2.3")
        dataset.PixelData = GREY12.tobytes() + (GREY12 // 2).tobytes()
        path = save(dataset, tmp_path / "a.dcm")
        image = LoadImage(reader=RadiographReader(frame=2), ensure_channel_first=True)(path)
        np.testing.assert_array_equal(image[0].numpy(), GREY12 // 2)
        assert image.meta["frame"] == 2
        assert image.meta["patient_orientation"] == "A\\F"
        assert image.meta["study_uid"] == "1.2.3"
        assert image.meta["series_uid"] == ""
        with pytest.raises(ReadError, match="holds 2 frames; choose one"):
            RadiographReader().read(path)

    def test_import_is_light(self) -> None:

        code = "import sys, monai_ceph.readers; print({'itk', 'nibabel', 'monai'} & set(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"
