"""The HTTP side of a review: the page, its data, and who may ask for them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic_core import to_json

from monai_ceph.errors import CephError, StoppedError
from monai_ceph.landmarks import EXTRA_LANDMARKS, LANDMARKS
from monai_ceph.review import READINGS
from monai_ceph.review.films import ReviewFilm
from monai_ceph.review.guard import Guard
from monai_ceph.review.heatmaps import NotPossibleError
from monai_ceph.review.hosts import Hosts
from monai_ceph.review.models import Measured, Save, Sign
from monai_ceph.review.pictures import accepts_gzip
from monai_ceph.review.service import ReviewService
from monai_ceph.review.store import Conflict
from monai_ceph.review.study import accuracy, audit_csv, paired_values, readers, readers_csv
from monai_ceph.version import __version__

__all__ = ["make_app"]

FilmId = Annotated[str, Path(max_length=64)]


def _film_of(request: Request, film_id: FilmId) -> ReviewFilm:
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

    app.add_middleware(Guard, token=token, hosts=hosts or Hosts())

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
    async def measure(request: Request, film_id: FilmId, body: Measured) -> Response:
        # while a point moves, every millisecond counts: no thread is started, and nothing made fit for JSON first
        film = service.films.unchanged(film_id) or await run_in_threadpool(_film_of, request, film_id)
        return Response(to_json(service.measure(film, body)), media_type="application/json")

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
