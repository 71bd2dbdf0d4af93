"""What the server refuses before MONAI Label sees it: requests of foreign pages, and all but reading by the proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from fastapi.responses import JSONResponse

__all__ = ["Guard"]

_READS = ("GET", "HEAD", "OPTIONS")
_PROXY = "/proxy/"
# what a viewer reads by DICOMweb (PS3.18); MONAI Label's proxy takes an operation before it
_OPERATIONS = ("qido", "wado", "stow")
_RESOURCES = ("studies", "series", "instances")


class Guard:
    """ASGI middleware with two rules.

    A request that may change something must come from a page of this server, or of one that is allowed: a browser sends
    simple requests of any page that its user visits, and withholds the answer alone. Programs send no Origin.

    MONAI Label's proxy to the PACS, with the server's credentials, reads studies, series and instances and nothing
    else: no other path of the PACS, and no storing.

    Args:
        application: the next one.
        origins: of pages that are allowed, such as ``http://localhost:3000``.
    """

    def __init__(self, application: Any, origins: Sequence[str] = ()) -> None:
        self._next, self._origins = application, frozenset(origins)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer 403 with a sentence, or pass the request on."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._next(scope, receive, send)
        else:
            await JSONResponse({"detail": refusal}, status_code=403)(scope, receive, send)

    def _refusal(self, scope: dict[str, Any]) -> str | None:
        if scope["method"] not in _READS and self._is_foreign(scope):
            return "the request comes from a page of another address; --allow-origin lets one in"
        path = scope["path"]
        if _PROXY in path:
            if scope["method"] not in _READS:
                return "the proxy to the PACS reads only"
            if not _reads_dicom(path.split(_PROXY, 1)[1]):
                return "the proxy to the PACS reads studies, series and instances, and nothing else"
        return None

    def _is_foreign(self, scope: dict[str, Any]) -> bool:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") == "cross-site"
        return origin not in self._origins and origin != f"{scope['scheme']}://{headers.get('host', '')}"


def _reads_dicom(path: str) -> bool:
    """Return whether a path of the proxy leads to what a viewer reads, however often it is percent-encoded."""
    while (decoded := unquote(path)) != path:
        path = decoded
    words = path.removeprefix("dicom/").split("/")
    if any(word in ("", ".", "..") for word in words[:-1]) or words[-1] in (".", "..") or not path.isprintable():
        return False
    if "\\" in path or "?" in path or "#" in path or not path.startswith("dicom/"):
        return False
    words = words[1:] if words[0] in _OPERATIONS else words
    return bool(words) and words[0] in _RESOURCES
