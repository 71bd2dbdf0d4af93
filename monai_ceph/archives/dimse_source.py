"""An archive that films are fetched from by C-FIND and C-MOVE (PS3.4 C)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.config import DicomSource
from monai_ceph.archives.dimse_limits import limited
from monai_ceph.archives.query import FIELDS, Deliver, Found, Level, Query, SourceError, UnusableAnswerError, images
from monai_ceph.archives.selection import Selection
from monai_ceph.errors import CephError
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["DicomArchive"]


class DicomArchive:
    """An archive that is searched by DIMSE, and sends its images to the node's DIMSE port.

    Args:
        config: address of the archive.
        ae_title: of the node, which receives the images. It also calls, unless the configuration has another title.
    """

    def __init__(self, config: DicomSource, ae_title: str) -> None:
        self.name, self._config, self._ae_title = config.name, config, ae_title

    def find(self, query: Query, selection: Selection) -> Iterator[Found]:
        """Search by C-FIND."""
        with self._associated(StudyRootQueryRetrieveInformationModelFind) as association:

            def search(level: Level, place: Mapping[str, str], conditions: Mapping[str, str]) -> list[Dataset]:
                return self._answers(association, level, {**place, **conditions})

            yield from images(self.name, search, query, selection)

    def fetch(self, found: Found, deliver: Deliver) -> None:
        """Have it sent by C-MOVE. It arrives at the node's DIMSE port, so ``deliver`` is not called."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.StudyInstanceUID, identifier.SeriesInstanceUID = found.study, found.series
        identifier.SOPInstanceUID = found.uid
        model = StudyRootQueryRetrieveInformationModelMove
        with self._associated(model) as association:
            last = Dataset()
            for status, _ in self._in_time(association, association.send_c_move(identifier, self._ae_title, model)):
                last = status
        moved = [last.get(f"NumberOf{kind}Suboperations") for kind in ("Completed", "Warning")]
        if last.get("Status") != 0 or last.get("NumberOfFailedSuboperations"):
            answer = f"status {last.Status:04X}" if "Status" in last else "no answer"
            raise SourceError(f"{self.name}: did not move the film to {self._ae_title}: {answer}")
        # the numbers are optional: without them the image may have been moved
        if moved != [None, None] and not any(moved):
            raise SourceError(f"{self.name}: did not move the film to {self._ae_title}: 0 objects moved")

    def _in_time(self, association: Any, answers: Iterator[Any]) -> Iterator[Any]:
        """Yield the answers to one request, which may be many, until the time for all of them is over.

        Raises:
            SourceError: it is over. The association is aborted.
        """
        end = time.monotonic() + self._config.total_s
        for each in answers:
            if time.monotonic() > end:
                association.abort()
                raise SourceError(f"{self.name}: no complete answer within {self._config.total_s:g} s")
            yield each

    @contextmanager
    def _associated(self, model: str) -> Iterator[Any]:
        config = self._config
        entity = AE(config.calling_ae_title or self._ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = config.timeout_s
        entity.connection_timeout = config.timeout_s
        entity.add_requested_context(model)
        with _dimse_errors(self.name):
            association = entity.associate(
                *(config.host, config.port),
                ae_title=config.ae_title,
                tls_args=client_tls(config.tls, config.host),
                evt_handlers=limited(config.timeout_s),
            )
            if not association.is_established:
                raise SourceError(f"{self.name}: no association with {config.ae_title}")
            try:
                yield association
            finally:
                if association.is_established:
                    association.release()

    def _answers(self, association: Any, level: Level, keys: dict[str, str]) -> list[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = level
        for name in FIELDS[level]:
            setattr(identifier, name, None if name == "NumberOfFrames" else "")
        for name, value in keys.items():
            setattr(identifier, name, value)
        found: list[Dataset | None] = []
        with _dimse_errors(self.name), quiet():
            answers = association.send_c_find(identifier, StudyRootQueryRetrieveInformationModelFind)
            for status, answer in self._in_time(association, answers):
                if "Status" not in status:
                    raise SourceError(f"{self.name}: the association ended during a query")
                if status.Status in (0xFF00, 0xFF01):
                    found.append(answer)
                elif status.Status != 0:
                    raise UnusableAnswerError(f"{self.name}: refused a query, status {status.Status:04X}")
        # pynetdicom yields None for an answer that it cannot decode; one empty answer reports them all
        decoded = [answer for answer in found if answer is not None]
        return decoded if len(decoded) == len(found) else [*decoded, Dataset()]


@contextmanager
def _dimse_errors(name: str) -> Iterator[None]:
    try:
        yield
    except CephError:
        raise
    except (OSError, RuntimeError) as error:
        raise SourceError(f"{name}: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise UnusableAnswerError(f"{name}: {type(error).__name__}: {error}") from error
    except Exception as error:  # pydicom documents few of its exceptions
        raise UnusableAnswerError(f"{name}: {type(error).__name__}") from error
