"""A node keeps films and results for people, who review them in the browser; its page leads there."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
import yaml

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
pytest.importorskip("fastapi", reason="the extra pacs is not installed (make optional)")
import pydicom
from nodes import film, free_port, running, send, settings, wait_until
from pydicom import Dataset

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.check import check_review_folder
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.config_file import read_config
from monai_ceph.pacs.review_folder import ReviewFolder
from monai_ceph.review.models import Point, Save, Sign
from monai_ceph.review.service import ReviewService


def page(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return answer.read().decode()


def reviewed(folder: Path, dataset: Dataset) -> ReviewService:
    """Wait until a film can be reviewed, then move a point of it and sign."""
    service = ReviewService(folder / "results", [folder / "films"])
    (found,) = wait_until(
        lambda: [each for each in service.films.all() if each.detection.image_uid == dataset.SOPInstanceUID]
    )
    points = {point.symbol: point for point in service.current(found).points}
    points["S"] = Point(symbol="S", x=3.5, y=4.25, source="human")
    for symbol, point in points.items():
        if point.x is None:
            points[symbol] = Point(symbol=symbol, x=None, y=None, source="absent")
    service.save(found, Save(based_on=0, reviewer="Dr. Example", points=tuple(points.values())))
    assert service.sign(found, Sign(based_on=1, reviewer="Dr. Example")).state == "final"
    return service


def test_films_of_a_node_are_reviewed(tmp_path: Path) -> None:
    port, kept = free_port(), tmp_path / "kept"
    http = {"host": "127.0.0.1", "port": port, "review_url": "https://review.clinic.example/?a=1&b=2"}
    values = settings(tmp_path, http=http, review_folder=str(kept))
    with running(tmp_path, values) as node:
        first = film(1)
        # a review can begin before the first film
        before = ReviewService(kept / "results", [kept / "films"])
        assert before.films.all() == []
        assert send(node.port, first) == [0]
        node.wait_for("detected")
        service = reviewed(kept, first)
        (row,) = service.worklist()
        assert (row["film"], row["state"], row["patient"]["name"]) == (
            *(f"{first.SOPInstanceUID}.dcm", "final", str(first.PatientName)),
        )
        # the server that was there before finds film and pixels
        (later,) = before.films.all()
        wait_until(lambda: before.films.path(later))
        assert before.page(later)["review"]["state"] == "final"
        # the same image again, with another name: its review stays
        again = film(1, PatientName="Other^Name")
        assert send(node.port, again) == [0]
        node.wait_for("detected", 2)
        copy = kept / "films" / f"{first.SOPInstanceUID}.dcm"
        wait_until(lambda: pydicom.dcmread(copy).PatientName == "Other^Name")
        (row,) = service.worklist()
        assert (row["state"], row["revision"]) == ("final", 2)
        assert kept.stat().st_mode & 0o077 == 0
        shown = page(port)
        assert 'href="https://review.clinic.example/?a=1&amp;b=2"' in shown
        assert '"review_url":"https://review.clinic.example/?a=1&b=2"' in page(port, "/status")


def test_without_a_folder_and_an_address_nothing_is_kept_or_shown(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, settings(tmp_path, http={"host": "127.0.0.1", "port": port})) as node:
        assert send(node.port, film(1)) == [0]
        node.wait_for("detected")
        assert 'id="review"' not in page(port)
    assert {path.name for path in (tmp_path / "node").rglob("*.json")} == set()


@pytest.mark.parametrize("address", ["javascript:alert(1)", "review.clinic.example", "https://", "ftp://a"])
def test_an_address_that_cannot_be_opened_is_refused(tmp_path: Path, address: str) -> None:
    http = {"port": 8080, "review_url": address}
    with pytest.raises(ValueError, match="not an address such as https://review"):
        NodeConfig.model_validate(settings(tmp_path, http=http))


def test_its_path_starts_at_the_file_of_the_configuration(tmp_path: Path) -> None:
    values = settings(tmp_path, review_folder="kept")

    (tmp_path / "node.yaml").write_text(yaml.safe_dump(values))
    assert read_config(tmp_path / "node.yaml").review_folder == tmp_path / "kept"


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    node, file = tmp_path / "node", tmp_path / "file"
    file.touch()
    for folder in (node, node / "kept"):
        with pytest.raises(CephError, match="is in the folder of the node"):
            check_review_folder(folder, node)
    with pytest.raises(CephError, match=r"review_folder .*kept: .*file is not a folder"):
        check_review_folder(file / "kept", node)
    check_review_folder(tmp_path / "new" / "kept", node)
    with pytest.raises(StoppedError, match=r"Not a directory|File exists"):
        ReviewFolder(file / "kept")
