"""Fetch once: what an archive has goes to the node, through its inbox or over its DIMSE port."""

from __future__ import annotations

from dataclasses import dataclass

from monai_ceph.errors import CephError
from monai_ceph.pacs.check import check_folder, check_owner
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.inbox import put_into_inbox
from monai_ceph.pacs.selection import Selection
from monai_ceph.pacs.sources import Query, make_sources
from monai_ceph.pacs.spool import Spool

__all__ = ["Fetched", "fetch_films"]


@dataclass(frozen=True)
class Fetched:
    """SOP Instance UIDs of what was found, and a sentence for each that is not with the node."""

    found: list[str]
    causes: list[str]


def fetch_films(config: NodeConfig, source_name: str, query: Query, only_list: bool = False) -> Fetched:
    """Find films in an archive and have the node receive them.

    Args:
        config: of the node.
        source_name: of the archive, in the configuration.
        query: what is looked for.
        only_list: fetch nothing.

    Raises:
        CephError: no such source, it does not answer, or the folder is not that of a node, or another user's.
        OSError: the node's folder cannot be written.
    """
    check_folder(config.folder)
    if not only_list:
        check_owner(config.folder)
    sources = {source.name: source for source in make_sources(config.sources, config.ae_title)}
    if source_name not in sources:
        known = ", ".join(sources) or "none"
        raise CephError(f"no source {source_name} in the configuration; there are: {known}")
    source = sources[source_name]
    films = list(source.find(query, Selection(config.select)))
    causes: list[str] = []
    if only_list or not films:
        return Fetched([found.uid for found in films], causes)
    spool = Spool(config.folder, config.spool)
    for found in films:
        try:
            source.fetch(found, lambda dataset: put_into_inbox(dataset, spool))
        except (CephError, OSError) as error:
            causes.append(f"{found.uid}: {error}")
    return Fetched([found.uid for found in films], causes)
