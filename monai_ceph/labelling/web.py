"""MONAI Label's web application, with our own error messages, fewer allowed origins, and the name of the user.

``uvicorn monai_ceph.labelling.web:app``; :mod:`monai_ceph.labelling.server` starts it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from monai_ceph.labelling import shims

# isort: split

from fastapi import BackgroundTasks, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from monailabel.app import app
from monailabel.config import settings
from monailabel.endpoints import model as model_endpoint
from monailabel.endpoints import session as session_endpoint
from monailabel.endpoints.user.auth import from_token
from monailabel.interfaces.exception import MONAILabelException
from monailabel.interfaces.utils.app import app_instance
from starlette.middleware.trustedhost import TrustedHostMiddleware

from monai_ceph.errors import CephError
from monai_ceph.labelling.endpoints import mend_endpoints
from monai_ceph.labelling.errors import NotThereError, RefusedError
from monai_ceph.labelling.guards import NoZeroBytes, OwnPages, ReadingProxy
from monai_ceph.labelling.store import authenticated_user

__all__ = ["ALLOWED_HOSTS", "ALLOWED_ORIGINS", "app"]

ALLOWED_ORIGINS = "MONAI_CEPH_LABEL_ORIGINS"
"""Environment variable: origins of web pages that may use the server, separated by commas."""

ALLOWED_HOSTS = "MONAI_CEPH_LABEL_HOSTS"
"""Environment variable: host names by which the server may be called, separated by commas; empty for any."""

shims.check_tokens()
mend_endpoints()


def _error_answer(status: int, text: str) -> JSONResponse:
    return JSONResponse({"detail": text}, status_code=status)


def _status(error: Exception) -> int:
    return 404 if isinstance(error, NotThereError) else 403 if isinstance(error, RefusedError) else 422


@app.exception_handler(CephError)
async def _ceph_error(request: Request, error: CephError) -> JSONResponse:
    return _error_answer(_status(error), str(error))


@app.exception_handler(MONAILabelException)
async def _monailabel_error(request: Request, error: MONAILabelException) -> JSONResponse:
    return _error_answer(404, str(error.msg))


@app.exception_handler(json.JSONDecodeError)
async def _not_json(request: Request, error: json.JSONDecodeError) -> JSONResponse:
    return _error_answer(422, f"params is not JSON: {error}")


def _update_model(background_tasks: BackgroundTasks, model: str, file: UploadFile) -> dict[str, Any]:
    """Take uploaded weights after checking them."""
    with tempfile.NamedTemporaryFile(suffix=".pt") as upload:
        shutil.copyfileobj(file.file, upload)
        upload.flush()
        answer: dict[str, Any] = app_instance().replace_weights(model, Path(upload.name))
    return answer


# MONAI Label would overwrite the weights with any file; its endpoint checks the role, then calls this
model_endpoint.update_model = _update_model


_create_session = session_endpoint.create_session


def _session_with_one_film(
    background_tasks: BackgroundTasks, uncompress: bool, expiry: int, files: list[UploadFile]
) -> Any:
    """Create a session with one film. MONAI Label would unpack archives, and their files might leave the folder."""
    if uncompress or len(files) != 1:
        raise RefusedError("a session takes one film, not an archive")
    return _create_session(background_tasks, False, expiry, files)


session_endpoint.create_session = _session_with_one_film


class _User:
    """Remembers the user who sent a request, for the labels that the request saves."""

    def __init__(self, next_app: Any) -> None:
        self._next = next_app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and settings.MONAI_LABEL_AUTH_ENABLE:
            header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            authenticated_user.set(_user(header.partition(" ")[2]))
        await self._next(scope, receive, send)


def _user(token: str) -> str | None:
    try:
        user = from_token(token)
    except Exception:
        # MONAI Label itself reports a wrong token
        return None
    return user.name or user.username


def _values(variable: str) -> list[str]:
    return [value for value in os.environ.get(variable, "").split(",") if value]


# MONAI Label would let any web page that a user visits read films from a server on the same machine
app.user_middleware = [kept for kept in app.user_middleware if kept.cls is not CORSMiddleware]
app.add_middleware(_User)
app.add_middleware(ReadingProxy, prefix=settings.MONAI_LABEL_API_STR)
app.add_middleware(NoZeroBytes)
app.add_middleware(OwnPages, allowed=_values(ALLOWED_ORIGINS))
if _values(ALLOWED_ORIGINS):
    app.add_middleware(
        CORSMiddleware,
        allow_origins=_values(ALLOWED_ORIGINS),
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
if _values(ALLOWED_HOSTS):
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_values(ALLOWED_HOSTS))
