"""Which pictures a run writes of a film."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pydicom
import pytest
from fakes import FakeDetector, save_film
from PIL import Image

from monai_ceph.batch import Options, detect_films, parse_formats

FORMATS = parse_formats(["json,overlay,tracing,tracing-png,sr,gsps,sc"])
PICTURES = {"overlays/.png", "tracings/.svg", "tracings/.png", "sc/.dcm"}
if find_spec("reportlab") is not None:
    FORMATS |= {"pdf"}
    PICTURES |= {"pdf/.dcm"}


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return save_film(tmp_path / "films" / "a.dcm", 1)


def written(film: Path, **options: bool) -> tuple[Path, set[str]]:
    out = film.parents[1] / "out"
    assert detect_films([film], out, FakeDetector, Options(formats=FORMATS, **options)).states == {"done": 1}
    return out, {f"{path.parent.name}/{path.suffix}" for path in out.glob("*/*")}


def test_each_format_is_a_file(film: Path) -> None:
    out, files = written(film)
    assert files == {*PICTURES, "json/.json", "sr/.dcm", "gsps/.dcm"}
    (svg,) = (out / "tracings").glob("*.svg")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    (png,) = (out / "tracings").glob("*.png")
    with Image.open(png) as picture:
        assert picture.format == "PNG"
    (capture,) = (out / "sc").iterdir()
    image = pydicom.dcmread(capture)
    # one more line of text
    assert image.Columns == picture.width
    assert picture.height < image.Rows < picture.height + 50
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == pydicom.dcmread(film).SOPInstanceUID


@pytest.mark.parametrize(("burned_in", "pictures"), [(None, set()), ("YES", set()), ("NO", PICTURES)])
def test_deidentified_results_show_the_film_only_if_it_holds_no_text(
    film: Path, burned_in: str | None, pictures: set[str]
) -> None:
    dataset = pydicom.dcmread(film)
    dataset.BurnedInAnnotation = burned_in
    dataset.save_as(film)
    _, files = written(film, deidentify=True)
    assert files == {*pictures, "json/.json", "sr/.dcm", "gsps/.dcm"}
