"""Every kind of audit message against the schema of PS3.15 A.5.1.1 and the tables of A.5.3."""

from __future__ import annotations

import base64
from datetime import datetime, timezone
from xml.etree.ElementTree import Element, fromstring

import pytest

pytest.importorskip("pynetdicom", reason="the extra pacs is not installed (make optional)")
from audit_schema import check

from monai_ceph.pacs.audit_messages import (
    WITHHELD,
    Alert,
    AuditSource,
    Instance,
    Party,
    activity,
    alert,
    login_failed,
    this_process,
    transferred,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, timezone.utc)
SOURCE = AuditSource("CEPH", "Clinic")
NODE, SENDER = this_process("CEPH"), Party("UNIT", ("UNIT",), "192.0.2.1", requests=True)
INSTANCE = Instance("1.2.3.1", "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.3", "4711", "Doe^Jane", "A1")
MESSAGES = {
    "start": activity(NOW, SOURCE, NODE, True),
    "stop": activity(NOW, SOURCE, NODE, False),
    "transferred": transferred(NOW, SOURCE, SENDER, NODE, INSTANCE, "C"),
    "login": login_failed(NOW, SOURCE, Party("jane", (), "192.0.2.1", True), NODE),
    "alert": alert(NOW, SOURCE, NODE, [Party("UNIT")], Alert("110126", "2001:db8::1", "why")),
}


def read(message: bytes) -> Element:
    assert message.startswith(b'<?xml version="1.0" encoding="UTF-8"?><AuditMessage>')
    return fromstring(message)


def codes(message: Element, path: str) -> list[str]:
    return [each.attrib["csd-code"] for each in message.findall(path)]


@pytest.mark.parametrize("kind", MESSAGES)
def test_every_kind_follows_the_schema(kind: str) -> None:
    message = read(MESSAGES[kind])
    check(message)
    head = message.find("EventIdentification")
    assert head is not None
    assert head.attrib["EventDateTime"] == "2026-01-02T03:04:05.678+00:00"
    source = message.find("AuditSourceIdentification")
    assert source is not None
    assert source.attrib == {"AuditSourceID": "CEPH", "AuditEnterpriseSiteID": "Clinic"}


@pytest.mark.parametrize(("kind", "code"), [("start", "110120"), ("stop", "110121")])
def test_application_activity(kind: str, code: str) -> None:
    message = read(MESSAGES[kind])
    assert codes(message, ".//EventID") == ["110100"]
    assert codes(message, ".//EventTypeCode") == [code]
    assert codes(message, "ActiveParticipant/RoleIDCode") == ["110150"]


def test_instances_transferred() -> None:
    message = read(MESSAGES["transferred"])
    assert codes(message, ".//EventID") == ["110104"]
    sender, receiver = message.findall("ActiveParticipant")
    assert codes(message, "ActiveParticipant/RoleIDCode") == ["110153", "110152"]
    assert sender.attrib == {
        "UserID": "UNIT",
        "AlternativeUserID": "AETITLES=UNIT",
        "UserIsRequestor": "true",
        "NetworkAccessPointID": "192.0.2.1",
        "NetworkAccessPointTypeCode": "2",
    }
    assert (receiver.attrib["AlternativeUserID"], receiver.attrib["NetworkAccessPointTypeCode"]) == (
        "AETITLES=CEPH",
        "1",
    )
    study, patient = message.findall("ParticipantObjectIdentification")
    assert codes(message, ".//ParticipantObjectIDTypeCode") == ["110180", "2"]
    assert (study.attrib["ParticipantObjectID"], study.attrib["ParticipantObjectTypeCode"]) == ("1.2.3.1", "2")
    assert study.attrib["ParticipantObjectTypeCodeRole"] == "3"
    (kind,) = study.iter("SOPClass")
    assert kind.attrib == {"UID": INSTANCE.sop_class, "NumberOfInstances": "1"}
    assert [each.attrib["UID"] for each in kind] == ["1.2.3.3"]
    assert [each.attrib["Number"] for each in study.iter("Accession")] == ["A1"]
    roles = patient.attrib["ParticipantObjectTypeCode"], patient.attrib["ParticipantObjectTypeCodeRole"]
    assert (patient.attrib["ParticipantObjectID"], *roles) == ("4711", "1", "1")
    assert patient.findtext("ParticipantObjectName") == "Doe^Jane"


def test_a_patient_can_be_withheld() -> None:
    hidden = Instance("1.2.3.1", INSTANCE.sop_class, "1.2.3.3", WITHHELD)
    message = transferred(NOW, SOURCE, SENDER, NODE, hidden, "R")
    check(read(message))
    assert message.count(b"withheld") == 2
    assert b"Accession" not in message


def test_login_failed() -> None:
    message = read(MESSAGES["login"])
    assert (codes(message, ".//EventID"), codes(message, ".//EventTypeCode")) == (["110114"], ["110122"])
    head, user = message.find("EventIdentification"), message.find("ActiveParticipant")
    assert head is not None
    assert user is not None
    assert head.attrib["EventOutcomeIndicator"] == "4"
    assert (user.attrib["UserID"], user.attrib["NetworkAccessPointID"]) == ("jane", "192.0.2.1")
    assert message.find("ParticipantObjectIdentification") is None


def test_alert() -> None:
    message = read(MESSAGES["alert"])
    assert (codes(message, ".//EventID"), codes(message, ".//EventTypeCode")) == (["110113"], ["110126"])
    subject = message.find("ParticipantObjectIdentification")
    assert subject is not None
    assert (subject.attrib["ParticipantObjectID"], codes(message, ".//ParticipantObjectIDTypeCode")) == (
        "2001:db8::1",
        ["110182"],
    )
    detail = subject.find("ParticipantObjectDetail")
    assert detail is not None
    assert (detail.attrib["type"], base64.b64decode(detail.attrib["value"])) == ("Alert Description", b"why")


@pytest.mark.parametrize("text", ["a\x00b\x1b[31m", '"><x y="', "\ud800", "ü" * 5000, "]]>&lt;"])
def test_text_from_outside_stays_text(text: str) -> None:
    party = Party(text, (text,), text)
    for message in (
        login_failed(NOW, SOURCE, party, NODE),
        alert(NOW, SOURCE, NODE, [party], Alert("110126", text, text)),
        transferred(NOW, SOURCE, party, NODE, Instance(text, text, text, text, text, text), "C"),
    ):
        check(read(message))
        assert len(message) < 32768
