"""The header of a DICOM film: the attributes that results refer to and inherit, cleaned so that objects are valid.

Files from clinics may lack mandatory attributes, declare the wrong character set, or hold values that their VR does not
allow. Here text becomes Unicode, and elements that cannot be read are left out. Only the four UIDs that a reference to
an image needs are required.
"""

from __future__ import annotations

import io
import re
from contextlib import suppress
from copy import deepcopy
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

from pydicom import DataElement, Dataset, config, dcmread
from pydicom.charset import convert_encodings, decode_bytes, default_encoding, encode_string, python_encoding
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

from monai_ceph.errors import CephError
from monai_ceph.readers.dicom import has_preamble, looks_like_dicom
from monai_ceph.readers.dicom_elements import first_value, positive_number
from monai_ceph.readers.files import buffered
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = [
    "INHERITED",
    "TEXT_VRS",
    "UTF_8",
    "FilmResult",
    "header_warnings",
    "image_reference",
    "in_character_set",
    "inherited",
    "source_header",
]

UTF_8 = "ISO_IR 192"
TEXT_VRS = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
"""VRs whose characters SpecificCharacterSet names (PS3.5 section 6.1.2.2)."""
_ESCAPE = b"\x1b"
_HEAD = 132

_MANDATORY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
INHERITED = (
    *_MANDATORY,
    *("IssuerOfPatientID", "StudyDescription", "TimezoneOffsetFromUTC"),
    *("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    "LongitudinalTemporalInformationModified",
)
"""Attributes of the patient and the study that a result inherits from its film; no others are copied."""

_UIDS = {
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
    "StudyInstanceUID": "Study Instance UID",
}
# PS3.5 section 9.1, but with leading zeros: they are forbidden, and many films have them
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LEADING_ZERO = re.compile(r"(^|\.)0[0-9]")
_LONGEST_UID = 64
_NO_CHARACTER_SET = (
    "The film has text beyond ASCII and declares no character set: names and descriptions were copied byte by byte."
)
_WRONG_CHARACTERS = (
    "The film's text is not in the character set that it declares: names and descriptions were copied byte by byte."
)
_TERMS = {
    "PatientSex": {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"},
    "PatientIdentityRemoved": {"YES": "YES", "NO": "NO"},
    "LongitudinalTemporalInformationModified": {name: name for name in ("UNMODIFIED", "MODIFIED", "REMOVED")},
}


class FilmResult(Protocol):
    """Common attributes of a detection and of a review by a person, which must match the header of the film."""

    @property
    def file(self) -> str:
        """The film, for messages."""

    @property
    def frame(self) -> int | None:
        """Frame number, if the film has several."""

    @property
    def image_uid(self) -> str | None:
        """SOP Instance UID of the film, None if it is not known."""

    @property
    def rows(self) -> int:
        """Rows of the film."""

    @property
    def columns(self) -> int:
        """Columns of the film."""

    @property
    def created(self) -> datetime:
        """Time of the detection or the review, with a time zone."""


def source_header(path: Path, opened: io.FileIO | None = None) -> Dataset:
    """Read the header of a DICOM film, without its pixels, as Unicode text.

    Text of :data:`INHERITED` that is not in the film's character set, or that has none, stays bytes with the VR OB. The
    SOP Class and Instance UID come from the file meta information where the data set has none. Elements that cannot be
    read are left out.

    Args:
        path: the film.
        opened: the same file, if it is open already. It stays open.

    Raises:
        CephError: the file is no DICOM file, or cannot be read.
    """
    try:
        with quiet(), buffered(path, opened) as file:
            head = file.read(_HEAD)
            if not (has_preamble(head) or looks_like_dicom(head)):
                raise CephError(f"{path}: not a DICOM file, so no DICOM object can refer to it.")
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, force=True)
            character_set = _keep_bytes(dataset)
            _convert(dataset)
    except CephError:
        raise
    except Exception as error:
        # parsers document few of their exceptions, and some quote patient names
        raise CephError(f"{path}: the DICOM header cannot be read ({type(error).__name__}).") from error
    if character_set is not None:
        dataset.SpecificCharacterSet = character_set
    for name in ("SOPClassUID", "SOPInstanceUID"):
        if not dataset.get(name) and (uid := dataset.file_meta.get(f"MediaStorage{name}")):
            setattr(dataset, name, uid)
    return dataset


def _keep_bytes(dataset: Dataset) -> str | list[str] | None:
    """Keep inherited text as bytes, with VR OB, if it is not in the character set that the film declares.

    A name of a few bytes may be Shift-JIS, EUC-KR or Latin-1, so no character set is guessed.

    Returns:
        The character set for the header; None to keep the declared one, because some text does not fit it.
    """
    declared = dataset.get("SpecificCharacterSet") or ""
    names = [str(name).strip() for name in (declared if isinstance(declared, (list, MultiValue)) else [declared])]
    known = all(name in python_encoding for name in names)
    encodings = convert_encodings([name if name in python_encoding else "" for name in names])
    raw = {
        name: value
        for name in INHERITED
        if dictionary_VR(name) in TEXT_VRS
        and name in dataset
        and isinstance(value := dataset.get_item(name).value, bytes)
        and (not value.isascii() or _ESCAPE in value)
    }
    if known and all(_readable(value, dictionary_VR(name), encodings) for name, value in raw.items()):
        return names if any(names) else UTF_8
    for name, value in raw.items():
        dataset[name] = DataElement(name, "OB", value)
    return None if raw else UTF_8


def _readable(raw: bytes, vr: str, encodings: list[str]) -> bool:
    """True if bytes are text in a character set. Python takes more for Latin-1 than DICOM, such as bytes 80 to 9F."""
    if encodings[0] == default_encoding and not raw.split(_ESCAPE)[0].isascii():
        return False  # it is ASCII until the first escape sequence
    text = str(PersonName(raw, encodings)) if vr == "PN" else decode_bytes(raw, encodings, TEXT_VR_DELIMS)
    if "\ufffd" in text or "\x1b" in text or not all(sign.isascii() or sign.isprintable() for sign in text):
        return False
    return in_character_set(text, encodings)


def in_character_set(text: str, encodings: list[str]) -> bool:
    """True if text can be encoded in a character set, given as Python's encodings of it."""
    try:
        return decode_bytes(encode_string(text, encodings), encodings, set()) == text
    except UnicodeError:
        return False


def _convert(dataset: Dataset) -> None:
    """Turn bytes into values at every depth, and remove elements that cannot be converted."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            for item in element.value if element.VR == "SQ" else ():
                _convert(item)
        except Exception:
            del dataset[tag]


def inherited(source: Dataset) -> Dataset:
    """Return valid values of the attributes in :data:`INHERITED` (PS3.3 C.7.1.1 and C.7.2.1).

    Mandatory attributes that are absent or invalid are empty; others are left out. Dates like 1980.02.29 and sexes like
    f are corrected. Bytes in an unknown character set stay bytes, with the VR OB. Identifiers that are too long are
    kept whole, because a shortened one may be that of another patient.
    """
    cleaned = Dataset()
    value: Any
    for name in INHERITED:
        vr, found = dictionary_VR(name), source.get(name)
        if isinstance(found, bytes):
            vr, value = "OB", found  # text in an unknown character set
        elif vr == "SQ":
            value = deepcopy(found) or None
        else:
            value = _cleaned(name, vr, first_value(source, name))
        if value or name in _MANDATORY:
            cleaned.add(DataElement(name, vr, value, validation_mode=config.IGNORE))
    if "DeidentificationMethod" not in cleaned and "DeidentificationMethodCodeSequence" not in cleaned:
        # invalid without its method
        cleaned.pop("PatientIdentityRemoved", None)
    return cleaned


def _cleaned(name: str, vr: str, value: Any) -> str | PersonName:
    text = "".join(character for character in str(value or "") if character.isprintable()).strip()
    if name in _TERMS:
        return _TERMS[name].get(text.upper(), "")
    if name == "TimezoneOffsetFromUTC":
        return text if re.fullmatch(r"[+-](0\d|1[0-4])[0-5]\d", text) else ""
    if vr == "DA":
        return _valid_date(text)
    if vr == "TM":
        digits = text.replace(":", "")
        return digits if re.fullmatch(r"([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?", digits) else ""
    return PersonName(text) if vr == "PN" else text


def _valid_date(text: str) -> str:
    digits = re.sub(r"[.\-/]", "", text)
    with suppress(ValueError):
        if re.fullmatch(r"\d{8}", digits, re.ASCII):
            date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
            return digits
    return ""


def header_warnings(source: Dataset) -> tuple[str, ...]:
    """Return warnings about invalid values that were copied as they are; no value is quoted."""
    found = []
    if any(isinstance(source.get(name), bytes) for name in INHERITED):
        found.append(_WRONG_CHARACTERS if source.get("SpecificCharacterSet") else _NO_CHARACTER_SET)
    uids = [str(first_value(source, name) or "") for name in _UIDS]
    if any(_LEADING_ZERO.search(uid) for uid in uids if _UID.fullmatch(uid)):
        found.append("A UID of the film has a leading zero, which DICOM does not allow: it was copied as it is.")
    return tuple(found)


def image_reference(source: Dataset, detection: FilmResult) -> Dataset:
    """Return the UIDs, rows and columns that a DICOM object needs to refer to the film, and no patient data.

    Raises:
        CephError: the film has no valid UIDs, is not the film of the detection, or lacks its frame.
    """
    reference = Dataset()
    for name, title in _UIDS.items():
        uid = UID(str(first_value(source, name) or ""), config.IGNORE)
        if len(uid) > _LONGEST_UID or not _UID.fullmatch(uid):
            state = f"has an invalid {title}" if uid else f"has no {title}"
            raise CephError(f"{detection.file}: no DICOM object can refer to the film, it {state}.")
        setattr(reference, name, uid)
    if detection.image_uid not in (None, str(reference.SOPInstanceUID)):
        raise CephError(
            f"{detection.file}: the header belongs to image {reference.SOPInstanceUID}, "
            f"the detection to {detection.image_uid}."
        )
    for name, count in (("Rows", detection.rows), ("Columns", detection.columns)):
        if source.get(name) not in (None, count):
            raise CephError(
                f"{detection.file}: the header says {name} {source.get(name)}, the detection {count}: "
                "they belong to different films."
            )
        setattr(reference, name, count)
    frames = positive_number(source, "NumberOfFrames")
    if not 1 <= (detection.frame or (1 if frames == 1 else 0)) <= frames:
        named = "names none" if detection.frame is None else f"is of frame {detection.frame}"
        raise CephError(f"{detection.file}: the film has {frames} frames, the detection {named}.")
    for name in _MANDATORY:
        setattr(reference, name, None)
    return reference
