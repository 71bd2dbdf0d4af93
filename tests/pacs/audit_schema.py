"""The structure that PS3.15 A.5.1.1 gives an audit message, as a check: children in order, attributes, and values."""

from __future__ import annotations

import base64
from datetime import datetime
from xml.etree.ElementTree import Element

from pydicom.sr._concepts_dict import concepts

_CODED = ({"csd-code", "codeSystemName", "originalText"}, {"displayName"}, [])
# required and optional attributes, and the children in their order: name, least, most
_ANY = 10**6
_ELEMENTS: dict[str, tuple[set[str], set[str], list[tuple[str, int, int]]]] = {
    "AuditMessage": (
        set(),
        set(),
        [
            ("EventIdentification", 1, 1),
            ("ActiveParticipant", 1, _ANY),
            ("AuditSourceIdentification", 1, 1),
            ("ParticipantObjectIdentification", 0, _ANY),
        ],
    ),
    "EventIdentification": (
        {"EventDateTime", "EventOutcomeIndicator"},
        {"EventActionCode"},
        [("EventID", 1, 1), ("EventTypeCode", 0, _ANY), ("EventOutcomeDescription", 0, 1)],
    ),
    "EventID": _CODED,
    "EventTypeCode": _CODED,
    "ActiveParticipant": (
        {"UserID", "UserIsRequestor"},
        {"AlternativeUserID", "UserName", "NetworkAccessPointID", "NetworkAccessPointTypeCode"},
        [("RoleIDCode", 0, _ANY), ("MediaIdentifier", 0, 1)],
    ),
    "RoleIDCode": _CODED,
    "AuditSourceIdentification": ({"AuditSourceID"}, {"AuditEnterpriseSiteID"}, [("AuditSourceTypeCode", 0, _ANY)]),
    "AuditSourceTypeCode": ({"csd-code"}, {"codeSystemName", "displayName", "originalText"}, []),
    "ParticipantObjectIdentification": (
        {"ParticipantObjectID"},
        {
            "ParticipantObjectTypeCode",
            "ParticipantObjectTypeCodeRole",
            "ParticipantObjectDataLifeCycle",
            "ParticipantObjectSensitivity",
        },
        [
            ("ParticipantObjectIDTypeCode", 1, 1),
            # the schema also allows a query in its place, which a node never has
            ("ParticipantObjectName", 1, 1),
            ("ParticipantObjectDetail", 0, _ANY),
            ("ParticipantObjectDescription", 0, _ANY),
        ],
    ),
    "ParticipantObjectIDTypeCode": _CODED,
    "ParticipantObjectName": (set(), set(), []),
    "ParticipantObjectDetail": ({"type", "value"}, set(), []),
    "ParticipantObjectDescription": (
        set(),
        set(),
        [("MPPS", 0, _ANY), ("Accession", 0, _ANY), ("SOPClass", 0, _ANY), ("ParticipantObjectContainsStudy", 0, 1)],
    ),
    "Accession": ({"Number"}, set(), []),
    "SOPClass": ({"NumberOfInstances"}, {"UID"}, [("Instance", 0, _ANY)]),
    "Instance": ({"UID"}, set(), []),
}
_VALUES = {
    "EventActionCode": set("CRUDE"),
    "EventOutcomeIndicator": {"0", "4", "8", "12"},
    "UserIsRequestor": {"true", "false"},
    "NetworkAccessPointTypeCode": set("12345"),
    "ParticipantObjectTypeCode": set("1234"),
    "ParticipantObjectTypeCodeRole": {str(number) for number in range(1, 27)},
}


def _meanings() -> dict[str, str]:
    """Return the meaning of every DCM code that pydicom knows."""
    found = {}
    for codes in concepts["DCM"].values():
        found.update({code: meaning for code, (meaning, _) in codes.items()})
    return found


DCM = _meanings()


def check(element: Element) -> None:
    """Fail if an element is not as the schema wants it."""
    required, optional, children = _ELEMENTS[element.tag]
    assert required <= element.attrib.keys() <= required | optional, (element.tag, element.attrib)
    for name, value in element.attrib.items():
        assert value in _VALUES.get(name, {value}), (element.tag, name, value)
    rest = [child.tag for child in element]
    for name, least, most in children:
        count = 0
        while rest and rest[0] == name:
            count, rest = count + 1, rest[1:]
        assert least <= count <= most, (element.tag, name, count)
    assert rest == [], (element.tag, rest)
    if (moment := element.get("EventDateTime")) is not None:
        assert datetime.fromisoformat(moment).tzinfo is not None
    if element.tag == "ParticipantObjectDetail":
        base64.b64decode(element.attrib["value"], validate=True)
    if element.get("codeSystemName") == "DCM":
        assert DCM[element.attrib["csd-code"]] == element.attrib["originalText"]
    for child in element:
        check(child)
    if element.tag == "AuditMessage":
        # A.5.2: at most one of them began it
        assert sum(each.attrib["UserIsRequestor"] == "true" for each in element.iter("ActiveParticipant")) <= 1
