"""The budget of open files: connections leave enough of them for the node's own files.

pynetdicom waits by select, which takes no descriptor from 1024 on, so that a higher limit of the system does not help.
"""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path

from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.guarded_http import MOST_CONNECTIONS, MOST_UPLOADS
from monai_ceph.pacs.guarded_https import MOST_HANDSHAKES
from monai_ceph.pacs.places import PENDING

__all__ = ["MOST", "check_open_files", "needed_files", "open_files"]

MOST = 1000
"""Open files at once that the node may need."""

# the program's own: libraries, the ledger, files that are read or written at the moment
_OWN = 64
# an association has a socket and the file that it receives
_PER_ASSOCIATION = 2
# a session, or the pipes of a process
_PER_PEER, _PER_WORKER = 4, 8


def needed_files(config: NodeConfig) -> int:
    """Return how many files a node may have open at once."""
    peers = (
        *config.targets.dicom,
        *config.targets.dicomweb,
        *config.targets.fhir,
        *config.sources.dicom,
        *config.sources.dicomweb,
        # each has a connection to its source, too
        *(2 * config.worklists),
    )
    return (
        _OWN
        + _PER_ASSOCIATION * (config.accept.max_associations + PENDING)
        + (MOST_CONNECTIONS + 16 if config.http is not None else 0)
        + (MOST_HANDSHAKES if config.http is not None and config.http.tls is not None else 0)
        + (MOST_UPLOADS if config.http is not None and config.http.stow else 0)
        + _PER_PEER * (len(peers) + (config.audit_syslog is not None))
        + _PER_WORKER * config.detect.workers
    )


def check_open_files(config: NodeConfig) -> None:
    """Raise the process's limit of open files as far as the configuration needs it.

    Raises:
        CephError: the configuration needs more than select can wait for, or than the system allows.
    """
    needed = needed_files(config)
    if needed > MOST:
        raise CephError(
            f"accept.max_associations is {config.accept.max_associations}: with the page, the workers and the archives "
            f"the node would need {needed} open files, and it can use {MOST}"
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
            return
        raise CephError(
            f"the node needs {needed} open files, and this process may open {soft}. Raise the limit (ulimit -n, "
            "LimitNOFILE= of systemd), or lower accept.max_associations"
        )


def open_files() -> tuple[int, int] | None:
    """Return how many files this process has open, and how many it may open; None if the system does not tell."""
    try:
        # the listing itself needs one
        count = len(list(Path("/proc/self/fd").iterdir())) - 1
    except OSError:
        return None
    return count, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
