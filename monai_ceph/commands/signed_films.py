"""The films that people signed, for a node that proposes a profile: a door does not import another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monai_ceph.profiles.proposal import SignedFilm
    from monai_ceph.review.films import ResultFilms, ReviewFilm
    from monai_ceph.review.models import StoredRevision
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
        self._made: dict[str, tuple[tuple[ReviewFilm, Path, StoredRevision], SignedFilm]] = {}

    def __call__(self) -> Mapping[tuple[str, int], SignedFilm]:
        """Return each signed film by the name of its result and the number of its newest signature.

        Raises:
            CephError: if there are no results, or the reviews cannot be read.
        """
        # imported at the first check: the command starts the node without them
        from monai_ceph.profiles.proposal import SignedFilm
        from monai_ceph.review import REVIEWS
        from monai_ceph.review.export import ExportSummary, dataset_film, films_at_hand
        from monai_ceph.review.films import ResultFilms
        from monai_ceph.review.store import RevisionStore

        if self._opened is None:
            results = self._folder / "results"
            self._opened = ResultFilms(results, [self._folder / "films"]), RevisionStore(results / REVIEWS)
        made = {}
        for parts in films_at_hand(*self._opened, False, ExportSummary()):
            film = parts[0]
            before = self._made.get(film.stem)
            # a result and a revision whose files are as before are the same objects
            if before is None or any(one is not other for one, other in zip(before[0], parts, strict=True)):
                before = parts, SignedFilm(dataset_film(*parts), film.detection)
            made[film.stem] = before
        self._made = made
        return {(stem, parts[2].revision): signed for stem, (parts, signed) in made.items()}
