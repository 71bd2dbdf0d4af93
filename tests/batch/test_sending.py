"""What a run sends to an application entity that takes, refuses, is full, hangs up or is not there."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")

from fakes import FakeDetector, save_film
from pynetdicom import AE, evt
from samples import noise, save_grey

from monai_ceph.archives.urls import senders_of
from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.batch.sending import send_objects
from monai_ceph.errors import CephError

FORMATS = frozenset({"csv", "sr", "gsps"})
CLASSES = ("1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.11.1")


class Archive:
    """An application entity on the loopback interface.

    Attributes:
        stored: SOP Instance UIDs of what came in, in order.
        answer: says the status of the object that comes in; None hangs up instead.
    """

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.answer: Callable[[int], int | None] = lambda number: 0
        self.classes = CLASSES
        self._server: Any = None
        self.port = 0

    def start(self) -> None:
        entity = AE("PACS")
        for sop_class in self.classes:
            entity.add_supported_context(sop_class)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.server_address[1]

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        status = self.answer(len(self.stored))
        if status is None:
            event.assoc.abort()
            return 0xA700
        return status

    @property
    def url(self) -> str:
        return f"dicom://PACS@127.0.0.1:{self.port}"


@pytest.fixture
def archive() -> Iterator[Archive]:
    archive = Archive()
    archive.start()
    yield archive
    archive.stop()


def save_films(folder: Path) -> Path:
    for number in (1, 2):
        save_film(folder / f"{number}.dcm", number)
    save_film(folder / "reject.dcm", 3)
    save_grey(folder / "no-dicom.png", noise(64, 48))
    return folder


@pytest.fixture(scope="module")
def detected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films, and what a run made of them: to make objects takes longer than to send them."""
    root = tmp_path_factory.mktemp("detected")
    detect_films([save_films(root / "films")], root / "out", FakeDetector, Options(formats=FORMATS))
    return root


@pytest.fixture
def films(detected: Path, tmp_path: Path) -> Path:
    """Films whose results are in the folder out."""
    shutil.copytree(detected / "out", tmp_path / "out")
    return detected / "films"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_objects, "__defaults__", (*send_objects.__defaults__[:-1], (0.01, 0.01)))  # type: ignore[index]


def run(films: Path, out: Path, url: str, **options: Any) -> Summary:
    return detect_films([films], out, FakeDetector, Options(formats=FORMATS, **options), senders=senders_of([url]))


def counts(summary: Summary) -> tuple[int, int, int]:
    assert summary.sending is not None
    return summary.sending.sent, summary.sending.before, len(summary.not_sent)


def test_each_object_once(tmp_path: Path, archive: Archive) -> None:
    films = save_films(tmp_path / "films")
    assert counts(run(films, tmp_path / "out", archive.url)) == (4, 0, 0)
    assert len(set(archive.stored)) == 4
    assert counts(run(films, tmp_path / "out", archive.url)) == (0, 4, 0)
    assert len(archive.stored) == 4
    save_film(films / "5.dcm", 5)
    assert counts(run(films, tmp_path / "out", archive.url)) == (2, 4, 0)
    assert len(set(archive.stored)) == 6


def test_only_the_films_of_the_command(films: Path, tmp_path: Path, archive: Archive) -> None:
    """Results of other commands lie in the same folder, and are none of this archive's business."""
    save_film(tmp_path / "others" / "9.dcm", 9)
    detect_films([tmp_path / "others"], tmp_path / "out", FakeDetector, Options(formats=frozenset({"sr", "gsps"})))
    assert counts(run(films, tmp_path / "out", archive.url)) == (4, 0, 0)


def test_a_copy_of_a_film_that_was_done_before(films: Path, tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / "1.dcm").write_bytes((films / "1.dcm").read_bytes())
    assert counts(run(tmp_path / "copies", tmp_path / "out", archive.url)) == (2, 0, 0)


def test_an_object_that_is_refused_does_not_hold_up_the_others(films: Path, tmp_path: Path, archive: Archive) -> None:
    archive.answer = lambda number: 0xA900 if number == 2 else 0
    first = run(films, tmp_path / "out", archive.url)
    assert counts(first) == (3, 0, 1)
    assert first.not_sent[0].endswith(f"to {archive.url}: status A900")
    assert first.not_sent[0].startswith("1.dcm (")
    assert counts(run(films, tmp_path / "out", archive.url)) == (1, 3, 0)


def test_a_connection_that_ends_is_opened_again(films: Path, tmp_path: Path, archive: Archive) -> None:
    archive.answer = lambda number: None if number % 2 else 0
    assert counts(run(films, tmp_path / "out", archive.url)) == (4, 0, 0)
    assert len(set(archive.stored)) == 4


