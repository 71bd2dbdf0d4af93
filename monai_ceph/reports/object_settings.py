"""What a clinic may set in the DICOM objects: procedure, body part, time zone, measurements, kind of SR.

They are a section of a node's configuration, and a YAML file for commands. The defaults need no setting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from datetime import timezone as utc_offset
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from monai_ceph.analysis import ANALYSES, DEFINITIONS
from monai_ceph.errors import CephError
from monai_ceph.landmarks import Code

__all__ = ["BODY_PARTS", "CEPHALOGRAM", "DEFAULT_SETTINGS", "BodyPart", "ObjectSettings", "load_object_settings"]

BodyPart = Literal["HEAD", "SKULL", "HEADNECK"]

BODY_PARTS: dict[str, Code] = {
    "HEAD": Code("69536005", "SCT", "Head"),
    "SKULL": Code("89546000", "SCT", "Skull"),
    "HEADNECK": Code("774007", "SCT", "Head and Neck"),
}
"""Terms of BodyPartExamined that hold a cephalogram, and their codes (PS3.16 annex L and context group 4031)."""

CEPHALOGRAM = Code("43787-1", "LN", "Cephalogram (XR skull, facial bones, mandible, to measure)")
"""LOINC: XR Skull and Facial bones and Mandible Views for dental measurement, which lists Cephalogram as another name.

The whole name is longer than the 64 characters of a code's meaning.
"""

_MOST_BYTES = 2**16
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
# PS3.3 C.12.1.1.8
_EARLIEST, _LATEST = timedelta(hours=-12), timedelta(hours=14)
_NAMES = {name.casefold() for name in (*ANALYSES, *(each.symbol for each in DEFINITIONS))}

_Measured = TypeVar("_Measured", bound=Any)


def _zone(value: str) -> str:
    try:
        offset = _fixed(value)
        if offset is None:
            ZoneInfo(value)
    except (OSError, ValueError) as error:
        # ZoneInfoNotFoundError is a KeyError, whose text is the name
        raise ValueError("not a time zone such as Europe/Berlin or +01:00") from error
    except KeyError as error:
        raise ValueError("not a time zone such as Europe/Berlin or +01:00") from error
    if offset is not None and not _EARLIEST <= offset <= _LATEST:
        raise ValueError("a time zone is -12:00 to +14:00 from UTC (PS3.3 C.12.1.1.8)")
    return value


def _fixed(value: str) -> timedelta | None:
    if (found := _OFFSET.fullmatch(value)) is None:
        return None
    if int(found[3]) > 59:
        raise ValueError
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -offset if found[1] == "-" else offset


def _measurement(value: str) -> str:
    if value.casefold() not in _NAMES:
        raise ValueError(f"no such measurement or analysis; analyses are {', '.join(ANALYSES)}")
    return value


_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\\\x00-\x1f]*$")]


class ProcedureCode(BaseModel):
    """The code of a procedure (PS3.3 8.8)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[_Text, Field(max_length=16)]
    scheme: Annotated[_Text, Field(max_length=16)]
    meaning: Annotated[_Text, Field(max_length=64)]


class ObjectSettings(BaseModel):
    """Settings of the DICOM objects of a film.

    Attributes:
        procedure: the procedure reported; None: :data:`CEPHALOGRAM`.
        body_part: what the film shows; None: what its header says if that is one of :data:`BODY_PARTS`, else HEAD.
        timezone: of the clinic, such as ``Europe/Berlin`` or ``+01:00``, for films that do not state their own. Without
            one, the times of their objects are in UTC and name no zone.
        measurements: which ones the SR has: ``all``, ``none``, or a list of symbols and analyses.
        sr_class: the SOP class of the SR: Comprehensive SR, or Comprehensive 3D SR, which IHE AI Results asks for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    procedure: ProcedureCode | None = None
    body_part: BodyPart | None = None
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    measurements: (
        Literal["all", "none"]
        | Annotated[tuple[Annotated[str, AfterValidator(_measurement)], ...], Field(min_length=1)]
    ) = "all"
    sr_class: Literal["comprehensive", "comprehensive-3d"] = "comprehensive"

    @property
    def reported(self) -> Code:
        """The code of the procedure reported."""
        given = self.procedure
        return CEPHALOGRAM if given is None else Code(given.code, given.scheme, given.meaning)

    @property
    def identity(self) -> tuple[str, ...]:
        """What these settings add to the UID of an object: nothing for the defaults."""
        changed = self.model_dump(exclude_defaults=True, mode="json")
        return (json.dumps(changed, sort_keys=True),) if changed else ()

    def part_of(self, header: object) -> tuple[str, Code]:
        """Return the term of the body part and its code, with what the film's header says."""
        stated = str(header or "").strip().upper()
        term = self.body_part or (stated if stated in BODY_PARTS else "HEAD")
        return term, BODY_PARTS[term]

    def wanted(self, measurements: Iterable[_Measured]) -> list[_Measured]:
        """Return those of a film's measurements that the SR has."""
        if isinstance(self.measurements, str):
            return list(measurements) if self.measurements == "all" else []
        names = {name.casefold() for name in self.measurements}
        symbols = {
            each.symbol
            for each in DEFINITIONS
            if each.symbol.casefold() in names or not names.isdisjoint(name.casefold() for name in each.analyses)
        }
        return [each for each in measurements if each.symbol in symbols]

    def offset_at(self, moment: datetime) -> tzinfo | None:
        """Return the clinic's offset from UTC at a time there; None if no zone is set.

        Args:
            moment: without a zone, a time on the clinic's clocks.
        """
        if self.timezone is None:
            return None
        fixed = _fixed(self.timezone)
        if fixed is None:
            zone = ZoneInfo(self.timezone)
            local = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)
            fixed = local.utcoffset() or timedelta()
        # DICOM has no seconds here; offsets had them before 1972
        return utc_offset(timedelta(minutes=round(fixed.total_seconds() / 60)))


DEFAULT_SETTINGS = ObjectSettings()


def load_object_settings(path: Path) -> ObjectSettings:
    """Read settings from a YAML file.

    Raises:
        CephError: the file cannot be read, or says something that cannot be set. Each mistake is on a line of its own.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise CephError(f"{path}: larger than {_MOST_BYTES // 1024} kB, too large for settings of DICOM objects")
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CephError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise CephError(f"{path}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise CephError(f"{path}: the file must consist of keys and values, such as timezone: Europe/Berlin")
    try:
        return ObjectSettings.model_validate({str(key): value for key, value in content.items()})
    except ValidationError as error:
        mistakes = [_sentence(item) for item in error.errors(include_url=False)]
        raise CephError("\n".join(f"{path}: {text}" for text in dict.fromkeys(mistakes))) from None


def _sentence(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"] if isinstance(part, int) or part in _KEYS)
    text = "no such key" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
    return f"{place or item['loc'][0]}: {text}"


_KEYS = {*ObjectSettings.model_fields, *ProcedureCode.model_fields}
