"""Audit messages in XML (DICOM PS3.15 A.5): the schema of A.5.1, and the kinds of A.5.3 that a node has to tell."""

from __future__ import annotations

import base64
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

__all__ = [
    "WITHHELD",
    "Alert",
    "AuditSource",
    "Instance",
    "Party",
    "activity",
    "alert",
    "login_failed",
    "this_process",
    "transferred",
]

# PS3.16 CID 400 to 404, with the meanings as originalText
_CODES = {
    "110100": "Application Activity",
    "110104": "DICOM Instances Transferred",
    "110113": "Security Alert",
    "110114": "User Authentication",
    "110120": "Application Start",
    "110121": "Application Stop",
    "110122": "Login",
    "110126": "Node Authentication",
    "110132": "Use of Restricted Function",
    "110133": "Audit Recording Stopped",
    "110150": "Application",
    "110152": "Destination Role ID",
    "110153": "Source Role ID",
    "110180": "Study Instance UID",
    "110182": "Node ID",
}
_APPLICATION, _DESTINATION, _SOURCE = "110150", "110152", "110153"
_LONGEST = 1024
# what XML 1.0 cannot contain
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
WITHHELD = "withheld"
"""Stands for what the configuration keeps out of the audit; the schema wants a value."""


@dataclass(frozen=True)
class AuditSource:
    """Who reports: the node's name, and the site that it belongs to."""

    name: str
    site: str | None = None


@dataclass(frozen=True)
class Party:
    """Somebody who takes part (A.5.2.1 to A.5.2.4).

    Attributes:
        user: user or process.
        titles: AE titles, if it is an application entity.
        address: IP address or host name, empty if unknown.
        requests: it began what happened.
    """

    user: str
    titles: tuple[str, ...] = ()
    address: str = ""
    requests: bool = False


@dataclass(frozen=True)
class Instance:
    """An object that was transferred. ``patient`` and ``name`` may be :data:`WITHHELD`."""

    study: str
    sop_class: str
    uid: str
    patient: str
    name: str = WITHHELD
    accession: str = ""


@dataclass(frozen=True)
class Alert:
    """What an alert is about: a code of CID 403, the address that it concerns, and a description."""

    code: str
    address: str
    text: str
    # the node was protected (A.5.3.11)
    outcome: str = "4"


def this_process(ae_title: str, requests: bool = False) -> Party:
    """Return the node itself."""
    return Party(str(os.getpid()), (ae_title,), socket.gethostname(), requests)


def activity(moment: datetime, source: AuditSource, node: Party, starts: bool) -> bytes:
    """Return the message that the node started or stopped (A.5.3.1)."""
    message = _message(moment, "110100", "110120" if starts else "110121", "E", "0")
    _party(message, node, _APPLICATION)
    return _finished(message, source)


def transferred(
    moment: datetime, source: AuditSource, sender: Party, receiver: Party, instance: Instance, action: str
) -> bytes:
    """Return the message that an object arrived or was sent (A.5.3.7).

    Args:
        moment: when, with its zone.
        source: who reports.
        sender: sent it.
        receiver: received it.
        instance: the object.
        action: C if the receiver did not have it, R if it had, or if that is not known.
    """
    message = _message(moment, "110104", None, action, "0")
    _party(message, sender, _SOURCE)
    _party(message, receiver, _DESTINATION)
    study = _object(instance.study, "2", "3", ("110180", "DCM"), "study")
    description = SubElement(study, "ParticipantObjectDescription")
    if instance.accession:
        SubElement(description, "Accession", Number=_clean(instance.accession))
    kind = SubElement(description, "SOPClass", UID=_clean(instance.sop_class), NumberOfInstances="1")
    SubElement(kind, "Instance", UID=_clean(instance.uid))
    patient = _object(instance.patient, "1", "1", ("2", "RFC-3881"), instance.name)
    return _finished(message, source, study, patient)


def login_failed(moment: datetime, source: AuditSource, user: Party, node: Party) -> bytes:
    """Return the message that a login with HTTP failed (A.5.3.12)."""
    message = _message(moment, "110114", "110122", "E", "4")
    _party(message, user)
    _party(message, node)
    return _finished(message, source)


def alert(moment: datetime, source: AuditSource, node: Party, others: Sequence[Party], what: Alert) -> bytes:
    """Return a security alert (A.5.3.11)."""
    message = _message(moment, "110113", what.code, "E", what.outcome)
    _party(message, node)
    for each in others:
        _party(message, each)
    subject = _object(what.address or node.address, "2", "13", ("110182", "DCM"), what.address or node.address)
    text = base64.b64encode(_clean(what.text).encode()).decode()
    SubElement(subject, "ParticipantObjectDetail", type="Alert Description", value=text)
    return _finished(message, source, subject)


def _message(moment: datetime, event: str, kind: str | None, action: str, outcome: str) -> Element:
    message = Element("AuditMessage")
    values = {"EventActionCode": action, "EventDateTime": moment.isoformat(timespec="milliseconds")}
    head = SubElement(message, "EventIdentification", {**values, "EventOutcomeIndicator": outcome})
    _code(head, "EventID", event)
    if kind is not None:
        _code(head, "EventTypeCode", kind)
    return message


def _party(message: Element, party: Party, role: str | None = None) -> None:
    values = {"UserID": _clean(party.user) or "unknown", "UserIsRequestor": str(party.requests).lower()}
    if party.titles:
        values["AlternativeUserID"] = _clean(f"AETITLES={';'.join(party.titles)}")
    if party.address:
        values["NetworkAccessPointID"] = _clean(party.address)
        values["NetworkAccessPointTypeCode"] = "2" if _is_ip(party.address) else "1"
    element = SubElement(message, "ActiveParticipant", values)
    if role is not None:
        _code(element, "RoleIDCode", role)


def _object(identity: str, kind: str, role: str, code: tuple[str, str], name: str) -> Element:
    values = {"ParticipantObjectTypeCode": kind, "ParticipantObjectTypeCodeRole": role}
    element = Element("ParticipantObjectIdentification", {"ParticipantObjectID": _clean(identity), **values})
    meaning = _CODES.get(code[0], "Patient Number")
    SubElement(
        element,
        "ParticipantObjectIDTypeCode",
        {"csd-code": code[0], "codeSystemName": code[1], "originalText": meaning},
    )
    SubElement(element, "ParticipantObjectName").text = _clean(name)
    return element


def _code(parent: Element, name: str, code: str) -> None:
    SubElement(parent, name, {"csd-code": code, "codeSystemName": "DCM", "originalText": _CODES[code]})


def _finished(message: Element, source: AuditSource, *objects: Element) -> bytes:
    """Add the source and the objects, which follow all parties in the schema."""
    values = {"AuditSourceID": _clean(source.name)}
    if source.site is not None:
        values["AuditEnterpriseSiteID"] = _clean(source.site)
    # 4: an application server
    SubElement(SubElement(message, "AuditSourceIdentification", values), "AuditSourceTypeCode", {"csd-code": "4"})
    message.extend(objects)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + tostring(message, encoding="unicode").encode()


def _clean(text: str) -> str:
    """Return a text from outside as XML can hold it."""
    return _NOT_XML.sub("\ufffd", text)[:_LONGEST]


def _is_ip(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True
