from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("reportlab", reason="the extra report is not installed (make optional)")
import numpy as np
import pypdfium2
from dicom_films import detection_on
from made_measurements import measurement, some
from samples import radiograph

from monai_ceph.analysis import measure
from monai_ceph.reports.comparison import comparison
from monai_ceph.reports.film_picture import film_png
from monai_ceph.reports.pdf_report import pdf_comparison, pdf_report
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.report_figure import film_figure


def text_of(document: bytes) -> str:
    pages = pypdfium2.PdfDocument(document)
    return " ".join(" ".join(page.get_textpage().get_text_range().split()) for page in pages)


def of_film(film: bytes | None = None, **changes: object) -> bytes:
    detection = detection_on(**changes)
    return pdf_report(film_report(detection, some()), film_figure(detection, film))


class TestFilm:
    def test_what_it_says(self) -> None:
        text = text_of(of_film(state="uncertain"))
        for said in (
            *("DRAFT: not reviewed", "1.2.3.3", "ab" * 32, "The film as a whole is uncertain."),
            *("84.0° (83.0 to 85.0)", "80.0 ± 2.0", "+2.0 above", "−5.0 below", "IMPA, FMIA (missing: L1A)."),
            *("Warning: The head is turned.", "Research use, not a medical device."),
        ):
            assert said in text

    def test_all_measurements_fit_on_one_page(self) -> None:
        detection = detection_on()
        document = pdf_report(film_report(detection, measure(detection)), film_figure(detection, None))
        assert len(pypdfium2.PdfDocument(document)) == 1

    def test_more_than_a_page_goes_on_and_loses_nothing(self) -> None:
        detection = detection_on(warnings=tuple(f"Warning number {index}." for index in range(100)))
        many = [measurement(f"M{index}", 80.0, half=1.0) for index in range(300)]
        document = pdf_report(film_report(detection, many), film_figure(detection, None))
        text = text_of(document)
        assert len(pypdfium2.PdfDocument(document)) > 2
        assert {f"M{index}" for index in range(300)} <= set(text.split())
        assert "Warning number 99." in text
        # every page says that it is a draft
        assert text.count("DRAFT: not reviewed. Research use") == len(pypdfium2.PdfDocument(document))

    def test_the_same_report_gives_the_same_bytes(self) -> None:
        assert of_film() == of_film()

    def test_fonts_are_inside(self) -> None:
        document = of_film()
        fonts = re.findall(rb"/FontName\s*/(\S+)", document)
        assert fonts
        assert document.count(b"/FontFile2") == len(fonts)
        assert b"/Helvetica" not in document

    def test_letters_that_the_font_lacks_are_not_lost(self) -> None:
        assert r"\u5c71\u7530 Müller" in text_of(of_film(file="山田 Müller"))

    def test_markup_in_a_name_stays_text(self) -> None:
        assert "<b>x</b> & <script>" in text_of(of_film(file="<b>x</b> & <script>"))

    def test_the_film_is_where_its_pixels_are(self) -> None:
        """A film that is white in its lower right quarter, with no landmark that could cover it."""
        film = radiograph(400, 300)
        film.pixels[:] = 0
        film.pixels[200:, 150:] = 1
        detection = detection_on(landmarks=detection_on().landmarks[:0])
        document = pdf_report(film_report(detection, []), film_figure(detection, film_png(film)))
        shown = pypdfium2.PdfDocument(document)[0].render(scale=2).to_numpy()[..., 0]
        black = shown == 0
        rows, columns = (np.flatnonzero(black.sum(axis=axis) > 150) for axis in (1, 0))
        # the black parts are three quarters of a rectangle
        height, width = rows[-1] - rows[0], columns[-1] - columns[0]
        top, bottom = rows[0] + height // 4, rows[0] + height * 3 // 4
        left, right = columns[0] + width // 4, columns[0] + width * 3 // 4
        assert [[shown[row, column] for column in (left, right)] for row in (top, bottom)] == [[0, 0], [0, 255]]


class TestComparison:
    def test_what_it_says(self) -> None:
        first, second = detection_on(), detection_on(file="later.dcm", image_uid="1.2.3.4")
        pair = ([measurement("SNA", 80.0, half=1.0)], [measurement("SNA", 82.0, half=1.0)])
        text = text_of(pdf_comparison(comparison(first, second, pair, ["Look twice."])))
        for said in ("film.dcm", "later.dcm", "80.0°, 82.0°", "+2.0° (0.6 to 3.4)", "exceeded", "Warning: Look twice."):
            assert said in text

    def test_nothing_to_compare(self) -> None:
        first = detection_on(pixel_spacing=None)
        document = pdf_comparison(comparison(first, first, ([], [])))
        assert "No measurement can be compared." in text_of(document)


def test_without_reportlab_the_error_names_the_extra() -> None:
    program = """
import sys
sys.modules["reportlab"] = None
from monai_ceph.errors import CephError
from monai_ceph.reports.pdf_page import PdfPage
try:
    PdfPage("", "")
except CephError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "PDF reports need ReportLab: pip install 'monai-ceph[report]'"
