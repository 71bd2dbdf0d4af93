"""What can be checked of a configuration without starting a node."""

from __future__ import annotations

import os
import pwd
import ssl
from pathlib import Path

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.receiver import server_tls

__all__ = ["check_folder", "check_node", "check_owner", "open_to_others"]

# what a node makes there, and what a new file system has
_OURS = {"incoming", "inbox", "queue", "dead", "objects"}
_EMPTY = {".node.lock", "lost+found"}


def check_node(config: NodeConfig) -> None:
    """Check what can be checked without starting anything: certificates and keys, the folder, the ports, the device.

    Raises:
        CephError: what cannot be used.
    """
    check_folder(config.folder)
    if config.http is not None and config.http.port == config.port:
        raise CephError(f"http.port and port are both {config.port}")
    if (config.detect.device or "").startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise CephError(f"detect.device is {config.detect.device}, and no GPU can be used here")
    try:
        server_tls(config)
        for peer in (*config.targets.dicom, *config.sources.dicom, *config.storage_commitment):
            client_tls(peer.tls, peer.host)
    except OSError as error:
        raise CephError(f"a certificate or key cannot be used: {error}") from error
    for ca in (service.ca for service in (*config.targets.dicomweb, *config.sources.dicomweb)):
        try:
            ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise CephError(f"{ca}: no certificates of a CA: {error}") from error


def check_folder(folder: Path) -> None:
    """Check that a folder is, or can become, that of a node.

    Raises:
        CephError: if it is something else, or cannot be written.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise CephError(f"{folder}: {there} is no folder")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise CephError(f"{folder}: {there} cannot be written by this user")
    found = {each.name for each in folder.iterdir()} - _EMPTY if folder.is_dir() else set()
    if found and not found & _OURS:
        raise CephError(f"{folder}: not empty, and not the folder of a node; take one of its own")


def open_to_others(folder: Path) -> str | None:
    """Return a sentence if others than the owner may read a folder of a node, where names of patients are, or None."""
    if folder.exists() and (mode := folder.stat().st_mode) & 0o077:
        return f"{folder}: others than its owner may look into it (mode {mode & 0o777:o}); chmod 700 keeps them out"
    return None


def check_owner(folder: Path) -> None:
    """Check that what this user leaves in the folder of a node can be used by the node, which runs as its owner.

    Raises:
        CephError: if the folder is another user's, as it is for root beside a service.
    """
    if folder.exists() and os.geteuid() != (owner := folder.stat().st_uid):
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise CephError(f"{folder}: is the folder of user {name}, and the node's; run this as that user")
