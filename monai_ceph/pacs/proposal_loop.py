"""Proposes a profile from the reviews that people sign, in a thread. A person applies it, by the configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from monai_ceph.pacs.config import ProposeConfig
from monai_ceph.pacs.ledger import NodeLedger
from monai_ceph.pacs.logs import log
from monai_ceph.profiles import Profile, load_profile, profile_text
from monai_ceph.result import ModelIdentity
from monai_ceph.storage.written_files import WrittenFiles

if TYPE_CHECKING:
    from pathlib import Path

    from monai_ceph.profiles.pictures import KnownPictures
    from monai_ceph.profiles.proposal import Proposal, SignedFilm

__all__ = ["ProfileStanding", "ProposalLoop", "SignedFilms"]

SignedFilms: TypeAlias = "Callable[[], Mapping[tuple[str, int], SignedFilm]]"
"""Returns the films that people signed; each with the name of its result and the number of its newest signature."""


@dataclass(frozen=True)
class ProfileStanding:
    """What the signed films say of profiles, for the page and the metrics.

    Attributes:
        in_use: the profile that moves points, with its hash; None without one.
        signed: films that people signed.
        proposal: what a profile from them would gain, in a sentence.
        file: where the last proposal is; None if there is none.
        fits: whether the profile in use still fits, in a sentence or two; None if that cannot be said.
        films: those of the profile that would be proposed.
        now_mm: expected error as results are now; None without a scale, or before enough films.
        then_mm: the same with the proposal.
        changed: landmarks whose definition is no longer that of the profile in use.
    """

    in_use: str | None
    signed: int
    proposal: str
    file: str | None
    fits: str | None = None
    films: int = 0
    now_mm: float | None = None
    then_mm: float | None = None
    changed: int = 0


class ProposalLoop:
    """Checks the reviews at intervals, and writes a proposal after a number of newly signed films.

    Args:
        config: how many films, and where the proposal goes.
        in_use: the node's profile.
        identity: of the model that the node's workers have.
        mean_shape: returns the mean shape of this model, (N, 2), (x, y).
        signed: returns the signed films.
        ledger: its audit records each proposal.
        pictures: cache file of the films' pictures, so that none is read twice.
    """

    def __init__(
        self,
        config: ProposeConfig,
        in_use: Profile | None,
        identity: ModelIdentity,
        mean_shape: Callable[[], np.ndarray],
        signed: SignedFilms,
        ledger: NodeLedger,
        pictures: Path,
    ) -> None:
        self._config, self._in_use, self._identity = config, in_use, identity
        self._mean_shape, self._signed, self._ledger = mean_shape, signed, ledger
        self._pictures_file = pictures
        self._pictures: KnownPictures | None = None
        self.wake = threading.Event()
        self.cause: str | None = None
        """Why the last check failed."""
        self._learned: frozenset[tuple[str, int]] = frozenset()
        self._wanted, self._sentence = 1, "No film was signed yet."
        label = None if in_use is None else in_use.identity().label
        self.standing = ProfileStanding(label, 0, self._sentence, self._file())

    def run(self, ended: threading.Event) -> None:
        """Look until the node ends."""
        while not ended.is_set():
            try:
                self.learn_if_enough()
                self.cause = None
            except (
                Exception
            ) as error:  # whatever a review holds, or a full disk: films go on, and a person should check
                if self.cause != str(error):
                    log("no profile can be proposed", warning=True, cause=str(error))
                self.cause = str(error)
            self.wake.wait(self._config.every_s)

    def learn_if_enough(self) -> None:
        """Learn from the signed films if there are enough new ones.

        Raises:
            CephError: a review cannot be read, or the file of the proposal is not one that the node may replace.
            OSError: the disk is full or cannot be read.
        """
        signed = self._signed()
        if (new := len(signed.keys() - self._learned)) < self._wanted:
            self._tell(len(signed), self._wanted - new if self._learned else self._config.after_films)
            return
        # before the work, which would be done again and again
        WrittenFiles(self._config.file.parent).check(self._config.file.name)
        # imports what reads films, which a node without proposals does not need
        from monai_ceph.profiles.pictures import KnownPictures
        from monai_ceph.profiles.proposal import propose
        from monai_ceph.profiles.words import proposal_summary

        pictures = self._pictures = self._pictures or KnownPictures(self._pictures_file)
        films = list(signed.values())
        found = propose(films, self._in_use, self._identity, self._mean_shape(), self._config.name, pictures)
        pictures.keep(each.film.image for each in films)
        known = {film.picture for profile in (self._in_use, self._before()) if profile for film in profile.evidence}
        new = len(found.pictures - known)
        if found.profile is not None and new >= self._config.after_films:
            self._write(found.profile)
            log("profile proposed", films=found.films, file=str(self._config.file), cause=proposal_summary(found))
            self._ledger.audit("profile proposed", films=found.films, file=str(self._config.file))
            new = 0
        self._learned = frozenset(signed)
        # what is enough and was not proposed gains nothing: check again after as many more
        self._wanted = max(self._config.after_films - new, 0) or self._config.after_films
        self._sentence = proposal_summary(found)
        self.standing = self._standing(found)
        self._tell(len(signed), self._wanted)

    def _tell(self, signed: int, wanted: int) -> None:
        """Say how many films are signed, and how many more are needed."""
        more = f"The next proposal needs {wanted} more signed film{'' if wanted == 1 else 's'}."
        sentence = f"{self._sentence} {more}"
        self.standing = replace(self.standing, signed=signed, proposal=sentence, file=self._file())

    def _before(self) -> Profile | None:
        """Return the last proposal, None without one that this model can use."""
        if not self._config.file.exists():
            return None
        before = load_profile(self._config.file)
        return before if before.weights_sha256 == self._identity.weights_sha256 else None

    def _write(self, profile: Profile) -> None:
        file = self._config.file
        with WrittenFiles(file.parent).writing(file.name) as part:
            part.write_text(profile_text(profile), encoding="utf-8")

    def _file(self) -> str | None:
        return str(self._config.file) if self._config.file.exists() else None

    def _standing(self, found: Proposal) -> ProfileStanding:
        from monai_ceph.profiles.words import drift_summary

        fits = None
        if found.drift is not None and self._in_use is not None:
            fits = drift_summary(self._in_use, found.drift)
        return replace(
            self.standing,
            fits=fits,
            films=found.films,
            now_mm=_in_mm(found.now, found.radius_mm),
            then_mm=_in_mm(found.then, found.radius_mm),
            changed=sum(mark.changed for mark in found.drift.landmarks) if found.drift is not None else 0,
        )


def _in_mm(share: float, radius_mm: float | None) -> float | None:
    return None if radius_mm is None or np.isnan(share) else round(share * radius_mm, 3)
