"""Asking an archive to commit itself to what it stored, by N-ACTION (PS3.4 J). It reports later, by N-EVENT-REPORT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import DicomTarget
from monai_ceph.archives.dimse_limits import limited
from monai_ceph.archives.stow import TargetError
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["TakeReport", "ask_commitment"]

TakeReport = Callable[[Dataset, str], int]
"""Takes the data set of a report and the AE title that sent it, and returns a status for the N-EVENT-REPORT."""

_REQUEST_STORAGE_COMMITMENT = 1


def ask_commitment(
    config: DicomTarget,
    ae_title: str,
    transaction_uid: str,
    objects: Sequence[tuple[str, str]],
    take_report: TakeReport,
) -> None:
    """Ask a target to commit itself to objects.

    Args:
        config: address of the target.
        ae_title: that calls.
        transaction_uid: which the report will name.
        objects: SOP Class and Instance UID of each.
        take_report: takes a report that comes on the same association; most come on one of their own (PS3.4 J.3.3).

    Raises:
        TargetError: the target does not take the request.
    """

    def report(event: evt.Event) -> tuple[int, None]:
        with quiet():
            return take_report(event.event_information, config.ae_title), None

    entity = AE(ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = config.timeout_s
    entity.connection_timeout = config.timeout_s
    entity.add_requested_context(StorageCommitmentPushModel)
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_item(*each) for each in objects]
    try:
        association: Any = entity.associate(
            *(config.host, config.port),
            ae_title=config.ae_title,
            tls_args=client_tls(config.tls, config.host),
            evt_handlers=[*limited(config.timeout_s), (evt.EVT_N_EVENT_REPORT, report)],
        )
    except (OSError, RuntimeError) as error:
        raise TargetError(f"no connection to {config.host}:{config.port}: {error}") from error
    if not association.is_established:
        # pynetdicom aborts if none of its contexts is accepted
        refused = any(
            each.abstract_syntax == StorageCommitmentPushModel for each in getattr(association, "rejected_contexts", ())
        )
        cause = "does not accept Storage Commitment" if refused else "no association for storage commitment"
        raise TargetError(f"{config.ae_title}: {cause}")
    try:
        status, _ = association.send_n_action(
            request, _REQUEST_STORAGE_COMMITMENT, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
    except (ValueError, RuntimeError, OSError) as error:
        raise TargetError(f"{config.ae_title}: cannot be asked for storage commitment: {error}") from error
    finally:
        if association.is_established:
            association.release()
    if "Status" not in status:
        raise TargetError(f"{config.ae_title}: no answer to the request for storage commitment")
    if status.Status != 0:
        raise TargetError(f"{config.ae_title}: refused the request for storage commitment, status {status.Status:04X}")


def _item(sop_class: str, sop_instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    return item
