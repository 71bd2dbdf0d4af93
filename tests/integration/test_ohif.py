"""Our SR in the real OHIF viewer: every landmark is drawn on its pixel, and can be moved and saved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pydicom
import pytest
from dicom_films import detection_on, without
from ohif import VERSIONS, built, picture, viewer
from samples import changed
from servers import orthanc, orthanc_is_there, store_in_orthanc, wait_until

from monai_ceph.landmarks import LANDMARKS
from monai_ceph.readers import read_radiograph
from monai_ceph.reports.corrected import Corrections
from monai_ceph.reports.corrected_files import read_corrected_points
from monai_ceph.reports.dicom_source import source_header
from monai_ceph.reports.dicom_uids import tracking_uid
from monai_ceph.reports.presentation_state import save_gsps
from monai_ceph.reports.secondary_capture import save_sc
from monai_ceph.reports.structured_report import save_sr
from monai_ceph.result import Detection

pytest.importorskip("selenium", reason="pip install 'monai-ceph[node-tests]'")

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
pytestmark = [
    pytest.mark.skipif(not orthanc_is_there(), reason="apt-get install orthanc orthanc-dicomweb"),
    pytest.mark.skipif(not (CHROMIUM.exists() and DRIVER.exists()), reason="apt-get install chromium chromium-driver"),
]
SECONDS = 240
# its tour of the viewer covers what is to be pressed
NO_TOUR = "try { localStorage.setItem('shownTours', '[\"basicViewerTour\"]') } catch (error) {}"
# whether the viewer shows the film, so that it listens to the mouse
READY = """
const viewports = (window.cornerstone?.getRenderingEngines() ?? []).flatMap(engine => engine.getViewports());
return viewports.some(one => one.getCurrentImageId?.() && one.viewportStatus === "rendered");
"""
REPORT = "[data-cy='study-browser-thumbnail-no-image']"
# whether the viewport has the report
SHOWN = """
const {viewportGridService: grid, displaySetService: sets} = window.services;
const shown = grid.getDisplaySetsUIDsForViewport(grid.getActiveViewportId());
return shown.some(uid => sets.getDisplaySetByUID(uid).Modality === "SR");
"""
# which pixels the tips of the arrows are on, as VTK draws the film, and the text beside them, by tracking UID
ARROWS = """
const layer = [...document.querySelectorAll("svg.svg-layer")].find(one => one.querySelector("g[data-annotation-uid]"));
if (!layer) return {};
const viewports = window.cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports());
const viewport = viewports.find(one => one.element.contains(layer));
const place = group => {
  const arrow = group.previousElementSibling;
  const tip = ["x2", "y2"].map(name => Number(arrow.getAttribute(name)));
  const pixel = viewport.getImageData().imageData.worldToIndex(viewport.canvasToWorld(tip));
  return {pixel: [pixel[0], pixel[1]], text: [...group.querySelectorAll("tspan")].map(one => one.textContent)};
};
return Object.fromEntries(
  [...layer.querySelectorAll("g[data-annotation-uid]")].map(group => [group.dataset.annotationUid, place(group)]));
"""
# the editable points: their labels, the pixels they are on, and where on the page they are
POINTS = """
const viewport = window.cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports())[0];
const {left, top} = viewport.element.getBoundingClientRect();
const shape = viewport.getImageData().imageData;
return window.services.measurementService.getMeasurements().filter(one => one.toolName === "Probe").map(one => {
  const [pixel, spot] = [shape.worldToIndex(one.points[0]), viewport.worldToCanvas(one.points[0])];
  return {label: one.label, pixel: [pixel[0], pixel[1]], page: [left + spot[0], top + spot[1]]};
});
"""
# where on the page a pixel is
PAGE = """
const viewport = window.cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports())[0];
const {left, top} = viewport.element.getBoundingClientRect();
const spot = viewport.worldToCanvas(viewport.getImageData().imageData.indexToWorld([...arguments[0], 0]));
return [left + spot[0], top + spot[1]];
"""
# what the viewer makes of the objects of a study, by their modality, and whether it can show them
OBJECTS = """
return Object.fromEntries(
  window.services.displaySetService.getActiveDisplaySets().map(one => [one.Modality, !one.unsupported]));
