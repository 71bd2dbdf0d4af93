"""Archives that reports are sent to, by C-STORE (PS3.4 B) or STOW-RS (PS3.18 10.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydicom import Dataset, dcmread, uid
from pynetdicom import AE, evt

from monai_ceph.archives.ask_commitment import TakeReport, ask_commitment
from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import DicomTarget, DicomWebTarget, TargetConfig
from monai_ceph.archives.dicomweb import dicomweb
from monai_ceph.archives.dimse_limits import limited
from monai_ceph.archives.fhir import FhirSender
from monai_ceph.archives.stow import Answer, TargetError, stow
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = [
    "OBJECT_CLASSES",
    "SENT_SYNTAXES",
    "Answer",
    "DicomSender",
    "DicomWebSender",
    "Send",
    "Sender",
    "TargetError",
    "make_senders",
]

OBJECT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.11.2",  # Color Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
)
"""SOP Class UIDs of the objects that are sent."""

SENT_SYNTAXES = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian]
"""The transfer syntaxes that are proposed for them."""


Send = Callable[[Path], Answer]
"""Sends one object. Raises a :class:`TargetError`, or an :class:`OSError` if its file cannot be read."""


class Sender(Protocol):
    """Sends objects to one target."""

    name: str
    objects: tuple[str, ...]

    def open(self) -> AbstractContextManager[Send]:
        """Connect.

        Raises:
            TargetError: no connection.
        """


class DicomSender:
    """Sends to an application entity, all objects of a round on one association.

    Args:
        config: address of the target.
        ae_title: of the node.
    """

    def __init__(self, config: DicomTarget, ae_title: str) -> None:
        self.name, self.commitment_s = config.name, config.commitment_s
        self.objects = tuple[str, ...](config.objects)
        self._config, self._ae_title = config, config.calling_ae_title or ae_title

    def ask(self, transaction_uid: str, objects: Sequence[tuple[str, str]], take_report: TakeReport) -> None:
        """Ask for storage commitment, see :func:`~monai_ceph.archives.ask_commitment.ask_commitment`."""
        ask_commitment(self._config, self._ae_title, transaction_uid, objects, take_report)

    @contextmanager
    def open(self) -> Iterator[Send]:
        """Open an association, and release it at the end."""
        config = self._config
        entity = AE(self._ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = config.timeout_s
        entity.connection_timeout = config.timeout_s
        for sop_class in OBJECT_CLASSES:
            entity.add_requested_context(sop_class, SENT_SYNTAXES)
        try:
            association = entity.associate(
                *(config.host, config.port),
                ae_title=config.ae_title,
                tls_args=client_tls(config.tls, config.host),
                evt_handlers=limited(config.timeout_s),
            )
        except (OSError, RuntimeError) as error:
            raise TargetError(f"no connection to {config.host}:{config.port}: {error}") from error
        if association.is_rejected:
            raise TargetError(f"{config.ae_title} rejected the association")
        if not association.is_established:
            raise TargetError(f"no association with {config.ae_title} at {config.host}:{config.port}")
        # the status that pynetdicom returns does not name its object
        named: list[str] = []
        association.bind(evt.EVT_DIMSE_RECV, lambda event: named.append(_named_by(event)))
        try:
            yield lambda path: _store(association, path, named)
        finally:
            if association.is_established:
                association.release()


def _read(path: Path) -> Dataset:
    with quiet():
        return dcmread(path)


def _named_by(event: evt.Event) -> str:
    """Return the SOP Instance UID in a response, empty if it has none. It is optional (PS3.7 table 9.1-1)."""
    command = event.message.command_set
    return str(command.get("AffectedSOPInstanceUID") or "")


def _store(association: Any, path: Path, named: list[str]) -> Answer:
    dataset = _read(path)
    if not any(context.abstract_syntax == dataset.SOPClassUID for context in association.accepted_contexts):
        return Answer(False, f"{dataset.SOPClassUID.name} is not accepted")
    named.clear()
    try:
        with quiet():
            status = association.send_c_store(dataset)
    except (RuntimeError, OSError) as error:
        raise TargetError("the association ended") from error
    except (ValueError, AttributeError) as error:
        return Answer(False, f"cannot be encoded: {error}")
    if "Status" not in status:
        raise TargetError("the association ended before the answer")
    code = int(status.Status)
    if any(uid not in ("", dataset.SOPInstanceUID) for uid in named):
        # later answers on this association may be about other objects, too
        raise TargetError("the answer is about another object")
    if code & 0xFF00 == 0xA700:
        raise TargetError(f"out of resources, status {code:04X}")
    # success, or a warning that goes with it (PS3.4 table B.2-1)
    return Answer(code == 0 or code & 0xF000 == 0xB000, f"status {code:04X}")


class DicomWebSender:
    """Sends to a DICOMweb service, one request per object.

    Args:
        config: address and login of the service.
    """

    def __init__(self, config: DicomWebTarget) -> None:
        self.name, self.objects = config.name, tuple[str, ...](config.objects)
        self._config = config

    @contextmanager
    def open(self) -> Iterator[Send]:
        """Open a session."""
        with dicomweb(self._config) as client:
            yield lambda path: stow(client, _read(path), self._config.verify)


def make_senders(config: TargetConfig, ae_title: str) -> list[Sender]:
    """Return a sender for each target of a node with this AE title."""
    dicom = [DicomSender(each, ae_title) for each in config.dicom]
    return [*dicom, *map(DicomWebSender, config.dicomweb), *map(FhirSender, config.fhir)]
