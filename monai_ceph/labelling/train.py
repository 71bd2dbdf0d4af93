"""Fine-tunes the local network on the labels that people saved, starting from the shipped weights."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask
from monailabel.utils.others.generic import name_to_device

from monai_ceph import weights
from monai_ceph.errors import CephError
from monai_ceph.folders import BUNDLES
from monai_ceph.labelling.dataset import write_dataset
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.labelling.store import FilmStore
from monai_ceph.storage.atomic import written_beside

__all__ = ["FineTune", "configs"]

logger = logging.getLogger(__name__)

_MIN_FILMS = 2
# with at least this many films, one fifth of them is held out for validation
_MIN_TO_HOLD_OUT = 10


class FineTune(TrainTask):
    """Runs ``bundles/local.json`` with its overlays ``accurate.json`` and ``finetune.json`` on the labelled films.

    Training starts from the shipped weights, or from the fine-tuned ones if the request has ``initial_weights``
    "latest". With ten labelled films or more, a fifth of them is held out for validation. The result replaces this
    server's fine-tuned weights, never the shipped ones. In later requests, ``weights`` chooses between the two.

    Args:
        folder: where datasets, runs and the report of the last run are written.
        detectors: the server's detectors, which know where the fine-tuned weights are.
        scores: the scores of the films. They also say which films are mirrored or inverted; these are left out,
            because the networks are trained on films that face right with dark air.
    """

    def __init__(self, folder: Path, detectors: Detectors, scores: ScoreBook) -> None:
        super().__init__("Fine-tunes the local network on the films with final labels")
        self._folder = folder
        self._detectors = detectors
        self._scores = scores

    def config(self) -> dict[str, Any]:
        """Return the options of a request with their defaults. In a list of choices, the first is the default."""
        return {"max_epochs": 20, "learning_rate": 0.0002, "initial_weights": ["shipped", "latest"], "device": ""}

    def stats(self) -> dict[str, Any]:
        """Return the report of the last training, empty before the first."""
        file = self._folder / "last.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def __call__(self, request: dict[str, Any], datastore: FilmStore) -> dict[str, Any]:
        """Train, and return the number of films, the folder of the run and the hash of the weights.

        Raises:
            CephError: there are fewer than two labelled films, an option is not valid, or the bundle failed.
        """
        run = self._folder / time.strftime("%Y%m%d-%H%M%S")
        self._score_new_films(datastore)
        excluded = self._scores.mirrored_or_inverted()
        for name in sorted(excluded & set(datastore.get_labeled_images())):
            logger.warning("%s is left out: the networks are trained on films that face right with dark air", name)
        try:
            names = write_dataset(datastore, run / "dataset", without=excluded)
            if len(names) < _MIN_FILMS:
                raise CephError(f"training needs {_MIN_FILMS} films with final labels, but there are {len(names)}")
            overlay = self._overlay(request, run, len(names))
        except CephError:
            # training never started, so remove the folder of the run
            shutil.rmtree(run, ignore_errors=True)
            raise
        (run / "run.json").write_text(json.dumps(overlay, indent=1) + "\n", encoding="utf-8")
        _run_bundle(run / "run.json")
        weights.export(str(run / "final.pt"), str(self._detectors.tuned))
        result = {
            "films": len(names),
            "epochs": overlay["max_epochs"],
            "held_out": overlay["fold"] is not None,
            "run": run.name,
            "weights_sha256": weights.sha256(str(self._detectors.tuned)),
        }
        with written_beside(self._folder / "last.json") as part:
            part.write_text(json.dumps(result), encoding="utf-8")
        return result

    def _score_new_films(self, datastore: FilmStore) -> None:
        """Detect on labelled films without a score: a client may save labels without asking for a detection."""
        known = self._scores.films_with_view()
        for name in datastore.get_labeled_images():
            if name not in known:
                try:
                    # a person labelled the film, so it is a cephalogram. The shipped weights saw more films in training
                    detection = self._detectors.detect(datastore.film(name)[1], "shipped", force=True)
                except CephError as error:
                    logger.warning("cannot tell whether %s faces right: %s", name, error)
                else:
                    self._scores.note(name, detection)

    def _overlay(self, request: dict[str, Any], run: Path, films: int) -> dict[str, Any]:
        defaults = self.config()
        start = _option(request, "initial_weights", defaults)
        if start not in defaults["initial_weights"]:
            raise CephError(f"initial_weights must be 'shipped' or 'latest', not {start!r}")
        tuned = start == "latest" and self._detectors.tuned.is_file()
        try:
            epochs, rate = (kind(_option(request, key, defaults)) for key, kind in _NUMBERS.items())
        except (TypeError, ValueError) as error:
            raise CephError(f"max_epochs and learning_rate must be numbers: {error}") from error
        if epochs < 1 or not rate > 0:
            raise CephError(f"max_epochs must be at least 1 and learning_rate positive, not {epochs} and {rate}")
        device = name_to_device(_option(request, "device", defaults) or self._detectors.device)
        return {
            "dataset_dir": str(run / "dataset"),
            "output_dir": str(run),
            "initial_weights": str(self._detectors.tuned) if tuned else weights.path("local"),
            "device": f"$torch.device({str(device)!r})",
            "max_epochs": epochs,
            "learning_rate": rate,
            "val_interval": epochs,
            "fold": 0 if films >= _MIN_TO_HOLD_OUT else None,
            "folds": 5 if films >= _MIN_TO_HOLD_OUT else _MIN_FILMS,
        }


_NUMBERS: dict[str, type[int] | type[float]] = {"max_epochs": int, "learning_rate": float}


def _option(request: dict[str, Any], key: str, defaults: dict[str, Any]) -> Any:
    """Return an option of the request, else its default. Of a list of choices, return the first."""
    value = request.get(key)
    value = defaults[key] if value in (None, "") else value
    return value[0] if isinstance(value, list) else value


def configs(overlay: Path) -> list[str]:
    """Return the config files of a run, each overlaid on the ones before it."""
    names = ("local.json", "overlays/accurate.json", "overlays/finetune.json")
    return [*(str(BUNDLES / name) for name in names), str(overlay)]


def _run_bundle(overlay: Path) -> None:
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", str(configs(overlay))]
    meta = ["--meta_file", str(BUNDLES / "metadata.json"), "--logging_file", str(BUNDLES / "logging.conf")]
    last_lines: deque[str] = deque(maxlen=5)
    with subprocess.Popen(
        [*command, *meta], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            if line.strip():
                last_lines.append(line.rstrip())
                logger.info("%s", line.rstrip())
    if process.returncode:
        raise CephError(f"the training bundle failed (exit code {process.returncode}): {' | '.join(last_lines)}")
