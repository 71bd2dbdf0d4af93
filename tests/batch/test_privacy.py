"""No patient in anything that a run prints or writes, but for the DICOM objects, which are for the archive."""

from __future__ import annotations

import warnings
from pathlib import Path

import pyarrow.parquet
import pydicom
import pytest
from forked import printed
from pydicom.dataset import Dataset

from monai_ceph.cli import app
from monai_ceph.folders import BUNDLES
from monai_ceph.work import names

MARK = "Zyxwv"
BY_UID, DEIDENTIFIED = "--names uid", "--deidentify"
OPTIONS = (BY_UID, DEIDENTIFIED)
NO_EXPANSION = BUNDLES / "overlays" / "no_expansion.json"

TEXTS = (
    *(
        "PatientName",
        "PatientID",
        "IssuerOfPatientID",
        "OtherPatientNames",
        "PatientBirthName",
        "PatientMotherBirthName",
    ),
    *("PatientAddress", "PatientTelephoneNumbers", "PatientComments", "AccessionNumber", "StudyID", "StudyDescription"),
    *("SeriesDescription", "ProtocolName", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName"),
    *("InstitutionName", "InstitutionAddress", "StationName", "DeviceSerialNumber", "RequestingPhysician"),
    *("RequestedProcedureDescription", "AdmissionID", "ImageComments", "DerivationDescription"),
)


def mark(dataset: Dataset, number: int) -> Dataset:
    """Put a mark into all that says who the patient is."""
    for name in TEXTS:
        setattr(dataset, name, f"{MARK}{number}")
    dataset.PatientBirthDate = "19470823"
    dataset.add_new(0x00091001, "LO", MARK)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.99.{number}"
    return dataset


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory, dicom: Path) -> Path:
    """What a department has: good and bad files in folders that are called after patients."""
    root = tmp_path_factory.mktemp("department")
    folder = root / "studies" / f"{MARK}^Anna 19470823"
    folder.mkdir(parents=True)
    whole = mark(pydicom.dcmread(dicom), 1)
    whole.save_as(folder / f"{MARK}.dcm")
    whole.save_as(folder / f"copy of {MARK}.dcm")
    data = (folder / f"{MARK}.dcm").read_bytes()
    (folder / f"{MARK} truncated.dcm").write_bytes(data[: len(data) // 2])
    (folder / f"{MARK} header.dcm").write_bytes(data[:700])
    (folder / f"{MARK} text.dcm").write_text(f"{MARK} is no film")
    (folder / f"{MARK} link.dcm").symlink_to(folder / f"{MARK} nowhere")

    other = mark(pydicom.dcmread(dicom), 2)
    other.Modality = "CT"
    other.save_as(folder / f"{MARK} ct.dcm")
    broken = mark(pydicom.dcmread(dicom), 3)
    broken.Rows = broken.Columns = 40
    broken.PixelData = broken.PixelData[: 2 * 40 * 40]
    broken.save_as(folder / f"{MARK} small.dcm")
    # values that their types do not allow, which parsers like to quote
    odd = mark(pydicom.dcmread(dicom), 4)
    odd.save_as(folder / f"{MARK} odd.dcm")
    text = (folder / f"{MARK} odd.dcm").read_bytes()
    (folder / f"{MARK} odd.dcm").write_bytes(text.replace(b"19470823", f"{MARK}000"[:8].encode()))
    without = mark(pydicom.dcmread(dicom), 5)
    del without.SOPInstanceUID
    without.save_as(folder / f"{MARK} without.dcm", enforce_file_format=False)
    return root / "studies"


def detect(commands: list[list[str]]) -> None:
    # all that anything warns of
    warnings.simplefilter("default")
    for arguments in commands:
        with pytest.raises(SystemExit) as ended:
            app(arguments, prog_name="monai-ceph")
        assert ended.value.code == 1


@pytest.fixture(scope="module")
def said(studies: Path) -> dict[str, str]:
    """What a run with each of the options prints; its folder is called after them."""
    rest = ["--formats", "all", "--device", "cpu", "--config", str(NO_EXPANSION), "--force"]
    commands = {option: ["detect", "studies", "--out", f"out{option}", *option.split(), *rest] for option in OPTIONS}
    return {option: printed(detect, [words], folder=studies.parent) for option, words in commands.items()}


@pytest.mark.parametrize("options", OPTIONS)
def test_no_trace_of_the_patient(studies: Path, said: dict[str, str], options: str) -> None:
    out = studies.parent / f"out{options}"
    objects = {out / name for name in ("sr", "gsps", "sc", "pdf", "fhir")} if options == BY_UID else set()
    files = [file for file in out.rglob("*") if file.is_file() and file.parent not in objects]
    assert {file.suffix for file in files} >= {".csv", ".json", ".png", ".svg", ".parquet", ".sqlite"}
    traces = [MARK, MARK.upper(), MARK.encode().hex(), "19470823"]
    # a person has to find what has no readable UID, so it is called by its place below the folder that was named
    folder = f"{MARK}^Anna 19470823"
    without_uid = [] if options == DEIDENTIFIED else [f"{folder}/{MARK} text.dcm", f"{folder}/{MARK} link.dcm"]
    texts = [said[options], *(str(file.relative_to(out)) for file in out.rglob("*"))]
    texts += [file.read_bytes().decode("latin-1") for file in files]
    texts.append(str(pyarrow.parquet.read_table(out / "landmarks.parquet").to_pylist()))
    for text in texts:
        for name in without_uid:
            # the ledger has the name that its results would have, too
            text = text.replace(name, "").replace(name.partition("/")[2], "")
        for trace in traces:
            assert trace not in text, text[max(0, text.find(trace) - 200) :][:400]
    # the films are called by something all the same
    lines = (out / "errors.csv").read_text().splitlines()
    key = names.key_of(studies.resolve() / f"{MARK}^Anna 19470823" / f"{MARK} text.dcm")
    name = f"path-{key[:12]}" if options == DEIDENTIFIED else without_uid[0]
    assert f"{name},unreadable: not a DICOM file." in lines
    assert len(list((out / "sr").iterdir())) == 3
    if options == BY_UID:
        assert "1.2.826.0.1.99.2,unreadable: Modality CT is not a radiograph." in lines
