"""Batch runs on archives with unusable answers. The archives are real servers on the loopback interface."""

from __future__ import annotations

import csv
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from fakes import FakeDetector, save_film
from nodes import film, wait_until
from typer.testing import CliRunner
from web_archive import Archive, multipart, serving

from monai_ceph.archives.urls import senders_of
from monai_ceph.batch import Options, Summary, detect_films
from monai_ceph.cli import app
from monai_ceph.errors import CephError


def sent(number: int) -> bytes:
    """Return the answer of an archive that has the film."""
    buffer = BytesIO()
    film(number).save_as(buffer, enforce_file_format=True)
    return multipart(buffer.getvalue())


def archive_of(*numbers: int) -> Archive:
    archive = Archive(*numbers)
    archive.bodies = {f"1.2.3.{number}.3": sent(number) for number in numbers}
    return archive


def named(archive: Archive) -> str:
    return archive.url.partition("://")[2]


def source(archive: Archive) -> Path:
    return Path(f"dicomweb+http://{named(archive)}?StudyDate=20260101")


def run(out: Path, *paths: Path, workers: int = 1, **options: Any) -> Summary:
    # write an SR only if it is sent: it takes as long as ten other files
    formats = {"json", "sr"} if "senders" in options else {"json"}
    return detect_films(list(paths), out, FakeDetector, Options(frozenset(formats), workers=workers), **options)


def names(out: Path) -> list[str]:
    return sorted(path.stem for path in (out / "json").iterdir())


def errors(out: Path) -> list[tuple[str, ...]]:
    with (out / "errors.csv").open(newline="") as stream:
        return [tuple(row.values()) for row in csv.DictReader(stream)]


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        (None, "an answer without StudyInstanceUID"),
        ({"0020000D": {"vr": "UI", "Value": ["no uid"]}}, "an answer whose StudyInstanceUID is not a UID"),
    ],
    ids=["null", "no UID"],
)
def test_a_run_goes_on_after_a_study_with_an_unusable_answer(tmp_path: Path, odd: Any, cause: str) -> None:
    totals: list[int] = []
    with serving(archive_of(1, 2)) as archive:
        archive.studies.insert(1, odd)
        summary = run(tmp_path, source(archive), on_total=totals.append)
        wait_until(lambda: totals == [2])
    assert (summary.states, names(tmp_path)) == ({"done": 2}, ["1.2.3.1.3", "1.2.3.2.3"])
    assert summary.not_listed == [f"{named(archive)}: {cause} (1 of its answers could not be used)"]


@pytest.mark.parametrize("uid", ["no uid", "../1.2", "1" * 65], ids=["no UID", "path", "long"])
def test_a_run_goes_on_after_an_image_with_an_invalid_uid(tmp_path: Path, uid: str) -> None:
    """Such a UID was once taken for a folder."""
    with serving(archive_of(1, 2)) as archive:
        archive.raw["/studies/1.2.3.1.1/series/1.2.3.1.2/instances"] = (
            {},
            b'[{"00080018": {"vr": "UI", "Value": ["%s"]}}]' % uid.encode(),
        )
        summary = run(tmp_path, source(archive))
    assert (summary.states, names(tmp_path)) == ({"done": 1}, ["1.2.3.2.3"])
    (message,) = summary.not_listed
    assert message.startswith(f"{named(archive)}: an answer whose SOPInstanceUID is not a UID")


def not_images(number: int) -> dict[str, bytes]:
    """Return bodies that are sent instead of a film."""
    return {
        "no DICOM": multipart(b"no DICOM at all" * 20),
        "no part": multipart(),
        "nothing": b"",
        "header cut off": sent(number)[:200],
        "pixels cut off": sent(number)[:-400],
        "another one": sent(100 + number),
    }


def check_the_others_are_done(out: Path, bodies: list[bytes], workers: int) -> None:
    """Run on films with these bodies and on one good film."""
    *bad, good = range(1, len(bodies) + 2)
    with serving(archive_of(*bad, good)) as archive:
        archive.bodies.update({f"1.2.3.{number}.3": body for number, body in zip(bad, bodies, strict=True)})
        summary = run(out, source(archive), workers=workers)
    assert (summary.states, names(out)) == ({"done": 1, "failed": len(bad)}, [f"1.2.3.{good}.3"])
    causes = dict(errors(out))
    assert sorted(causes) == [f"1.2.3.{number}.3" for number in bad]
    for cause in causes.values():
        assert cause.startswith("unreadable: ")
        assert named(archive) in cause or "truncated" in cause
    assert summary.not_listed == []