"""
# the image that is shown, and how many rows and columns it has
IMAGE = """
const viewport = window.cornerstone.getRenderingEngines().flatMap(engine => engine.getViewports())[0];
if (viewport?.viewportStatus !== "rendered") return null;
const [columns, rows] = viewport.getImageData().dimensions;
return {id: viewport.getCurrentImageId(), rows, columns};
"""
LENGTHS = """
return window.services.measurementService.getMeasurements().filter(one => one.toolName === "Length").length;
"""


def study(
    folder: Path, film: Path, name: str, *gone: str, outside: bool = False, places: np.ndarray | None = None
) -> tuple[Path, Path, Detection]:
    """Return a film in a study of its own, its SR, and the detection.

    The landmarks are at places, (row, column), or all over the film.
    """
    dataset = pydicom.dcmread(film)
    for level in ("Study", "Series", "SOP"):
        uid = f"{dataset[f'{level}InstanceUID'].value[:50]}.{name}"
        setattr(dataset, f"{level}InstanceUID", uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(folder / f"{name}.dcm")
    source = source_header(folder / f"{name}.dcm")
    of_film = {"study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID", "image_uid": "SOPInstanceUID"}
    detection = detection_on(
        rows=source.Rows, columns=source.Columns, **{key: source[name].value for key, name in of_film.items()}
    )
    for index in range(len(detection.landmarks)):
        x, y = (40.25 + 47 * index, 60.75 + 59 * ((7 * index) % 19)) if places is None else places[index, ::-1].tolist()
        detection = changed(detection, index, x=x, y=y, radius_90_px=9.5, radius_90_mm=1.25)
    detection = without(detection, *gone)
    if outside:
        detection = changed(detection, 7, x=-3.25, y=401.0)
    save_sr(folder / f"{name}.sr.dcm", detection, source)
    return folder / f"{name}.dcm", folder / f"{name}.sr.dcm", detection


@pytest.fixture(scope="module")
def studies(
    tmp_path_factory: pytest.TempPathFactory, dicom: Path, truth: np.ndarray
) -> dict[str, tuple[Path, Path, Detection]]:
    folder = tmp_path_factory.mktemp("ohif-studies")
    return {
        "all": study(folder, dicom, "1"),
        "two without a point": study(folder, dicom, "2", "Po", outside=True),
        "pictures": study(folder, dicom, "5", places=truth),
        # a report that is saved in one viewer must not be seen in the other
        **{version: study(folder, dicom, str(number), places=truth) for number, version in enumerate(VERSIONS, 3)},
    }


@pytest.fixture(scope="module")
def archive(
    tmp_path_factory: pytest.TempPathFactory, studies: dict[str, tuple[Path, Path, Detection]]
) -> Iterator[str]:
    with orthanc(tmp_path_factory.mktemp("ohif-archive")) as url:
        for film, report, _ in studies.values():
            store_in_orthanc(url, film)
            store_in_orthanc(url, report)
        film, _, detection = studies["pictures"]
        save_sc(film.with_name("sc.dcm"), detection, source_header(film), read_radiograph(film))
        save_gsps(film.with_name("gsps.dcm"), detection, source_header(film))
        for name in ("sc", "gsps"):
            store_in_orthanc(url, film.with_name(f"{name}.dcm"))
        yield url


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def ohif(version: str, archive: str) -> Iterator[str]:
    dist = built(version)
    if dist is None:
        pytest.skip(f"MONAI_CEPH_OHIF_DIR has no @ohif/app {version}; tests/integration/ohif.py says how")
    with viewer(dist, archive) as url:
        yield url


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    switches = "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    # WebGL in software
    drawing = "--use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader --window-size=1600,1000"
    for switch in (*switches.split(), "--disable-component-update", "--disable-sync", *drawing.split()):
        options.add_argument(switch)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def instances(archive: str) -> list[str]:
    with urlopen(f"{archive}/instances", timeout=30) as answer:
        found: list[str] = json.load(answer)
        return found


def no_error(browser: Chrome) -> None:
    """Look for what OHIF's error boundary writes to the console; the page itself stays black."""
    assert [line["message"] for line in browser.get_log("browser") if "TypeError" in line["message"]] == []


def opened(browser: Chrome, url: str, detection: Detection) -> dict[str, Any]:
    """Open the report of a study as a reader does, and return the arrows."""

    def pressed() -> bool:
        for report in browser.find_elements(By.CSS_SELECTOR, REPORT):
            ActionChains(browser).double_click(report).pause(1).perform()
        no_error(browser)
        return bool(browser.execute_script(SHOWN))

    def drawn() -> bool:
        no_error(browser)
        # on a slow machine 3.12 adds the points after it drew the film, and draws again only when something happens
        browser.execute_script("window.cornerstone.getRenderingEngines().forEach(engine => engine.render())")
        return bool(browser.execute_script(ARROWS))

    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_TOUR})
    browser.get(f"{url}/viewer?StudyInstanceUIDs={detection.study_uid}")
    wait_until(lambda: bool(browser.execute_script(READY)), SECONDS, "the film is shown")
    wait_until(pressed, SECONDS, "the report is opened")
    wait_until(drawn, SECONDS, "the points are drawn")
    arrows: dict[str, Any] = browser.execute_script(ARROWS)
    return arrows


@pytest.mark.parametrize("which", ["all", "two without a point"])
def test_every_point_is_drawn_at_its_position(
    browser: Chrome, ohif: str, studies: dict[str, tuple[Path, Path, Detection]], which: str
) -> None:
    detection = studies[which][2]
    on_film = [mark for mark in detection.landmarks if mark.x is not None and mark.x > 0]
    assert len(on_film) == (19 if which == "all" else 17)
    arrows = opened(browser, ohif, detection)
    expected = {tracking_uid(str(detection.image_uid), None, mark.symbol): mark for mark in on_film}
    assert arrows.keys() == expected.keys()
    for uid, mark in expected.items():
        assert arrows[uid]["pixel"] == pytest.approx([mark.x, mark.y], abs=0.01)
        # the number is the code of "Finding Site", which OHIF does not translate
        assert f"363698007: {LANDMARKS[mark.number - 1].code.meaning}" in arrows[uid]["text"]


