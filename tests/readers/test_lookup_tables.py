"""Modality and VOI LUTs as found in files: empty, damaged, constant, short, of any size and depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from reader_films import GREY12, dicom, refuses, same, save

from monai_ceph.readers import read_radiograph

BOTH = ["ModalityLUTSequence", "VOILUTSequence"]
TITLES = {"ModalityLUTSequence": "Modality LUT", "VOILUTSequence": "VOI LUT"}
SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
CURVE = (np.arange(4096) ** 2 // 4096).astype(np.uint16)


def item(descriptor: Any = (4096, 0, 16), data: Any = CURVE, vr: str = "OW", order: str = "<") -> Dataset:
    """A LUT item; None makes an attribute empty, "absent" leaves it out."""
    table = Dataset()
    if isinstance(data, np.ndarray):
        data = data.astype(f"{order}u2").tobytes() if vr == "OW" else data.tolist()
    for name, its_vr, value in (("LUTDescriptor", "US", descriptor), ("LUTData", vr, data)):
        if not (isinstance(value, str) and value == "absent"):
            table.add_new(name, its_vr, list(value) if isinstance(value, tuple) else value)
    return table


def written(path: Path, name: str, *items: Dataset, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> Path:
    stored = elements.pop("stored", GREY12)
    if syntax == ExplicitVRBigEndian:
        stored = stored.astype(stored.dtype.newbyteorder(">"))
    return save(dicom(stored, 12, syntax, **{name: Sequence(items)}, **elements), path / "a.dcm")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "table",
    [
        {"descriptor": None},
        {"data": None},
        {"descriptor": None, "data": None},
        {"descriptor": "absent", "data": "absent"},
        {"data": "absent"},
        {"data": b""},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", BOTH)
def test_empty_lut_is_skipped(tmp_path: Path, name: str, table: dict[str, Any], syntax: str) -> None:
    path = written(tmp_path, name, item(**table), syntax=syntax, RescaleSlope="2", RescaleIntercept="-7")
    same(path, GREY12 * 2.0 - 7)
    assert read_radiograph(path).warnings == (f"The {TITLES[name]} is empty and was not applied.",)


@pytest.mark.parametrize("value", [0, 1000])
@pytest.mark.parametrize("name", BOTH)
def test_constant_lut_is_skipped(tmp_path: Path, name: str, value: int) -> None:
    window = {"WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"}
    path = written(tmp_path, name, item(data=np.full(4096, value)), **window)
    same(path, 4095 / (1 + np.exp(-4 * (GREY12.astype(float) - 2000) / 1500)), atol=0.01)
    assert read_radiograph(path).warnings == (
        f"The {TITLES[name]} gives every pixel the same value and was not applied.",
    )


@pytest.mark.parametrize("name", BOTH)
def test_lut_outside_the_range_of_the_film_is_skipped(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, item((4096, 5000, 16)))
    same(path, GREY12)
    assert read_radiograph(path).warnings == (
        f"The {TITLES[name]} gives every pixel the same value and was not applied.",
    )


def test_a_constant_film_stays_constant(tmp_path: Path) -> None:
    path = written(tmp_path, "VOILUTSequence", item(), stored=np.full((20, 20), 2000, np.uint16))
    same(path, np.full((20, 20), CURVE[2000]))
    assert read_radiograph(path).warnings == ()


@pytest.mark.parametrize(
    "table",
    [
        {"data": CURVE[:-1]},
        {"data": CURVE[:-1], "vr": "US"},
        {"data": b"\1\2"},
        {"descriptor": (0, 0, 16)},
        {"descriptor": (4096, 0, 0)},
        {"descriptor": (4096, 0, 17)},
        {"descriptor": (4096, 0)},
        {"descriptor": 4096},
        # half the bytes that entries of more than 8 bits need
        {"data": CURVE[:2048], "descriptor": (4096, 0, 12)},
    ],
    ids=lambda table: " ".join(f"{key} {len(value) if key == 'data' else value}" for key, value in table.items()),
)
def test_a_damaged_table(tmp_path: Path, table: dict[str, Any]) -> None:
    path = written(tmp_path, "VOILUTSequence", item(**table))
    same(path, GREY12)
    assert read_radiograph(path).warnings == ("The VOI LUT is damaged and was not applied.",)
    # without the Modality LUT, the values mean nothing
    path = written(tmp_path, "ModalityLUTSequence", item(**table))
    refuses(path, "damaged DICOM header: the Modality LUT cannot be applied")


def test_with_a_damaged_voi_lut_the_window_is_used(tmp_path: Path) -> None:
    window = {"WindowCenter": "2000", "WindowWidth": "1500", "VOILUTFunction": "SIGMOID"}
    path = written(tmp_path, "VOILUTSequence", item((4096, 0, 17)), **window)
    same(path, 4095 / (1 + np.exp(-4 * (GREY12.astype(float) - 2000) / 1500)), atol=0.01)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({"data": None}, "is empty"),
        ({"descriptor": (4096, 0, 17)}, "is damaged"),
        ({"data": np.zeros(4096)}, "gives every pixel the same value"),
    ],
)
@pytest.mark.parametrize("name", BOTH)
def test_first_usable_item_is_used(tmp_path: Path, name: str, first: dict[str, Any], words: str, syntax: str) -> None:
    good = item(order=">" if syntax == ExplicitVRBigEndian else "<")
    path = written(tmp_path, name, item(**first), good, item(data=CURVE[::-1]), syntax=syntax)
    same(path, CURVE[GREY12])
    assert read_radiograph(path).warnings == (f"The first {TITLES[name]} {words}; the next one was applied.",)


@pytest.mark.parametrize("vr", ["OW", "US"])
@pytest.mark.parametrize("name", BOTH)
def test_0_entries_are_65536(tmp_path: Path, name: str, vr: str) -> None:
    table = (np.arange(65536) * 7919 % 65536).astype(np.uint16)
    same(written(tmp_path, name, item((0, 0, 16), table, vr)), table[GREY12])
    # longer than its descriptor says
    same(written(tmp_path, name, item((4096, 0, 16), table, vr)), table[GREY12])


@pytest.mark.parametrize("bits", [1, 8, 9, 12, 16])
@pytest.mark.parametrize("name", BOTH)
def test_every_depth(tmp_path: Path, name: str, bits: int) -> None:
    # with 8 bits the table still has an entry for each of the 12 bits of the film
    table = np.arange(4096) >> (12 - bits) if bits < 12 else np.arange(4096) << (bits - 12)
    path = written(tmp_path, name, item((4096, 0, bits), table), PhotometricInterpretation="MONOCHROME1")
    same(path, 2**bits - 1 - table[GREY12])
    assert read_radiograph(path).warnings == ()


@pytest.mark.parametrize("name", BOTH)
def test_two_8_bit_entries_per_word(tmp_path: Path, name: str) -> None:
    table = (np.arange(4096) >> 4).astype(np.uint8)
    same(written(tmp_path, name, item((4096, 0, 8), table.tobytes())), table[GREY12])


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", BOTH)
def test_values_outside_the_table(tmp_path: Path, name: str, syntax: str) -> None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    table = item((1000, 500, 16), CURVE[1000:2000], order=order)
    same(written(tmp_path, name, table, syntax=syntax), CURVE[np.clip(GREY12.astype(int) - 500, 0, 999) + 1000])


@pytest.mark.parametrize("first", [-3000, -2048, -500])
@pytest.mark.parametrize("name", BOTH)
def test_signed_values(tmp_path: Path, name: str, first: int) -> None:
    stored = GREY12.astype(np.int16) - 2048
    table = item(data=CURVE)
    table.add_new("LUTDescriptor", "SS", [4096, first, 16])
    same(written(tmp_path, name, table, stored=stored), CURVE[np.clip(stored.astype(int) - first, 0, 4095)])


@pytest.mark.parametrize("name", BOTH)
def test_no_sequence(tmp_path: Path, name: str) -> None:
    dataset = dicom()
    dataset.add_new(name, "LO", "a text")
    path = save(dataset, tmp_path / "a.dcm")
    if name == "VOILUTSequence":
        same(path, GREY12)
        assert read_radiograph(path).warnings == ("The VOI LUT is damaged and was not applied.",)
    else:
        refuses(path, "damaged DICOM header: the Modality LUT cannot be applied")
