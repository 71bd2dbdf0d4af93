"""dicom3tools and DCMTK validate the Encapsulated PDF; skipped if these programs are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
from dicom_films import saved
from made_measurements import some
from samples import radiograph
from test_dicom_validators import VARIANTS, remarks, unknown

from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.encapsulated_pdf import save_pdf
from monai_ceph.reports.film_picture import film_png


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("missing", "three", "outside")])
def test_dciodvfy_and_dcm2pdf(tmp_path: Path, name: str) -> None:
    dataset, detection = VARIANTS[name]
    source = source_header(saved(dataset, tmp_path / "film.dcm"))
    picture = film_png(radiograph(40, 30)) if name == "dx" else None
    save_pdf(tmp_path / "report.dcm", detection, source, some(), picture)
    assert unknown(remarks("dciodvfy", tmp_path / "report.dcm"), "EncapsulatedPDF") == []
    remarks("dcm2pdf", tmp_path / "report.dcm", tmp_path / "report.pdf")
    document = (tmp_path / "report.pdf").read_bytes()
    assert document.startswith(b"%PDF-")
    assert document.rstrip(b"\0\n").endswith(b"%%EOF")
