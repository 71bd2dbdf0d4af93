"""The MONAI Label app. The server and its workers import it from a ``main.py`` in the working folder."""

from __future__ import annotations

import copy
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monai_ceph.labelling import shims  # noqa: F401

# isort: split

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.batch_infer import BatchInferTask
from monailabel.tasks.activelearning.first import First
from pydantic import ValidationError

from monai_ceph.archives.config import DicomWebService
from monai_ceph.errors import CephError
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.dicomweb_store import MODALITIES, DicomWebStore
from monai_ceph.labelling.errors import NotThereError, RefusedError
from monai_ceph.labelling.folder_store import FolderStore
from monai_ceph.labelling.infer import InferLandmarks
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.labelling.scoring import RadialError
from monai_ceph.labelling.store import ORIGINAL, FilmStore, plain_tag
from monai_ceph.labelling.strategy import LowestScore
from monai_ceph.labelling.train import FineTune
from monai_ceph.profiles import load_profile
from monai_ceph.reports.notes import NOTICE
from monai_ceph.reports.object_settings import DEFAULT_SETTINGS, load_object_settings
from monai_ceph.version import __version__

__all__ = ["MARKUPS_MODEL", "MODEL", "CephalometricApp"]

logger = logging.getLogger(__name__)

MODEL = "cephalometric"
MARKUPS_MODEL = "cephalometric_markups"

# MONAI Label's default device for a batch
_DEFAULT_DEVICE = "cuda"
# age at which an upload was certainly left behind: longer than any request takes
_UPLOAD_SECONDS = 600


@contextmanager
def _removed_on_error(upload: Path) -> Iterator[None]:
    """Remove an upload after an error. MONAI Label would leave it behind."""
    try:
        yield
    except BaseException:
        if upload.parent == Path(tempfile.gettempdir()):
            upload.unlink(missing_ok=True)
        raise


def _tag_of_the_model(request: dict[str, Any]) -> str:
    """Return the tag for the model's landmarks, which is always ``original``.

    Raises:
        RefusedError: the client asks for another tag, such as ``final``, which is for labels saved by people.
    """
    tag = plain_tag(request.get("label_tag") or ORIGINAL)
    if tag != ORIGINAL:
        raise RefusedError(
            f"the model's landmarks are saved as {ORIGINAL!r}, not as {tag!r}. Save landmarks that a person reviewed "
            "with PUT /datastore/label"
        )
    return tag