@pytest.mark.parametrize("kind", not_images(1))
def test_a_run_goes_on_after_a_fetched_file_that_is_not_an_image(tmp_path: Path, kind: str) -> None:
    check_the_others_are_done(tmp_path, [not_images(1)[kind]], workers=1)


def test_workers_go_on_after_fetched_files_that_are_not_images(tmp_path: Path) -> None:
    """All kinds in one run, because starting the processes takes longer."""
    kinds = list(not_images(1))
    check_the_others_are_done(
        tmp_path, [not_images(number)[kind] for number, kind in enumerate(kinds, start=1)], workers=2
    )


def test_a_run_goes_on_after_an_archive_with_unusable_answers(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    save_film(tmp_path / "films" / "a.dcm", 7)
    with serving(archive_of(1)) as good, serving(archive_of(2)) as bad:
        bad.raw["/studies"] = {}, b"<html>Sorry</html>"
        message = f"{named(bad)}: the answer is not DICOMweb (JSONDecodeError)"
        summary = run(tmp_path / "out", source(bad), source(good), tmp_path / "films")
        assert (summary.states, summary.not_listed) == ({"done": 2}, [message])
        with pytest.raises(CephError) as error:
            run(tmp_path / "nothing", source(bad))
        assert str(error.value) == message
        bad.raw.clear()
        again = run(tmp_path / "out", source(bad), source(good), tmp_path / "films")
    assert (again.states, again.before, again.not_listed) == ({"done": 3}, 2, [])


def test_the_command_prints_the_cause_without_a_traceback(tmp_path: Path, dicom: Path) -> None:
    phantom = pydicom.dcmread(dicom)
    phantom.SOPInstanceUID = phantom.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1.3"
    buffer = BytesIO()
    phantom.save_as(buffer, enforce_file_format=True)
    with serving(archive_of(1, 2)) as archive:
        archive.bodies["1.2.3.1.3"] = multipart(buffer.getvalue())
        archive.raw["/studies/1.2.3.2.1/series"] = {}, b"<html>Sorry</html>"
        command = ["detect", "--from", str(source(archive)).replace(":/", "://", 1), "--device", "cpu"]
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
        assert (done.exit_code, done.exception.__class__) == (1, SystemExit), done.output
        cause = f"{named(archive)}: the answer is not DICOMweb (JSONDecodeError)"
        assert f"not all films could be listed: {cause} (1 of its answers could not be used)" in done.output
        assert "1 films: 1 done" in done.output
        archive.raw["/studies"] = {}, b"<html>Sorry</html>"
        # the archive has just answered this request
        command[2] += "&PatientID=P1"
        done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "nothing")])
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit)
    # on a slow machine there are lines of progress, too
    assert done.output.strip().splitlines()[-1] == f"monai-ceph: {cause}"


# the answer was no help, so the archive was asked, and does not have it
_UNTOLD = "the answer does not say that the object is stored, and QIDO-RS does not find it"


@pytest.mark.parametrize(
    ("failed", "message"),
    [
        ({"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}, "failure reason 0110"),
        ({"vr": "SQ", "Value": [{"00081197": {"vr": "US"}}]}, "failed, without a reason"),
        ({"vr": "LO", "Value": ["no"]}, _UNTOLD),
        ({"vr": "US", "Value": [3]}, _UNTOLD),
    ],
    ids=["reason", "no reason", "text", "number"],
)
def test_objects_with_an_unusable_answer_count_as_not_sent(tmp_path: Path, failed: Any, message: str) -> None:
    with serving(archive_of(1, 2)) as archive:
        body = json.dumps({"00081198": failed}).encode()
        archive.stowed = lambda sent: (200, {"Content-Type": "application/dicom+json"}, body)
        url = f"dicomweb+http://{named(archive)}"
        summary = run(tmp_path, source(archive), senders=senders_of([url]))
    assert summary.states == {"done": 2}
    assert summary.not_sent == [f"1.2.3.{number}.3 (sr) to {url}: {message}" for number in (1, 2)]
