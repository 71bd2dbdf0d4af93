"""Lookup tables of a DICOM header: those of the Modality LUT and the VOI LUT Sequence (PS3.3 C.11.1 and C.11.2).

The tables are applied here and not by pydicom, which counts the entries of a VOI LUT in bytes where its values are
bytes, and refuses a Modality LUT whose values have 12 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from monai_ceph.readers.dicom_elements import given

__all__ = ["LookupTable", "LutFault", "lookup_table"]

LutFault = Literal["empty", "damaged", "constant"]
"""What is wrong with a table: no descriptor or no data; a contradiction between both; the same value throughout."""


@dataclass(frozen=True)
class LookupTable:
    """A lookup table.

    Attributes:
        first: the input value of the first entry. Lower values get the first entry, values above the last one the last.
        bits: of an entry.
        values: the entries, uint16.
    """

    first: int
    bits: int
    values: np.ndarray

    @property
    def highest(self) -> float:
        """The highest value that the bits of an entry allow."""
        return 2.0**self.bits - 1

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """Return the values of the table for integers of any shape."""
        ends = np.iinfo(pixels.dtype)
        last = self.first + len(self.values) - 1
        low, high = (min(max(end, int(ends.min)), int(ends.max)) for end in (self.first, last))
        index = np.clip(pixels, low, high).astype(np.int32)
        index -= self.first
        return self.values[np.clip(index, 0, len(self.values) - 1, out=index)]


def lookup_table(dataset: Any, name: str) -> tuple[LookupTable | None, LutFault | None]:
    """Return the first table of a sequence that can be used, and what is wrong with those before it, if anything.

    Args:
        dataset: what holds the sequence: a header or an item of a functional group.
        name: ``ModalityLUTSequence`` or ``VOILUTSequence``, with one item or more.

    Returns:
        The table, None if there is none. The fault of the first other item, None if there is none before the table;
        "damaged" before all others if no table can be used.
    """
    faults: list[LutFault] = []
    try:
        # a file in big endian has the words of its tables in that order
        big_endian = dataset.original_encoding[1] is False
        items = dataset[name].value
        if isinstance(items, (str, bytes)):
            return None, "damaged"
        for item in items:
            found = _parsed(item, big_endian)
            if isinstance(found, LookupTable):
                return found, next(iter(faults), None)
            faults.append(found)
    except Exception:  # converters document none of their exceptions
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
    # 0 stands for 65536, and a signed descriptor has more than 32767 as a negative number
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
