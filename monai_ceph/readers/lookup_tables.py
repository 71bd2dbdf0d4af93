"""The lookup tables in Modality LUT and VOI LUT Sequences (PS3.3 C.11.1 and C.11.2).

pydicom is not used to apply them: it counts the entries of a VOI LUT with 8-bit values in bytes, and refuses a Modality
LUT with 12-bit values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monai_ceph.readers.dicom_elements import given

__all__ = ["LookupTable", "LutFault", "lookup_table"]

LutFault = Literal["empty", "damaged", "constant"]
"""What is wrong with a table: no descriptor or data; a descriptor that contradicts the data; one value throughout."""


@dataclass(frozen=True)
class LookupTable:
    """A lookup table.

    Attributes:
        first: the input value of the first entry. Lower inputs get the first entry, higher ones the last entry.
        bits: bits per entry, 1 to 16.
        values: the entries, uint16.
    """

    first: int
    bits: int
    values: np.ndarray

    @property
    def highest(self) -> float:
        """The highest value that `bits` allows."""
        return 2.0**self.bits - 1

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return the entries for integer inputs, in an array of the same shape."""
        ends = np.iinfo(pixels.dtype)
        last = self.first + len(self.values) - 1
        low, high = (min(max(end, int(ends.min)), int(ends.max)) for end in (self.first, last))
        index = np.clip(pixels, low, high).astype(np.int32)
        index -= self.first
        return self.values[np.clip(index, 0, len(self.values) - 1, out=index)]


def lookup_table(dataset: Any, name: str) -> tuple[LookupTable | None, LutFault | None]:
    """Return the first usable table of a sequence, and what is wrong with the items before it.

    Args:
        dataset: the data set with the sequence: a header, or an item of a functional group.
        name: ``ModalityLUTSequence`` or ``VOILUTSequence``, with at least one item.

    Returns:
        The table, or None if no item is usable. The fault of the first unusable item, or None if the first item is the
        table. If no item is usable and any is damaged, the fault is "damaged".
    """
    faults: list[LutFault] = []
    try:
        # LUT data in a big-endian file are big-endian words
        big_endian = dataset.original_encoding[1] is False
        items = dataset[name].value
        if isinstance(items, (str, bytes)):
            return None, "damaged"
        for item in items:
            found = _parsed(item, big_endian)
            if isinstance(found, LookupTable):
                return found, next(iter(faults), None)
            faults.append(found)
    except Exception:  # pydicom's converters document none of their exceptions
        return None, "damaged"
    return None, "damaged" if "damaged" in faults else next(iter(faults), None)


def _parsed(item: Any, big_endian: bool) -> LookupTable | LutFault:
    if not given(item, "LUTDescriptor") or not given(item, "LUTData"):
        return "empty"
    try:
        entries, first, bits = (int(value) for value in item.LUTDescriptor)
        data = item.LUTData
    except Exception:
        return "damaged"
    if not 1 <= bits <= 16:
        return "damaged"
    # 0 means 65536 (PS3.3 C.11.1.1.1), and a signed descriptor shows more than 32767 as a negative number
    entries = entries % 2**16 or 2**16
    if isinstance(data, bytes):
        packed = bits <= 8 and len(data) < 2 * entries  # two entries to a word
        values = np.frombuffer(data[: len(data) // 2 * 2], np.uint8 if packed else ">u2" if big_endian else "<u2")
    else:
        values = np.atleast_1d(np.asarray(data))
    if len(values) < entries or values.dtype.kind not in "iu":
        return "damaged"
    values = values[:entries].astype(np.uint16)
    return LookupTable(first, bits, values) if (values != values[0]).any() else "constant"
