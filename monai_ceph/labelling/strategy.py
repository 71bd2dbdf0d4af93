"""Chooses the film that a person should label next."""

from __future__ import annotations

import logging
from typing import Any

from monailabel.interfaces.tasks.strategy import Strategy

from monai_ceph.errors import CephError, ReadError, RejectedError
from monai_ceph.labelling.detectors import Detectors
from monai_ceph.labelling.scores import ScoreBook
from monai_ceph.labelling.store import FilmStore

__all__ = ["LowestScore"]

logger = logging.getLogger(__name__)

_MAX_FILMS = 20


class LowestScore(Strategy):
    """Offers the film without a final label whose landmarks have the lowest mean score.

    Scores of earlier detections are used, for example from a batch inference. Films that the current weights have not
    scored are detected on first, but at most ``max_films`` (from the request, default 20), so that nobody waits long
    for an answer. Films that cannot be read or are not cephalograms are never offered.

    Args:
        detectors: the server's detectors.
        scores: where scores are stored.
    """

    def __init__(self, detectors: Detectors, scores: ScoreBook) -> None:
        super().__init__("The film with the lowest mean score of its landmarks first")
        self._detectors = detectors
        self._scores = scores

    def __call__(self, request: dict[str, Any], datastore: FilmStore) -> dict[str, Any] | None:
        """Return ``id``, ``score`` (the mean) and ``lowest_score`` of the film, None if no film has a score."""
        model = self._detectors.get().identity
        waiting = datastore.get_unlabeled_images(request.get("label_tag"))
        known = self._scores.of_model(model)
        for name in [name for name in waiting if name not in known][: int(request.get("max_films") or _MAX_FILMS)]:
            try:
                self._scores.note(name, self._detectors.detect(datastore.film(name)[1]))
            except (ReadError, RejectedError) as error:
                logger.warning("%s is not offered: %s", name, type(error).__name__)
                self._scores.note_failure(name, model)
            except CephError as error:  # the archive may answer next time
                logger.warning("%s is not offered now: %s", name, error)
        known = self._scores.of_model(model)
        scored = sorted((known[name].mean, name) for name in waiting if name in known and known[name].mean is not None)
        if not scored:
            return None
        name = scored[0][1]
        return {"id": name, "score": known[name].mean, "lowest_score": known[name].lowest}
