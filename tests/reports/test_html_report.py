from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html.parser import HTMLParser

import pytest
from dicom_films import detection_on
from made_measurements import measurement, some

from monai_ceph.reports.comparison import comparison
from monai_ceph.reports.html_report import BatchEntry, batch_html, comparison_html, report_html
from monai_ceph.reports.report_content import film_report
from monai_ceph.reports.report_figure import film_figure

HOSTILE = "<script>alert(1)</script><img src=//x onerror=alert(2)>"
# one pixel
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")


class Page(HTMLParser):
    """What a page holds: elements, identities, scripts, addresses and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.layers: list[str] = []
        self.policy = ""
        self.scripts: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.ids += [str(value) for name, value in attrs if name == "id"]
        self.addresses += [str(value) for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.layers += [str(value) for name, value in attrs if name == "data-layer"]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = str(values["content"])

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"] and data.strip() and not self.scripts:
            self.scripts.append(data)
        self.text += data


@cache
def of_film(**changes: object) -> Page:
    detection = detection_on(**changes)
    return Page(report_html(film_report(detection, some()), film_figure(detection, PNG), "index.html"))


@cache
def all_pages() -> dict[str, Page]:
    detection = detection_on(file=HOSTILE, warnings=(HOSTILE,))
    other = detection_on(file=HOSTILE, image_uid="1.2.3.4")
    odd = [measurement(HOSTILE, 80.0, half=1.0, name=HOSTILE), measurement("B", None, reason=HOSTILE)]
    compared = comparison(detection, other, (odd, odd), [HOSTILE])
    batch = batch_html([BatchEntry(HOSTILE, "a.html", HOSTILE, 1.0, PNG, "a.pdf")], [(HOSTILE, HOSTILE)])
    return {
        "film": Page(report_html(film_report(detection, odd), film_figure(detection, PNG), "index.html")),
        "batch": Page(batch),
        "comparison": Page(comparison_html(compared)),
    }


@pytest.mark.parametrize("name", ["film", "batch", "comparison"])
class TestEveryPage:
    def test_text_of_a_film_stays_text(self, name: str) -> None:
        page = all_pages()[name]
        assert page.tags.count("script") == (0 if name == "batch" else 1)
        assert "alert" not in "".join(page.scripts)
        assert page.handlers == []
        assert HOSTILE in page.text

    def test_nothing_comes_from_elsewhere(self, name: str) -> None:
        page = all_pages()[name]
        foreign = [each for each in page.addresses if not each.startswith("data:")]
        assert set(foreign) <= {"index.html", "a.html", "a.pdf"}
        assert "default-src 'none'" in page.policy

    def test_the_policy_allows_the_script_of_the_page_alone(self, name: str) -> None:
        page = all_pages()[name]
        (allowed,) = re.findall(r"script-src 'sha256-([^']+)'", page.policy)
        for script in page.scripts:
            assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == allowed

    def test_identities_are_unique_and_switches_have_their_layer(self, name: str) -> None:
        page = all_pages()[name]
        assert len(page.ids) == len(set(page.ids))
        assert set(page.layers) <= set(page.ids)
        assert len(page.layers) == len(set(page.layers))

    def test_it_says_what_it_is_for(self, name: str) -> None:
        assert "Research use, not a medical device. A trained person reviews every result." in all_pages()[name].text


class TestFilm:
    def test_a_draft_with_its_uid_and_model(self) -> None:
        text = of_film().text
        for said in ("DRAFT: not reviewed", "1.2.3.3", "test 1", "ab" * 32, "PixelSpacing, calibrated"):
            assert said in text

    def test_measurements(self) -> None:
        text = re.sub(r"\s+", " ", of_film().text)
        assert "84.0° 83.0 to 85.0" in text
        assert re.search(r"80.0 ± 2.0 ?\+2.0 ?above", text)
        assert "IMPA, FMIA (missing: L1A)." in text

    def test_layers_of_film_and_tracing(self) -> None:
        assert {"layer-film", "layer-uncertainty", "layer-planes", "layer-sn", "layer-labels"} <= set(of_film().layers)

    def test_an_uncertain_film_says_so(self) -> None:
        warning = "The film as a whole is uncertain."
        assert warning in of_film(state="uncertain").text
        assert warning not in of_film().text

    def test_without_its_film_the_report_says_so(self) -> None:
        detection = detection_on()
        page = Page(report_html(film_report(detection, []), film_figure(detection, None)))
        assert "The film was not at hand" in page.text
        assert "layer-film" not in page.layers

    def test_without_norms_there_is_no_column_for_them(self) -> None:
        detection = detection_on()
        page = Page(report_html(film_report(detection, [measurement("SNA", 80.0)]), film_figure(detection, PNG)))
        assert "No measurement of this film has a norm." in page.text
        assert page.tags.count("col") == 2

    def test_an_analysis_without_norms_has_no_column_for_them(self) -> None:
        detection = detection_on()
        normed, other = some()[0], measurement("FHI", 0.6512, unit="ratio", analyses=("Kim",))
        page = Page(report_html(film_report(detection, [normed, other]), film_figure(detection, PNG)))
        assert page.tags.count("col") == 4 + 2


def test_the_batch_begins_with_what_needs_a_person_most() -> None:
    entries = [
        BatchEntry("calm", "calm.html", "all landmarks ok", 0),
        BatchEntry("doubt", "doubt.html", "uncertain: Go", 1),
        BatchEntry("worst", "worst.html", "missing: S", 1000, thumbnail=PNG),
    ]
    text = batch_html(entries, [("lost", "rejected: no cephalogram")])
    places = [
        text.index(word) for word in ("Look at these first", "worst.html", "doubt.html", "Errors", "lost", "calm.html")
    ]
    assert places == sorted(places)
    assert "3 films with a report (2 without a picture), 1 with an error." in text
    assert "1 film with a report, 0 with an error." in batch_html(entries[2:], [])