def test_the_secondary_capture_is_shown_and_the_presentation_state_is_not(
    browser: Chrome, ohif: str, studies: dict[str, tuple[Path, Path, Detection]]
) -> None:
    film, _, detection = studies["pictures"]
    capture = pydicom.dcmread(film.with_name("sc.dcm"))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_TOUR})
    browser.get(f"{ohif}/viewer?StudyInstanceUIDs={detection.study_uid}")
    wait_until(lambda: bool(browser.execute_script(READY)), SECONDS, "the film is shown")
    assert browser.execute_script(OBJECTS) == {"DX": True, "SR": True, "OT": True, "PR": False}

    def shown() -> bool:
        for image in browser.find_elements(By.CSS_SELECTOR, "[data-cy='study-browser-thumbnail']"):
            ActionChains(browser).double_click(image).pause(2).perform()
            no_error(browser)
            seen = browser.execute_script(IMAGE)
            if seen and str(capture.SOPInstanceUID) in seen["id"]:
                return (seen["rows"], seen["columns"]) == (capture.Rows, capture.Columns)
        return False

    wait_until(shown, SECONDS, "the secondary capture is shown")
    picture(browser.get_screenshot_as_png(), "ohif-sc.png")


def drag(browser: Chrome, start: list[float], end: list[float]) -> None:
    mouse = ActionChains(browser, duration=100).w3c_actions
    pointer = mouse.pointer_action
    middle = [(one + other) / 2 for one, other in zip(start, end, strict=True)]
    pointer.move_to_location(*map(round, start)).pause(0.3).pointer_down().pause(0.3)
    pointer.move_to_location(*map(round, middle)).pause(0.3)
    pointer.move_to_location(*map(round, end)).pause(0.3).pointer_up()
    mouse.perform()


def press(browser: Chrome, selector: str, text: str = "") -> None:
    """Press what a selector finds as soon as it is there; of several, the one with a text."""

    def pressed() -> bool:
        no_error(browser)
        try:
            found = [each for each in browser.find_elements(By.CSS_SELECTOR, selector) if text in each.text]
            found[0].click()
        except (IndexError, WebDriverException):
            return False
        return True

    wait_until(pressed, SECONDS, f"{selector} {text} is pressed")


def moved_and_saved(browser: Chrome, url: str, detection: Detection, name: str) -> dict[str, list[float]]:
    """Make the points editable, move one, save all as a report, and return the pixels that the viewer has them on."""
    opened(browser, url, detection)
    picture(browser.get_screenshot_as_png(), "ohif-report.png")
    press(browser, "[data-cy='yes-hydrate-btn']")
    wait_until(lambda: len(browser.execute_script(POINTS)) == 19, SECONDS, "the points are editable")

    def points() -> dict[str, Any]:
        return {each["label"]: each for each in browser.execute_script(POINTS)}

    start = points()[name]
    right, up = start["page"][0] + 40, start["page"][1] - 20
    drag(browser, start["page"], [right, up])
    wait_until(lambda: points()[name]["pixel"][0] > start["pixel"][0] + 10, SECONDS, "the point was moved")
    # OHIF shows its button only if there is a measurement that is no point
    press(browser, "[data-cy='Length-btn']")
    ends = [browser.execute_script(PAGE, pixel) for pixel in ([30, 300], [100, 340])]
    drag(browser, *ends)
    wait_until(lambda: browser.execute_script(LENGTHS) == 1, SECONDS, "a length was drawn")
    press(browser, "[data-cy='trackedMeasurements-btn']")
    picture(browser.get_screenshot_as_png(), "ohif-edit.png")
    press(browser, "button", "Create SR")
    seen = {label: each["pixel"] for label, each in points().items()}
    press(browser, "[data-cy='input-dialog-save-button'] button")
    return seen


def test_a_point_is_moved_and_saved_and_read_back(
    browser: Chrome,
    ohif: str,
    version: str,
    archive: str,
    studies: dict[str, tuple[Path, Path, Detection]],
    tmp_path: Path,
) -> None:
    detection = studies[version][2]
    before = set(instances(archive))
    seen = moved_and_saved(browser, ohif, detection, "Nasion")
    wait_until(lambda: len(instances(archive)) > len(before), SECONDS, "the report is in the archive")
    (new,) = set(instances(archive)) - before
    (tmp_path / "saved.dcm").write_bytes(urlopen(f"{archive}/instances/{new}/file", timeout=30).read())
    (film,) = read_corrected_points(tmp_path / "saved.dcm")
    assert film.image_uid == detection.image_uid
    assert film.places == {mark.symbol: pytest.approx(tuple(seen[mark.name]), abs=0.01) for mark in detection.landmarks}
    found = Corrections([tmp_path / "saved.dcm"]).apply(detection)
    assert found.warnings[0] == "A person placed N (saved.dcm)."
    unmoved = [mark for mark in detection.landmarks if mark.symbol != "N"]
    assert [found[mark.symbol] for mark in unmoved] == unmoved
