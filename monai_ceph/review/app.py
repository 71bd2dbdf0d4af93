"""The HTTP side of a review: the page, its data, and who may ask for them."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS
from monai_ceph.review import READINGS
from monai_ceph.review.films import ReviewFilm
from monai_ceph.review.heatmaps import NotPossibleError
from monai_ceph.review.hosts import Hosts
from monai_ceph.review.models import Measured, Save, Sign
from monai_ceph.review.pictures import accepts_gzip
from monai_ceph.review.service import ReviewService
from monai_ceph.review.store import Conflict
from monai_ceph.review.study import accuracy, audit_csv, paired_values, readers, readers_csv
from monai_ceph.version import __version__

__all__ = ["make_app"]

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_COOKIE = "monai-ceph-review"


def _film_of(request: Request, film_id: Annotated[str, Path(max_length=64)]) -> ReviewFilm:
    try:
        film: ReviewFilm = request.app.state.service.film(film_id)
    except KeyError as error:
        raise HTTPException(404, "there is no such film in the results") from error
    return film


Film = Annotated[ReviewFilm, Depends(_film_of)]


def make_app(service: ReviewService, token: str | None = None, hosts: Hosts | None = None) -> FastAPI:
    """Return the application.

    Args:
        service: what it shows.
        token: that a browser must have; None: none is needed.
        hosts: names that requests may be sent to; None: only those of this machine for itself.
    """
    allowed = hosts or Hosts()
    app = FastAPI(title="monai-ceph review", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    page = files("monai_ceph.review") / "page"

    app.state.service = service

    @app.exception_handler(CephError)
    def refused(request: Request, error: CephError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(NotPossibleError)
    def not_possible(request: Request, error: NotPossibleError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503)

    @app.exception_handler(StoppedError)
    def stopped(request: Request, error: StoppedError) -> JSONResponse:
        return JSONResponse({"detail": f"cannot be written, and nothing was saved: {error}"}, 507)

    @app.exception_handler(OSError)
    def not_written(request: Request, error: OSError) -> JSONResponse:
        detail = f"cannot be written, and nothing was saved: {error.strerror or type(error).__name__}"
        return JSONResponse({"detail": detail}, 507)

    @app.exception_handler(Conflict)
    def conflict(request: Request, error: Conflict) -> JSONResponse:
        film = service.film(request.path_params["film_id"])
        return JSONResponse({"detail": str(error), "current": service.current(film).model_dump(mode="json")}, 409)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _refusal(request, token, allowed) or await call_next(request)
        for name, value in _HEADERS.items():
            answer.headers.setdefault(name, value)
        return answer

    @app.get("/", response_model=None)
    def index() -> Response:
        return FileResponse(str(page / "index.html"))

    @app.get("/api/session")
    def session() -> dict[str, Any]:
        terms = [(mark, True) for mark in LANDMARKS] + [(mark, False) for mark in EXTRA_LANDMARKS]
        return {
            "version": __version__,
            "deidentify": service.deidentify,
            "blind": service.blind,
            "reviewer": service.reviewer,
            "heatmaps": not service.blind and service.heatmaps.possible(),
            "targets": [] if service.sending is None else service.sending.targets,
            "vocabulary": [
                {
                    **{name: getattr(mark, name) for name in ("symbol", "name", "definition", "number")},
                    "detected": detected,
                }
                for mark, detected in terms
            ],
            "model": next((film.detection.model.model_dump() for film in service.films.all()), None),
        }

    @app.get("/api/films")
    def worklist() -> Response:
        return JSONResponse(service.worklist())

    @app.get("/api/films/{film_id}")
    def film_page(film: Film) -> Response:
        return JSONResponse(service.page(film))

    @app.get("/api/films/{film_id}/thumbnail")
    def thumbnail(film: Film) -> Response:
        return Response(service.thumbnail(film), media_type="image/png", headers={"Cache-Control": "private, no-cache"})

    @app.get("/api/films/{film_id}/pixels")
    def pixels(film: Film, request: Request) -> Response:
        found = service.pixels(film)
        packed = accepts_gzip(request.headers.get("accept-encoding", ""))
        etag = f'"{found.etag}{"-gzip" if packed else ""}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        if packed:
            headers["Content-Encoding"] = "gzip"
        return Response(found.packed if packed else found.data, media_type="application/octet-stream", headers=headers)

    @app.get("/api/films/{film_id}/heatmaps/{symbol}")
    def heatmap(film: Film, symbol: Annotated[str, Path(max_length=64)]) -> Response:
        _not_blind(service)
        try:
            found, same = service.heatmap(film, symbol)
        except KeyError as error:
            raise HTTPException(404, f"the model does not detect a landmark {symbol}") from error
        place = {name: getattr(found, name) for name in ("x", "y", "width", "height", "maximum")}
        headers = {"X-Monai-Ceph-Heatmap": json.dumps({**place, "same_model": same})}
        return Response(found.png, media_type="image/png", headers=headers)

    @app.post("/api/films/{film_id}/measure")
    def measure(film: Film, body: Measured) -> Response:
        # while a point moves, every millisecond counts: nothing here has to be made fit for JSON first
        return JSONResponse(service.measure(film, body))

    @app.put("/api/films/{film_id}/review")
    def save(film: Film, body: Save) -> dict[str, Any]:
        return service.save(film, body).model_dump(mode="json")

    @app.post("/api/films/{film_id}/sign")
    def sign(film: Film, body: Sign) -> dict[str, Any]:
        return service.sign(film, body).model_dump(mode="json")

    @app.get("/api/films/{film_id}/delivery")
    def delivery(film: Film) -> dict[str, Any]:
        _not_blind(service)
        return service.delivery(film)

    @app.post("/api/films/{film_id}/send")
    def send(film: Film) -> dict[str, Any]:
        _not_blind(service)
        return service.send(film)

    @app.get("/api/audit.csv")
    def audit_table() -> Response:
        return Response(audit_csv(service.store.folder), media_type="text/csv; charset=utf-8")

    @app.get("/api/accuracy")
    def accuracy_table() -> list[dict[str, Any]]:
        if service.blind:
            raise HTTPException(403, "a blind reader does not see the detection")
        return accuracy(service.films, service.store)

    @app.get("/api/readers")
    def readers_table() -> list[dict[str, Any]]:
        if service.blind:
            raise HTTPException(403, "a blind reader does not see the points of others")
        return readers(service.films, service.results / READINGS)

    @app.get("/api/readers/values")
    def readers_values(reader: str, reference: str) -> list[dict[str, Any]]:
        if service.blind:
            raise HTTPException(403, "a blind reader does not see the points of others")
        found = paired_values(service.films, service.results / READINGS, reader, reference)
        if found is None:
            raise HTTPException(404, "there is no such pair of readers")
        return found

    @app.get("/api/readers.csv")
    def readers_file() -> Response:
        return Response(readers_csv(readers_table()), media_type="text/csv; charset=utf-8")

    if (page / "assets").is_dir():
        app.mount("/assets", StaticFiles(directory=str(page / "assets")))
    return app


def _not_blind(service: ReviewService) -> None:
    if service.blind:
        raise HTTPException(403, "a blind reader does not see this")


def _refusal(request: Request, token: str | None, hosts: Hosts) -> Response | None:
    """Return the answer to a request that may not go on, otherwise None."""
    host = request.headers.get("host")
    if not hosts.allows(host):
        return PlainTextResponse("Invalid host header", 400)
    if request.method not in ("GET", "HEAD"):
        # a form of another site cannot send this header, and its scripts may not
        if request.headers.get("x-monai-ceph") != "1":
            return JSONResponse({"detail": "the header X-Monai-Ceph: 1 is missing"}, 403)
        origin = request.headers.get("origin")
        if origin is not None and not hosts.same_origin(origin, host):
            return JSONResponse({"detail": "the request comes from a page of another origin"}, 403)
    if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path.startswith("/api/"):
        return JSONResponse({"detail": "the request comes from a page of another origin"}, 403)
    if token is None:
        return None
    given = request.query_params.get("token")
    if given is not None and hmac.compare_digest(given.encode(), token.encode()):
        # the token leaves the address bar, and with it the browser's history
        answer = RedirectResponse(request.url.path, 303)
        answer.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return answer
    cookie = request.cookies.get(_COOKIE, "")
    if hmac.compare_digest(cookie.encode(), token.encode()):
        return None
    return JSONResponse({"detail": "a token is needed: open the address that monai-ceph review printed"}, 401)
