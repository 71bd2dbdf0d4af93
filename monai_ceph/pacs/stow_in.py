"""STOW-RS into the node (PS3.18 10.5): ``POST /studies`` and ``POST /studies/{study}``.

The films of a request are written to the disk as they arrive, and taken once the whole body has: a body that is no
multipart leaves nothing. The answer comes when each film that it names is on the disk and in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from monai_ceph.errors import StoppedError
from monai_ceph.pacs.config import AcceptConfig
from monai_ceph.pacs.guarded_http import EXTEND, MOST_UPLOADS
from monai_ceph.pacs.logs import log
from monai_ceph.pacs.multipart import BodyError, PartReader, boundary_of
from monai_ceph.pacs.receiver import (
    NOT_OF_THE_CLASS,
    NOT_UNDERSTOOD,
    OUT_OF_RESOURCES,
    SUCCESS,
    TRANSFER_SYNTAXES,
    FilmIntake,
    check_object,
)
from monai_ceph.readers.quiet_pydicom import quiet

__all__ = ["StowIn"]

# PS3.18 table I.2-2
_NO_SUCH_SYNTAX, _NO_SUCH_CLASS = 0xC122, 0x0122
_JSON = ("application/dicom+json", "application/json", "application/*", "*/*")
_LONGEST_META = 65536
_RETRY_SECONDS = "30"

_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/dicom+json": {"schema": {"type": "object"}}}}
    for status, text in (
        (200, "Every film is stored"),
        (202, "Some films are stored, and FailedSOPSequence or OtherFailuresSequence names the others"),
        (409, "No film is stored"),
    )
}
_DETAIL = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/json": {"schema": _DETAIL}}}
    for status, text in (
        (400, "The body is not multipart, incomplete or empty"),
        (403, "The request comes from another site's page"),
        (406, "Another answer than application/dicom+json is asked for"),
        (413, "A film or the number of films is above the limit"),
        (415, "Another Content-Type than multipart/related with application/dicom, or it is packed"),
        (503, "There is no room for films now, or the ledger cannot be written"),
    )
}
_BODY = {
    "required": True,
    "content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}},
}


class StowIn:
    """Takes films by STOW-RS.

    Args:
        accept: the limits.
        intake: takes the films.
        from_this_page: whether a request comes from no page, or from the node's own.
    """

    def __init__(
        self, accept: AcceptConfig, intake: FilmIntake, from_this_page: Callable[[Request, str | None], bool]
    ) -> None:
        self._accept, self._intake, self._from_this_page = accept, intake, from_this_page
        self._uploads = 0
        self.trouble: str | None = None
        """Why the last film could not be written, None if it could."""

    def router(self, dependencies: Sequence[Any], responses: dict[int | str, dict[str, Any]]) -> APIRouter:
        """Return the two routes.

        Args:
            dependencies: the login.
            responses: its answers.
        """
        router = APIRouter(dependencies=list(dependencies), responses={**responses, **_ANSWERS, **_REFUSALS})
        options: dict[str, Any] = {"response_class": JSONResponse, "openapi_extra": {"requestBody": _BODY}}

        @router.post("/studies", **options)
        async def store(request: Request) -> Response:
            return await self._store(request, None)

        @router.post("/studies/{study}", **options)
        async def store_in_study(
            request: Request, study: Annotated[str, InPath(max_length=64, pattern=r"^[0-9.]+$")]
        ) -> Response:
            return await self._store(request, study)

        return router

    async def _store(self, request: Request, study: str | None) -> Response:
        sender = f"STOW-RS from {request.client.host if request.client is not None else 'unknown'}"
        try:
            boundary = self._checked(request)
            if self._uploads >= MOST_UPLOADS:
                raise BodyError(f"{MOST_UPLOADS} requests are being received", 503)
            self._uploads += 1
            try:
                return await self._received(request, boundary, study, sender)
            finally:
                self._uploads -= 1
        except BodyError as error:
            log("refused", warning=True, sender=sender, status=error.status, cause=str(error))
            headers = {"Retry-After": _RETRY_SECONDS} if error.status == 503 else None
            raise HTTPException(error.status, str(error), headers) from error
        except (OSError, StoppedError) as error:
            self.trouble = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            log("refused", warning=True, sender=sender, status=503, cause=self.trouble)
            raise HTTPException(
                503, "the disk or the ledger cannot be written", {"Retry-After": _RETRY_SECONDS}
            ) from error

    def _checked(self, request: Request) -> bytes:
        """Return the boundary of a request that can be read.

        Raises:
            BodyError: it cannot.
        """
        headers = request.headers
        if not self._from_this_page(request, headers.get("sec-fetch-site")):
            raise BodyError("the request comes from another site's page", 403)
        wanted = [each.partition(";")[0].strip().lower() for each in headers.get("accept", "*/*").split(",")]
        if not any(each in _JSON for each in wanted):
            raise BodyError("the answer is application/dicom+json only", 406)
        if headers.get("content-encoding", "identity").lower() != "identity":
            # a small body could fill the disk
            raise BodyError("a packed body is not taken", 415)
        return boundary_of(headers.get("content-type", ""))

    async def _received(self, request: Request, boundary: bytes, study: str | None, sender: str) -> Response:
        spool, accept = self._intake.spool, self._accept

        def new_file() -> Path:
            path = spool.incoming / f"stow-{uuid4().hex}"
            spool.held.add(path)
            return path

        if (cause := await run_in_threadpool(self._intake.full)) is not None:
            raise BodyError(cause, 503)
        extend: Callable[[float], None] = request.scope.get(EXTEND, lambda seconds: None)
        reader = PartReader(boundary, accept.max_object_mb * 2**20, new_file)
        began, size = time.monotonic(), 0
        try:
            extend(accept.timeout_s)
            async for data in request.stream():
                await run_in_threadpool(self._feed, reader, data)
                size += len(data)
                left = began + accept.timeout_s + size / (accept.min_kb_per_s * 1024) - time.monotonic()
                extend(min(accept.timeout_s, left))
            reader.finish()
            results = []
            for path in reader.parts:
                extend(accept.timeout_s)
                results.append(await run_in_threadpool(self._take, path, study, sender))
        except ClientDisconnect as error:
            raise BodyError("the connection ended during the request") from error
        finally:
            reader.close()
            spool.held.difference_update(reader.parts)
        return _answer(results)

    def _feed(self, reader: PartReader, data: bytes) -> None:
        if self._intake.spool.overfull():
            raise BodyError("only the reserve of the disk is left (spool.reserve_mb)", 503)
        reader.feed(data)

    def _take(self, path: Path, study: str | None, sender: str) -> tuple[int, str, str]:
        """Take one film. Return the failure reason, 0 if it is stored, with its SOP Class and Instance UIDs."""
        if (cause := self._intake.full()) is not None:
            log("refused", warning=True, sender=sender, status="A700", cause=cause)
            return OUT_OF_RESOURCES, *_uids(path)
        status, cause, (instance, sop_class) = _check(path, study)
        if status == SUCCESS:
            try:
                self._intake.take(path, instance, sender)
                self.trouble = None
            except (OSError, StoppedError) as error:
                status = OUT_OF_RESOURCES
                cause = self.trouble = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if status != SUCCESS:
            log("refused", warning=True, sender=sender, status=f"{status:04X}", cause=cause)
        return status, sop_class, instance


def _check(path: Path, study: str | None) -> tuple[int, str | None, tuple[str, str]]:
    """Check a file as :func:`check_object` does, and what else C-STORE negotiates.

    Raises:
        OSError: the machine cannot read the file now.
    """
    if not _has_short_meta(path):
        return NOT_UNDERSTOOD, "not a DICOM file (PS3.10)", ("", "")
    status, cause, uids = check_object(path)
    if status == NOT_OF_THE_CLASS:
        return _NO_SUCH_CLASS, cause, uids
    if status != SUCCESS:
        return status, cause, uids
    with quiet():
        syntax = read_file_meta_info(path).get("TransferSyntaxUID")
        of_study = str(dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    if syntax not in TRANSFER_SYNTAXES:
        return _NO_SUCH_SYNTAX, "a transfer syntax that is not taken", uids
    if study is not None and of_study != study:
        return NOT_OF_THE_CLASS, "it belongs to another study than the request names", uids
    return SUCCESS, None, uids


def _has_short_meta(path: Path) -> bool:
    """Return whether a file's meta information is short: pydicom reads it into memory whole."""
    with path.open("rb") as stream:
        start = stream.read(144)
        # the preamble, and (0002,0000), whose value is the length of the rest
        if start[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00":
            return False
        length = int.from_bytes(start[140:144], "little")
        if not 0 < length <= _LONGEST_META:
            return False
        stream.seek(length, 1)
        return stream.read(2) not in (b"", b"\x02\x00")


def _uids(path: Path) -> tuple[str, str]:
    """Return the SOP Class and Instance UIDs of a film that there is no room for, empty if it has none."""
    if not _has_short_meta(path):
        return "", ""
    _, _, (instance, sop_class) = check_object(path)
    return sop_class, instance


def _answer(results: Sequence[tuple[int, str, str]]) -> Response:
    """Return the answer to a request (PS3.18 10.5.3). No Retrieve URL: the node is no archive."""
    answer = Dataset()
    stored: list[Dataset] = []
    failed: list[Dataset] = []
    others: list[Dataset] = []
    for status, sop_class, instance in results:
        item = Dataset()
        if status != SUCCESS:
            item.FailureReason = status
        if instance:
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        (stored if status == SUCCESS else failed if instance else others).append(item)
    for keyword, items in (
        ("ReferencedSOPSequence", stored),
        ("FailedSOPSequence", failed),
        ("OtherFailuresSequence", others),
    ):
        if items:
            setattr(answer, keyword, items)
    headers = {}
    status = 200 if len(stored) == len(results) else 202 if stored else 409
    if not stored and all(reason == OUT_OF_RESOURCES for reason, _, _ in results):
        # so that the sender tries again later
        status, headers = 503, {"Retry-After": _RETRY_SECONDS}
    return JSONResponse(answer.to_json_dict(), status, headers, media_type="application/dicom+json")
