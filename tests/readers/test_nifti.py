"""NIfTI files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from reader_films import GREY8, GREY12, RGB8, luma, refuses, same

from monai_ceph.readers import SpacingSource, read_radiograph


def nifti(path: Path, stored: np.ndarray, affine: Any = None, **header: Any) -> Path:
    image = nibabel.Nifti1Image(stored, affine)
    if "units" in header:
        image.header.set_xyzt_units(header["units"])
    nibabel.save(image, path)
    return path


class TestNifti:
    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_lps_identity(self, tmp_path: Path, suffix: str) -> None:
        path = nifti(tmp_path / f"a{suffix}", GREY8.T, np.diag([-0.2, -0.1, 1, 1]))
        same(path, GREY8)
        radiograph = read_radiograph(path)
        assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))
        assert radiograph.spacing_source is SpacingSource.HEADER

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    def test_what_itk_writes_equals_the_png(self, tmp_path: Path, suffix: str) -> None:
        import itk

        Image.fromarray(GREY8).save(tmp_path / "a.png")
        itk.imwrite(itk.imread(str(tmp_path / "a.png")), str(tmp_path / f"a{suffix}"))
        same(tmp_path / f"a{suffix}", read_radiograph(tmp_path / "a.png").pixels)
        assert read_radiograph(tmp_path / f"a{suffix}").pixel_spacing is None

    def test_flips_and_permutations_by_the_affine(self, tmp_path: Path) -> None:
        # The same picture, stored in the order of a canonical RAS file.
        same(nifti(tmp_path / "ras.nii", GREY8.T[::-1, ::-1], np.diag([0.2, 0.1, 1, 1])), GREY8)
        swapped = np.array([[0, -0.2, 0, 0], [-0.1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        path = nifti(tmp_path / "swapped.nii", GREY8, swapped)
        same(path, GREY8)
        assert read_radiograph(path).pixel_spacing == pytest.approx((0.1, 0.2))

    def test_sagittal_faces_right(self, tmp_path: Path) -> None:
        # Axis 0 is the single slice, axis 1 points to the front, axis 2 up.
        stored = GREY8[::-1].T[None]
        path = nifti(tmp_path / "a.nii", stored, np.diag([1, 0.2, 0.1, 1]))
        same(path, GREY8)
        assert read_radiograph(path).patient_orientation == ("A", "F")

    def test_array_order_without_an_affine(self, tmp_path: Path) -> None:
        same(nifti(tmp_path / "none.nii", GREY8.T), GREY8)
        same(nifti(tmp_path / "eye.nii", GREY8.T, np.eye(4)), GREY8)
        turned = np.eye(4)
        turned[:2, :2] = [[0.08, -0.06], [0.06, 0.08]]
        path = nifti(tmp_path / "oblique.nii", GREY8.T, turned)
        same(path, GREY8)
        assert "oblique" in read_radiograph(path).warnings[0]

    def test_spacing_of_one_is_ignored_and_units_are_converted(self, tmp_path: Path) -> None:
        radiograph = read_radiograph(nifti(tmp_path / "a.nii", GREY8.T, np.diag([-1, -1, 1, 1])))
        assert (radiograph.pixel_spacing, radiograph.spacing_source) == (None, SpacingSource.NONE)
        assert radiograph.warnings == (
            "The spacing in the header is exactly 1 x 1 and was ignored: programs write that for an unknown spacing.",
        )
        path = nifti(tmp_path / "b.nii", GREY8.T, np.diag([-100, -100, 1, 1]), units="micron")
        assert read_radiograph(path).pixel_spacing == pytest.approx((0.1, 0.1))
        # micrometres that are labelled as mm are not converted
        radiograph = read_radiograph(nifti(tmp_path / "c.nii", GREY8.T, np.diag([-148, -148, 1, 1]), units="mm"))
        assert (radiograph.pixel_spacing, radiograph.spacing_source) == (None, SpacingSource.NONE)
        assert radiograph.warnings == (
            "The spacing in the header 148 x 148 mm was ignored: it looks like micrometres.",
        )

    def test_one_slice_and_scaling(self, tmp_path: Path) -> None:
        image = nibabel.Nifti1Image(GREY12.T[:, :, None, None].astype(np.int16), np.diag([-1, -1, 1, 1]))
        image.header.set_slope_inter(0.5, -10)
        nibabel.save(image, tmp_path / "a.nii")
        same(tmp_path / "a.nii", GREY12 * 0.5 - 10)

    def test_rgb(self, tmp_path: Path) -> None:
        stored = np.ascontiguousarray(RGB8.transpose(1, 0, 2)).view([("R", "u1"), ("G", "u1"), ("B", "u1")])
        path = nifti(tmp_path / "a.nii", stored[..., 0][:, :, None], np.diag([-1, -1, 1, 1]))
        same(path, luma(RGB8), atol=1e-3)

    def test_stack_and_complex(self, tmp_path: Path) -> None:
        refuses(nifti(tmp_path / "a.nii", np.dstack([GREY8.T] * 2)), "one slice")
        refuses(nifti(tmp_path / "b.nii", GREY8.T.astype(np.complex64)), "complex")

    @pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
    @pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
    def test_truncated(self, tmp_path: Path, suffix: str, share: float) -> None:
        path = nifti(tmp_path / f"a{suffix}", GREY8.T)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        refuses(path, "damaged")