@pytest.mark.parametrize("answer", [None, 0xA700], ids=["hangs up", "out of resources"])
def test_an_object_that_the_archive_fails_at_does_not_hold_up_the_others(
    films: Path, tmp_path: Path, archive: Archive, answer: int | None
) -> None:
    archive.answer = lambda number: answer if archive.stored[-1] == archive.stored[0] else 0
    assert counts(run(films, tmp_path / "out", archive.url)) == (3, 0, 1)
    assert len(set(archive.stored)) == 4


def test_an_archive_that_is_full(films: Path, tmp_path: Path, archive: Archive) -> None:
    archive.answer = lambda number: 0xA700
    summary = run(films, tmp_path / "out", archive.url)
    assert counts(summary) == (0, 0, 4)
    assert all("out of resources" in cause for cause in summary.not_sent)
    # the first time and two more, each time with another object
    assert len(archive.stored) == 3
    assert len(set(archive.stored)) == 3
    archive.answer = lambda number: 0
    assert counts(run(films, tmp_path / "out", archive.url)) == (4, 0, 0)


def test_nobody_there(films: Path, tmp_path: Path) -> None:
    summary = run(films, tmp_path / "out", "dicom://PACS@127.0.0.1:9")
    assert counts(summary) == (0, 0, 4)
    assert "no association with PACS" in summary.not_sent[0]
    # the films are done all the same
    assert summary.states["done"] == 3


def test_a_kind_that_the_archive_does_not_take(films: Path, tmp_path: Path, archive: Archive) -> None:
    archive.stop()
    archive.classes = CLASSES[:1]
    archive.start()
    summary = run(films, tmp_path / "out", archive.url)
    assert counts(summary) == (2, 0, 2)
    assert all("(gsps)" in cause and "is not accepted" in cause for cause in summary.not_sent)


def test_a_fhir_server_gets_the_bundles(films: Path, tmp_path: Path) -> None:
    pytest.importorskip("fhir", reason="the extra fhir is not installed (make optional)")
    from fhir_server import FhirServer, fhir_serving

    out, options = tmp_path / "fhir", Options(formats=frozenset({"csv", "fhir"}))
    with fhir_serving(FhirServer()) as server:
        server.status = 503
        senders = senders_of([server.url.replace("http://", "fhir+http://")])
        first = detect_films([films], out, FakeDetector, options, senders=senders)
        assert counts(first) == (0, 0, 2)
        assert all("(fhir)" in cause and "HTTP 503" in cause for cause in first.not_sent)
        server.status = None
        assert counts(detect_films([films], out, FakeDetector, options, senders=senders)) == (2, 0, 0)
        assert counts(detect_films([films], out, FakeDetector, options, senders=senders)) == (0, 2, 0)
        assert [each["status"] for each in server.of_kind("DiagnosticReport")] == ["preliminary"] * 2


def test_new_results_are_sent_anew(films: Path, tmp_path: Path, archive: Archive) -> None:
    run(films, tmp_path / "out", archive.url)
    other, options = partial(FakeDetector, recipe="1"), Options(formats=FORMATS)
    summary = detect_films([films / "1.dcm"], tmp_path / "out", other, options, senders=senders_of([archive.url]))
    assert counts(summary) == (2, 0, 0)


def test_an_object_that_somebody_changed_is_not_sent(films: Path, tmp_path: Path, archive: Archive) -> None:
    made = list((tmp_path / "out" / "sr").iterdir())
    made[0].write_bytes(made[1].read_bytes())
    with pytest.raises(CephError, match=rf"{made[0].name}: was changed since a run wrote it; move it"):
        run(films, tmp_path / "out", archive.url)
    assert not archive.stored


def test_what_was_taken_is_written_down_one_by_one(films: Path, tmp_path: Path, archive: Archive) -> None:
    """A run that is interrupted while it sends has recorded what was taken."""
    senders = senders_of([archive.url])
    with pytest.raises(KeyboardInterrupt):
        detect_films(
            [films],
            tmp_path / "out",
            FakeDetector,
            Options(formats=FORMATS),
            interrupted=lambda: len(archive.stored) == 2,
            senders=senders,
        )
    with sqlite3.connect(tmp_path / "out" / "sent.sqlite") as book:
        rows = book.execute("SELECT target, answer FROM sent").fetchall()
    book.close()
    assert rows == [(archive.url, "status 0000")] * 2
    assert counts(run(films, tmp_path / "out", archive.url)) == (2, 2, 0)


def test_a_book_that_is_something_else(films: Path, tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "out" / "sent.sqlite").write_text("my notes")
    with pytest.raises(CephError, match="move it away; then all objects are sent again"):
        run(films, tmp_path / "out", archive.url)
    assert (tmp_path / "out" / "sent.sqlite").read_text() == "my notes"
