"""A film that comes again under its UID with a corrected header: a result of its own, which says what it replaces."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from nodes import ORTHANC, film, orthanc, running, send, settings, wait_until
from test_detection_loop import Place
from test_uid_clashes import answered, place_of, work

from monai_ceph.reports.header_identity import header_identity
from monai_ceph.work.film import REPLACES

CORRECTED: dict[str, dict[str, Any]] = {
    "another patient": {"PatientID": "P2", "PatientName": "Other^Anna"},
    "another name without an ID": {"PatientName": "Other^Anna"},
    "another date of birth": {"PatientBirthDate": "20010203"},
    "another issuer of the ID": {"IssuerOfPatientID": "Hospital B"},
    "another study": {"StudyInstanceUID": "1.2.3.9.1"},
    "another accession number": {"AccessionNumber": "A-77"},
    "another scale": {"PixelSpacing": [0.2, 0.2]},
    "another window": {"WindowCenter": 1000, "WindowWidth": 500},
}


def objects(place: Place) -> dict[str, Dataset]:
    """Return what was made, by kind."""
    return {path.parent.name: dcmread(path) for path in place.spool.objects.rglob("*.dcm")}


def uids(made: dict[str, Dataset]) -> dict[str, str]:
    return {kind: str(each.SOPInstanceUID) for kind, each in made.items()}


def predecessors(report: Dataset) -> list[tuple[str, str, str, str]]:
    return [
        (study.StudyInstanceUID, series.SeriesInstanceUID, item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def says_so(place: Place) -> bool:
    """Whether the report says that it replaces another; to decode all its values would take half a second."""
    (report,) = place.spool.objects.rglob("sr/*.dcm")
    return REPLACES.encode() in report.read_bytes()


@pytest.mark.parametrize("changes", CORRECTED.values(), ids=CORRECTED)
@pytest.mark.parametrize("when", ["waits for a target", "done"])
def test_new_objects_say_what_they_replace(tmp_path: Path, changes: dict[str, Any], when: str) -> None:
    first = {"PatientID": ""} if "without an ID" in str(changes) else {}
    with place_of(tmp_path) as place:
        place.take(film(1, **first))
        work(place)
        old = objects(place)
        assert not says_so(place)
        if when == "done":
            answered(place)
        place.take(film(1, **first, **changes))
        work(place)
        new = objects(place)
        assert says_so(place)
        assert old.keys() == new.keys() >= {"sr", "gsps", "sc"}
        assert not set(uids(old).values()) & set(uids(new).values())
        report = old["sr"]
        place_of_old = (report.StudyInstanceUID, report.SeriesInstanceUID, report.SOPClassUID, report.SOPInstanceUID)
        assert (predecessors(report), predecessors(new["sr"])) == ([], [place_of_old])
        row = [each for each in place.ledger.audit_rows() if each["event"] == "detected"][-1]
        assert row["replaces"] == {uids(new)[kind]: uids(old)[kind] for kind in ("sr", "gsps")}
        assert [each.uid for each in place.ledger.due("pacs", 9)] == [uids(new)[kind] for kind in ("gsps", "sr")]
        answered(place)
        assert place.ledger.counts() == {"done": 1}


def test_a_repeat_gives_the_same_objects(tmp_path: Path) -> None:
    """After a crash or a retry the target already has them: of a second UID there would be two."""
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        place.take(film(1, PatientName="Other^Anna"))
        work(place)
        first = objects(place)
        (known,) = place.ledger.films("detected")
        for path in place.spool.objects.rglob("*.dcm"):
            path.unlink()
        place.ledger.detect_again(known)
        work(place)
        again = objects(place)
        assert uids(again) == uids(first)
        assert predecessors(again["sr"]) == predecessors(first["sr"]) != []


def test_a_correction_that_is_taken_back_is_a_third_result(tmp_path: Path) -> None:
    """The archive has the first result already, and the second says that it replaces it."""
    with place_of(tmp_path) as place:
        reports = []
        for name in ("Doe^Jane", "Other^Anna", "Doe^Jane"):
            place.take(film(1, PatientName=name))
            work(place)
            reports.append(objects(place)["sr"])
        found = [str(report.SOPInstanceUID) for report in reports]
        assert len(set(found)) == 3
        assert [[each[-1] for each in predecessors(report)] for report in reports] == [[], found[:1], found[1:2]]


@pytest.mark.parametrize(
    "same",
    [
        lambda: film(1, RetrieveAETitle="ARCHIVE", InstanceAvailability="ONLINE", InstitutionName="Clinic"),
        lambda: film(1, SeriesDescription="Lateral"),
        lambda: compressed(film(1)),
    ],
    ids=["archive", "description", "compressed"],
)
def test_what_no_result_takes_from_the_header_changes_nothing(tmp_path: Path, same: Callable[[], Dataset]) -> None:
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        old = uids(objects(place))
        place.take(same())
        work(place)
        assert uids(objects(place)) == old
        assert predecessors(objects(place)["sr"]) == []


def compressed(dataset: Dataset) -> Dataset:
    dataset.compress(RLELossless, generate_instance_uid=False)
    return dataset


def test_a_dead_letter_with_objects_in_the_archive(tmp_path: Path) -> None:
    """Its report arrived and its presentation state did not; then it is taken away and another image has its UID."""
    with place_of(tmp_path) as place:
        place.take(film(1))
        work(place)
        old = uids(objects(place))
        for each in place.ledger.due("pacs", 9):
            settle = place.ledger.sent if each.kind == "sr" else place.ledger.give_up
            settle(each, "status")
            place.spool.settle(place.ledger, each.film)
        (first,) = place.ledger.films("dead")
        shutil.rmtree(place.spool.dead / first.key)
        other = film(1, PatientID="P2")
        other.PixelData = film(2).PixelData
        place.take(other)
        work(place)
        new = objects(place)
        assert not set(uids(new).values()) & set(old.values())
        assert [each[-1] for each in predecessors(new["sr"])] == [old["sr"]]


def test_the_header_of_another_character_set_is_the_same(tmp_path: Path) -> None:
    latin, utf = film(1), film(1)
    for dataset, character_set in ((latin, "ISO_IR 100"), (utf, "ISO_IR 192")):
        dataset.SpecificCharacterSet, dataset.PatientName = character_set, "Müller^Jörg"
    assert header_identity(latin, None) == header_identity(utf, None)
    assert header_identity(latin, None) != header_identity(film(1), None)


@pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)")
def test_two_patients_have_two_reports_in_a_real_archive(tmp_path: Path) -> None:
    values = settings(tmp_path)
    with orthanc(tmp_path / "orthanc", values["port"]) as pacs:
        values["targets"]["dicom"][0].update(ae_title="ORTHANC", port=pacs.port)
        with running(tmp_path, values) as node:
            assert send(node.port, film(1, PatientID="P1", PatientName="Doe^Jane")) == [0]
            node.wait_for("sent", 2)
            (first,) = pacs.instances()["SR"]
            assert send(node.port, film(1, PatientID="P2", PatientName="Other^Anna")) == [0]
            node.wait_for("sent", 4)
            wait_until(lambda: len(pacs.instances()["SR"]) == 2)
            assert len(set(pacs.instances()["SR"]) | set(pacs.instances()["PR"])) == 4
            reports = {
                tags["PatientID"]: tags
                for each in pacs.get("/instances")
                if (tags := pacs.get(f"/instances/{each}/simplified-tags"))["Modality"] == "SR"
            }
            replaced = reports["P2"]["PredecessorDocumentsSequence"][0]["ReferencedSeriesSequence"][0]
            assert reports["P1"]["SOPInstanceUID"] == first
            assert replaced["ReferencedSOPSequence"][0]["ReferencedSOPInstanceUID"] == first
