"""The films that people signed, for a node that proposes a profile: a door does not look into another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_ceph.profiles.proposal import SignedFilm
    from monai_ceph.review.films import ResultFilms
    from monai_ceph.review.store import RevisionStore

__all__ = ["SignedFilmReader"]


class SignedFilmReader:
    """Returns the signed films of a node's folder for reviews. What did not change is not read again.

    Args:
        folder: with ``films`` and ``results``; they need not exist before the first call.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: tuple[ResultFilms, RevisionStore] | None = None

    def __call__(self) -> Mapping[tuple[str, int], SignedFilm]:
        """Return each signed film by the name of its result and the number of its newest signature.

        Raises:
            CephError: if there are no results, or the reviews cannot be read.
        """
        # imported at the first look: the command starts the node without them
        from monai_ceph.profiles.proposal import SignedFilm
        from monai_ceph.review import REVIEWS
        from monai_ceph.review.export import each_signed_film
        from monai_ceph.review.films import ResultFilms
        from monai_ceph.review.store import RevisionStore

        if self._opened is None:
            results = self._folder / "results"
            self._opened = ResultFilms(results, [self._folder / "films"]), RevisionStore(results / REVIEWS)
        return {
            (result.stem, revision.revision): SignedFilm(film, result.detection)
            for film, result, revision in each_signed_film(*self._opened, [])
        }
