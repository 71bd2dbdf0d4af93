"""The DIMSE port: C-STORE, C-ECHO and storage commitment (PS3.4 B, A.4 of PS3.7, J).

The answer is success once a film is on the disk and in the ledger, and out of resources (0xA700) if there is no space.
An object that is not a film of the negotiated class is refused for good (0xA900, 0xC000).
"""

from __future__ import annotations

import errno
import os
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread, uid
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification

from monai_ceph.archives.selection import IMAGE_CLASSES
from monai_ceph.archives.tls import server_context
from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.content import stored_content
from monai_ceph.pacs.guarded_server import GuardedServer, server_class
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.places import Places
from monai_ceph.pacs.spool import Spool, film_key
from monai_ceph.readers.dicom_elements import is_uid
from monai_ceph.readers.quiet_pydicom import quiet
from monai_ceph.result import ModelIdentity

__all__ = ["FilmIntake", "Receiver", "check_object", "server_tls"]

SUCCESS, OUT_OF_RESOURCES, NOT_OF_THE_CLASS, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000

TRANSFER_SYNTAXES = [
    *(uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    *(uid.JPEGLosslessSV1, uid.JPEGLossless, uid.JPEGLSLossless, uid.JPEGLSNearLossless),
    *(uid.JPEG2000Lossless, uid.JPEG2000, uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
]
"""The transfer syntaxes that the readers decode, except deflated ones: a small file could fill the memory."""

_NAMED = 5
# PS3.7 annex C
_FAILED, _NOT_RECOGNISED = 0x0110, 0x0211
_EXHAUSTED_SECONDS = 10.0


def server_tls(config: NodeConfig) -> ssl.SSLContext | None:
    """Return the TLS settings of the DIMSE port, None if it has none.

    Raises:
        OSError: a certificate or key cannot be read.
    """
    files = config.accept.tls
    return None if files is None else server_context(files.certificate, files.key, files.client_ca)


@dataclass
class FilmIntake:
    """Puts films into the queue, from any source.

    Attributes:
        spool: the folder for them.
        ledger: records them.
        model: will detect on them.
        on_film: called when there is a new film.
    """

    spool: Spool
    ledger: NodeLedger
    model: ModelIdentity
    on_film: Callable[[], None]

    def full(self) -> str | None:
        """Return why no further film can be received, or None."""
        return self.spool.full(self.ledger.at_work())

    def too_many(self) -> str | None:
        """Return why a film that is already on the disk cannot be taken, or None."""
        return self.spool.too_many(self.ledger.at_work())

    def take(self, part: Path, sop_uid: str, sender: str, address: str | None = None) -> bool:
        """Put a file into the queue. It is safe once this returns. Return False if the film is known already.

        Args:
            part: the file, on the file system of the folder.
            sop_uid: its SOP Instance UID.
            sender: AE title of the sender, or the way it came.
            address: IP address of the sender, None if it did not come from one.

        Raises:
            OSError: the disk cannot be written.
            StoppedError: the ledger cannot be written.
        """
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        key, size, content = film_key(sop_uid, part), part.stat().st_size, stored_content(part)
        with self.spool.lock:
            # another node that has taken over must not find the file without its row, nor lose it
            with self.ledger.holding(durable=True):
                self.spool.keep(part, key)
                receipt = self.ledger.receive(sop_uid, key, sender, size, self.model, content)
            with self.ledger.holding():
                if receipt.replaced is not None:
                    self.spool.forget(receipt.replaced)
                film = self.ledger.film_of(key)
                if film is not None:
                    self.spool.settle(self.ledger, film.id)
            details: dict[str, Any] = {} if address is None else {"address": address}
            event = "received" if receipt.new else "received again"
            # while nobody else can move or remove the file
            log(event, about=self.spool.film(key), uid=sop_uid, sender=sender, bytes=size, **details)
        if receipt.new:
            self.on_film()
        return receipt.new


class Receiver:
    """Listens on the DIMSE port until it is closed.

    Args:
        config: of the node.
        intake: takes the films.
        commit: takes a request for storage commitment (its data set and the calling AE title) and returns a status.
        take_report: the same for a report on storage commitment that the node asked for.

    Raises:
        OSError: the port is taken, or a certificate cannot be read.
    """

    def __init__(
        self,
        config: NodeConfig,
        intake: FilmIntake,
        commit: Callable[[Dataset, str], int],
        take_report: Callable[[Dataset, str], int] | None = None,
    ) -> None:
        self._config, self._intake, self._commit, self._take_report = config, intake, commit, take_report
        self.trouble: str | None = None
        """Why the last film could not be written, None if it could."""
        # data sets of any size are written to the disk as they arrive, and only renamed at the end
        _config.STORE_RECV_CHUNKED_DATASET = True
        tempfile.tempdir = str(intake.spool.incoming)
        accept = config.accept
        entity = AE(config.ae_title)
        entity.require_called_aet = True
        if accept.calling_ae_titles != "any":
            entity.require_calling_aet = list(accept.calling_ae_titles)
        # pynetdicom counts connections without an association, too; places has the limits
        entity.maximum_associations = 2**31
        entity.maximum_pdu_size = accept.max_pdu_bytes
        entity.dimse_timeout = entity.network_timeout = accept.timeout_s
        entity.acse_timeout = accept.request_s
        self.places = Places(accept.max_associations, accept.per_address, accept.kept, self._knows)
        limits = (accept.max_object_mb, accept.request_s, accept.min_kb_per_s, self.places, intake.spool.overfull)
        entity.add_supported_context(Verification)
        reported = any(target.commitment_s is not None for target in config.targets.dicom)
        if config.storage_commitment or reported:
            # who reports opens the association but is the SCP
            entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        for sop_class in IMAGE_CLASSES:
            entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
        self._entity = entity
        self._server: GuardedServer = entity.make_server(
            (config.host, config.port),
            server_class=server_class(server_tls(config), *limits),
            evt_handlers=[
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_C_ECHO, lambda event: SUCCESS),
                (evt.EVT_N_ACTION, self._commitment),
                (evt.EVT_N_EVENT_REPORT, self._report),
                (evt.EVT_REJECTED, self._log_rejected),
                (evt.EVT_ACCEPTED, _log_not_taken),
            ],
        )
        entity._servers.append(self._server)

    def serve(self) -> None:
        """Accept associations until :meth:`close`."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Stop listening, and end all associations."""
        self._entity.shutdown()

    def problems(self) -> list[str]:
        """Return why senders are refused at the moment."""
        found = []
        if (held := self.places.associations()) >= self.places.most:
            found.append(f"all {held} associations are in use (accept.max_associations)")
        exhausted = self._server.exhausted
        if exhausted is not None and time.monotonic() - exhausted < _EXHAUSTED_SECONDS:
            found.append("no connection can be taken: too many open files")
        return found

    def warnings(self) -> dict[str, str]:
        """Return which senders are refused although others are not."""
        return {
            f"no further association from {address}": f"it has {count} at once (accept.max_per_address)"
            for address, count in self.places.crowded().items()
        }

    def _knows(self, sender: str) -> bool:
        titles = self._config.accept.calling_ae_titles
        return (titles != "any" and sender in titles) or self._intake.ledger.knows_sender(sender)

    def _store(self, event: evt.Event) -> int:
        sender = str(event.assoc.requestor.ae_title).strip()
        part: Path = event.dataset_path
        # flush the buffer before the file is read
        event.request._dataset_file.close()
        try:
            return self._take(event, part, sender)
        except (OSError, StoppedError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.trouble = cause
            log("refused", warning=True, sender=sender, status="A700", cause=cause)
            return OUT_OF_RESOURCES
        finally:
            part.unlink(missing_ok=True)

    def _take(self, event: evt.Event, part: Path, sender: str) -> int:
        if (cause := self._intake.full()) is not None:
            log("refused", warning=True, sender=sender, status="A700", cause=cause)
            return OUT_OF_RESOURCES
        request = event.request
        status, cause, (uid, sop_class) = check_object(part)
        asked = (str(request.AffectedSOPInstanceUID), str(request.AffectedSOPClassUID))
        if status == SUCCESS and (uid, sop_class) != asked:
            status, cause = NOT_OF_THE_CLASS, "the data set is not the object that the request names"
        if status != SUCCESS:
            log("refused", warning=True, sender=sender, status=f"{status:04X}", cause=cause)
            return status
        self._intake.take(part, uid, sender, str(event.assoc.requestor.address))
        self.trouble = None
        return SUCCESS

    def _log_rejected(self, event: evt.Event) -> None:
        requestor, allowed = event.assoc.requestor, self._entity.require_calling_aet
        sender, called = str(requestor.ae_title).strip(), str(requestor.primitive.called_ae_title).strip()
        if allowed and sender not in allowed:
            cause = "its AE title is not in accept.calling_ae_titles"
        elif called != self._entity.ae_title:
            cause = f"it calls {called}, but the node is {self._entity.ae_title}"
        else:
            cause = "it did not log in"
        names = {"sender": sender, "called": called, "address": requestor.address}
        log("association rejected", warning=True, **names, cause=cause)

    def _report(self, event: evt.Event) -> tuple[int, None]:
        sender = str(event.assoc.requestor.ae_title).strip()
        try:
            with quiet():
                report = event.event_information
            return self._take_report(report, sender) if self._take_report is not None else _NOT_RECOGNISED, None
        except Exception as error:  # pydicom documents few of its exceptions, and the ledger may not be written
            log("commitment report refused", warning=True, sender=sender, cause=type(error).__name__)
            return _FAILED, None

    def _commitment(self, event: evt.Event) -> tuple[int, None]:
        sender = str(event.assoc.requestor.ae_title).strip()
        try:
            with quiet():
                return self._commit(event.action_information, sender), None
        except Exception as error:  # pydicom documents few of its exceptions
            log("commitment refused", warning=True, sender=sender, cause=type(error).__name__)
            return _FAILED, None


def check_object(path: Path) -> tuple[int, str | None, tuple[str, str]]:
    """Check a file's header. Return a C-STORE status, the reason of a refusal, and the SOP Instance and Class UIDs.

    Raises:
        OSError: the machine cannot read the file now, although it may be intact.
    """
    try:
        with quiet():
            if read_file_meta_info(path).get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
                return NOT_UNDERSTOOD, "the data set is deflated", ("", "")
            names = ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"]
            header = dcmread(path, stop_before_pixels=True, specific_tags=names)
            found = [str(header.get(name, "")) for name in names]
    except MemoryError as error:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
    except Exception as error:  # parsers document few of their exceptions
        # damaged data may lead before the start of the file, which is EINVAL
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        return NOT_UNDERSTOOD, "the data set cannot be read", ("", "")
    if not all(is_uid(value) for value in found):
        return NOT_UNDERSTOOD, "the data set lacks a valid SOP Instance, Class, Study or Series UID", ("", "")
    if found[1] not in IMAGE_CLASSES:
        return NOT_OF_THE_CLASS, "the data set is not an image class for cephalograms", (found[0], found[1])
    return SUCCESS, None, (found[0], found[1])


def _log_not_taken(event: evt.Event) -> None:
    """Log if none of the offered classes is accepted. Many archives offer far more classes than they send."""
    association = event.assoc
    names = sorted({str(context.abstract_syntax.name) for context in association.rejected_contexts})
    if names and all(context.abstract_syntax == Verification for context in association.accepted_contexts):
        sender = str(association.requestor.ae_title).strip()
        log(
            "not taken",
            warning=True,
            sender=sender,
            cause="this node takes no objects of these classes",
            objects=names[:_NAMED],
        )