def _save(store: FilmStore, name: str, tag: str, info: dict[str, Any]) -> str:
    """Save the landmarks from the params in ``info``, and return the film's name.

    The file for the client is not used: there may be none, or it may be a label map, which is less exact.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(info["params"], file)
        file.flush()
        return store.save_label(name, file.name, tag, info)


class _BatchInfer(BatchInferTask):
    """MONAI Label's batch inference, but also without a GPU: the original divides by the number of GPUs.

    Args:
        device: the server's torch device. It is used unless the client names a device. ``cuda`` does not count as
            named, because MONAI Label fills it in by default.
    """

    def __init__(self, device: str | None) -> None:
        self._device = device

    def __call__(self, request: dict[str, Any], datastore: Any, infer: Any) -> dict[str, Any]:
        """Detect film by film. A film without landmarks has the key ``error`` instead, with the cause.

        Raises:
            RefusedError: the client asks to save the results under another tag than ``original``.
        """
        _tag_of_the_model(request)

        def infer_or_report(film: dict[str, Any], store: Any) -> dict[str, Any]:
            """Detect on one film. If it cannot be read or is not a cephalogram, the batch continues."""
            try:
                answer: dict[str, Any] = infer(film, store)
            except RefusedError:
                raise
            except CephError as error:
                logger.warning("%s has no landmarks: %s", film.get("image"), error)
                return {"error": str(error)}
            return answer

        others = {key: value for key, value in request.items() if key not in ("multi_gpu", "gpus", "device")}
        device = str(request.get("device") or "")
        if device in ("", _DEFAULT_DEVICE):
            device = self._device or device
        return super().__call__({**others, "multi_gpu": False, "device": device}, datastore, infer_or_report)


class CephalometricApp(MONAILabelApp):
    """Landmarks on lateral cephalograms for MONAI Label's clients.

    Args:
        app_dir: working folder of the server, for weights, runs, scores and copies of films from a PACS.
        studies: a folder with films, or the URL of a DICOMweb server.
        conf: ``device``, ``modalities`` (separated by commas), ``overlays`` (bundle configs, separated by
            ``os.pathsep``), ``profile`` (a file), ``objects`` (a file with settings of the DICOM objects) and
            ``review_url`` (where people review and sign). All are optional.
    """

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        work, conf = Path(app_dir), conf or {}
        overlays = [path for path in conf.get("overlays", "").split(os.pathsep) if path]
        self._modalities = tuple(filter(None, conf.get("modalities", "").split(","))) or MODALITIES
        self._objects = load_object_settings(Path(conf["objects"])) if conf.get("objects") else DEFAULT_SETTINGS
        self._work = work
        profile = load_profile(conf["profile"]) if conf.get("profile") else None
        self._detectors = Detectors(work / "model" / "local.pt", conf.get("device") or None, overlays, profile)
        self._scores = ScoreBook(work / "scores.sqlite")
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name=f"monai-ceph {__version__}",
            description=f"Landmarks on lateral cephalograms. {NOTICE}"
            + (f" Review and sign: {conf['review_url']}" if conf.get("review_url") else ""),
            version=__version__,
        )

    def init_datastore(self) -> FilmStore:
        """Return the store for the folder or the DICOMweb server."""
        if not self.studies.startswith(("http://", "https://")):
            store = FolderStore(Path(self.studies))
            try:
                if taken := store.take_over_table():
                    logger.info("the points of %d films were taken over from landmarks.csv", taken)
            except CephError as error:
                logger.warning("its points are not taken over: %s", error)
            return store
        user, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
        login = {"username": user, "password": password} if user and password else {}
        try:
            service = DicomWebService.model_validate({"name": "PACS", "url": self.studies.rstrip("/"), **login})
        except ValidationError as error:
            raise CephError(f"{self.studies}: {error.errors()[0]['msg']}") from error
        prefixes = {
            "qido_url_prefix": settings.MONAI_LABEL_QIDO_PREFIX,
            "wado_url_prefix": settings.MONAI_LABEL_WADO_PREFIX,
            "stow_url_prefix": settings.MONAI_LABEL_STOW_PREFIX,
        }
        return DicomWebStore(service, self._work / "pacs", self._modalities, prefixes, self._objects)

    def init_infers(self) -> dict[str, Any]:
        """Return the model under both of its names."""
        return {
            MODEL: InferLandmarks(self._detectors, self._scores),
            MARKUPS_MODEL: InferLandmarks(self._detectors, self._scores, markups_only=True),
        }

    def init_trainers(self) -> dict[str, Any]:
        """Return the fine-tuning."""
        return {MODEL: FineTune(self._work / "runs", self._detectors, self._scores)}

    def init_strategies(self) -> dict[str, Any]:
        """Return the strategies, ours first."""
        return {"lowest_score": LowestScore(self._detectors, self._scores), "first": First()}

    def init_scoring_methods(self) -> dict[str, Any]:
        """Return the radial error."""
        return {"mre": RadialError(self._detectors)}

    def init_batch_infer(self) -> Any:
        """Return batch inference that also runs without a GPU."""
        return _BatchInfer(self._detectors.device)

    def on_init_complete(self) -> None:
        """Load the model now, so that the first request does not wait for it."""
        self._detectors.load_or_set_aside()
        super().on_init_complete()

    def replace_weights(self, model: str, file: Path) -> dict[str, Any]:
        """Replace the fine-tuned weights by a file, and return ``checksum`` and ``modified_time``.

        Raises:
            NotThereError: there is no such model.
            CephError: the file does not contain weights of the local network. The old weights stay.
        """
        self._infer_task(model)
        self._detectors.replace(file)
        info: dict[str, Any] = self.model_info(model)
        return {key: info[key] for key in ("checksum", "modified_time")}

    def _infer_task(self, model: Any) -> InferLandmarks:
        task: InferLandmarks | None = self._infers.get(model)
        if task is None:
            raise NotThereError(f"there is no model {model!r}; there are {', '.join(self._infers)}")
        return task

    def infer(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Detect on a film from the store, an upload or the image of a session.

        Raises:
            NotThereError: there is no such model or film.
            RefusedError: the client asks to save the landmarks under another tag than ``original``.
            CephError: the film cannot be read, or is not a cephalogram.
        """
        task = self._infer_task(request.get("model"))
        store: FilmStore = datastore or self.datastore()
        request, image = copy.copy(request), str(request.get("image") or "")
        # the store decides under which name a score is kept, never the client
        request.pop("image_id", None)
        tag = _tag_of_the_model(request) if request.get("save_label") else ORIGINAL
        if not image:
            raise NotThereError("the request names no film, or its session does not exist")
        if self._is_upload(image):
            with _removed_on_error(Path(image)):
                file, params = task(request)
            return {"label": file, "tag": ORIGINAL, "file": file, "params": params}
        request["image_id"], path = store.film(image)
        request["image"] = str(path)
        file, params = task(request)
        label = file
        if request.get("save_label"):
            saved = _save(store, request["image_id"], tag, {"model": request["model"], "params": params})
            # if the client wants no file, return none: MONAI Label would send the label's file and then remove it
            label = saved if file else None
        return {"label": label, "tag": ORIGINAL, "file": file, "params": params}

    def _is_upload(self, image: str) -> bool:
        """Return whether the server itself created this file: clients must not read other files of the machine."""
        places = [tempfile.gettempdir()]
        if self.sessions() is not None:
            places.append(self.sessions().store_path)
        path = Path(image).resolve()
        return path.is_file() and any(path.is_relative_to(Path(place).resolve()) for place in places)

    def cleanup_sessions(self) -> None:
        """Remove expired sessions, and files of refused uploads that MONAI Label left behind."""
        if self.sessions() is not None:
            self._remove_expired_sessions()
        for file in (self._work / "tmp").glob("*"):
            with suppress(OSError):
                if file.is_file() and time.time() - file.stat().st_mtime > _UPLOAD_SECONDS:
                    file.unlink()

    def _remove_expired_sessions(self) -> None:
        """Remove expired sessions. MONAI Label forgets those from before a restart, and stops at a damaged one."""
        for folder in Path(self.sessions().store_path).glob("*"):
            with suppress(OSError, ValueError):
                info = self.sessions().get_session(folder.name, update_ts=False, fetch_cache=False)
                used, expiry = (info.last_access_ts, info.expiry) if info else (folder.stat().st_mtime, _UPLOAD_SECONDS)
                if 0 < expiry < time.time() - used:
                    self.sessions().remove_session(folder.name)

    def next_sample(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the film that a strategy chooses, an empty dictionary if none is left.

        Raises:
            NotThereError: there is no such strategy.
        """
        strategy = self._strategies.get(request.get("strategy"))
        if strategy is None:
            raise NotThereError(
                f"there is no strategy {request.get('strategy')!r}; there are {', '.join(self._strategies)}"
            )
        found = strategy(request, self.datastore())
        return {**found, "path": self.datastore().get_image_uri(found["id"])} if found else {}

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fine-tune on the films with final labels.

        Raises:
            NotThereError: there is no such model.
        """
        task = self._trainers.get(request.get("model"))
        if task is None:
            raise NotThereError(f"there is nothing to train called {request.get('model')!r}; there is {MODEL}")
        return task(copy.copy(request), self.datastore())

    def scoring(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Score the model against the final labels.

        Raises:
            NotThereError: there is no such method.
        """
        task = self._scoring_methods.get(request.get("method"))
        if task is None:
            raise NotThereError(f"there is no scoring method {request.get('method')!r}; there is mre")
        return task(copy.copy(request), datastore or self.datastore())

    def infer_wsi(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Refuse: films are not slides."""
        raise CephError("films are not whole slide images. Use POST /infer/MODEL")
