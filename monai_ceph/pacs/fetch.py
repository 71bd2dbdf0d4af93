"""Fetches films from an archive once, into the node's inbox or over its DIMSE port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monai_ceph.archives.query import Found, Query, SourceError, cause_of
from monai_ceph.archives.selection import Selection
from monai_ceph.archives.sources import make_sources
from monai_ceph.errors import CephError, StoppedError
from monai_ceph.pacs.check import check_folder, check_owner
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.inbox import put_into_inbox
from monai_ceph.pacs.spool import Spool

__all__ = ["Fetched", "fetch_films"]


@dataclass(frozen=True)
class Fetched:
    """The result of a fetch.

    Attributes:
        found: SOP Instance UIDs of the films found.
        causes: a sentence for each film that was not fetched, one for all after the disk was full, and one for answers
            of the archive that cannot be used.
        taken: number of films that the node has.
    """

    found: list[str]
    causes: list[str]
    taken: int = 0


def fetch_films(
    config: NodeConfig,
    source_name: str,
    query: Query,
    only_list: bool = False,
    *,
    on_found: Callable[[int], None] = lambda count: None,
    on_film: Callable[[], None] = lambda: None,
) -> Fetched:
    """Find films in an archive and have the node receive them.

    Args:
        config: of the node.
        source_name: of the archive, in the configuration.
        query: the conditions.
        only_list: fetch nothing.
        on_found: called with the number of films before any is fetched.
        on_film: called after each film, fetched or not.

    Raises:
        CephError: the source is unknown or does not answer, or the folder is not a node's or belongs to another user.
        OSError: the node's folder cannot be written.
    """
    check_folder(config.folder)
    if not only_list:
        check_owner(config.folder)
    sources = {source.name: source for source in make_sources(config.sources, config.ae_title)}
    if source_name not in sources:
        known = ", ".join(sources) or "none"
        raise CephError(f"no source {source_name} in the configuration, only: {known}")
    source = sources[source_name]
    films: list[Found] = []
    causes: list[str] = []
    try:
        for found in source.find(query, Selection(config.select)):
            films.append(found)
    except SourceError as error:
        if not films:
            raise
        causes.append(str(error))
    uids = [found.uid for found in films]
    if only_list or not films:
        return Fetched(uids, causes)
    spool, taken = Spool(config.folder, config.spool), 0
    on_found(len(films))
    for found in films:
        if (cause := spool.lack_of_space()) is not None:
            causes.append(f"stopped early: {cause}")
            break
        try:
            source.fetch(found, lambda dataset: put_into_inbox(dataset, spool))
            taken += 1
        except StoppedError:
            raise
        except Exception as error:  # an archive can send anything
            causes.append(f"{found.uid}: {cause_of(error)}")
        on_film()
    return Fetched(uids, causes, taken)
