"""Checks of a configuration before the node starts."""

from __future__ import annotations

import os
import pwd
from importlib.util import find_spec
from pathlib import Path

from monai_ceph.archives.client_tls import client_tls
from monai_ceph.archives.tls import client_context, server_context
from monai_ceph.errors import CephError
from monai_ceph.pacs.config import NodeConfig, ProposeConfig
from monai_ceph.pacs.open_files import check_open_files
from monai_ceph.pacs.receiver import server_tls
from monai_ceph.profiles import load_profile
from monai_ceph.profiles.profile import check_text
from monai_ceph.reports.fhir_reference import NO_FHIR
from monai_ceph.storage.written_files import WrittenFiles
from monai_ceph.work.config_trust import check_trust

__all__ = ["check_folder", "check_node", "check_owner", "check_proposal", "open_to_others", "unheard_reports"]

# what a node creates there, and what a new file system contains
_OURS = {"incoming", "inbox", "queue", "dead", "objects"}
_EMPTY = {".node.lock", ".node.turn", "lost+found"}


def check_node(config: NodeConfig) -> None:
    """Check certificates and keys, the folder, the ports and the device, without starting anything.

    Raises:
        CephError: something cannot be used.
    """
    check_folder(config.folder)
    if config.review_folder is not None:
        check_review_folder(config.review_folder, config.folder)
    check_open_files(config)
    if config.http is not None and config.http.port == config.port:
        raise CephError(f"http.port and port are both {config.port}")
    dicom = any("pdf" in target.objects for target in config.targets.dicom)
    if (dicom or any("pdf" in target.objects for target in config.targets.dicomweb)) and find_spec("reportlab") is None:
        raise CephError("a target gets pdf, and reportlab is not installed: pip install 'monai-ceph[report]'")
    if config.targets.fhir and find_spec("fhir") is None:
        raise CephError(f"targets.fhir: {NO_FHIR}")
    if (config.detect.device or "").startswith("cuda"):
        import torch

        if not torch.cuda.is_available():
            raise CephError(f"detect.device is {config.detect.device}, but this machine has no usable GPU")
    if not config.detect.trusted_config:
        check_trust(config.detect.config, "set detect.trusted_config to true")
    if config.detect.profile is not None:
        load_profile(config.detect.profile)
    if config.propose is not None:
        check_proposal(config.propose, config.detect.profile)
    try:
        server_tls(config)
        if config.http is not None and config.http.tls is not None:
            server_context(config.http.tls.certificate, config.http.tls.key)
        for peer in (*config.targets.dicom, *config.sources.dicom, *config.storage_commitment):
            client_tls(peer.tls, peer.host)
        if (server := config.audit_syslog) is not None:
            client_tls(server.tls, server.host)
    except OSError as error:
        raise CephError(f"a certificate or key cannot be used: {error}") from error
    services = (*config.targets.dicomweb, *config.targets.fhir, *config.sources.dicomweb, *config.worklists)
    for ca in (service.ca for service in services):
        try:
            client_context(ca)
        except OSError as error:
            raise CephError(f"{ca}: not a file of CA certificates: {error}") from error


def check_folder(folder: Path) -> None:
    """Check that a folder is, or can become, the folder of a node.

    Raises:
        CephError: it is something else, or cannot be written.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise CephError(f"{folder}: {there} is not a folder")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise CephError(f"{folder}: {there} cannot be written by this user")
    found = {each.name for each in folder.iterdir()} - _EMPTY if folder.is_dir() else set()
    if found and not found & _OURS:
        raise CephError(f"{folder}: neither empty nor the folder of a node. Choose another folder")


def check_review_folder(folder: Path, node: Path) -> None:
    """Check that a node can write a folder for reviews.

    Raises:
        CephError: it is in the node's own folder, is something else, or cannot be written.
    """
    if folder.absolute() == node.absolute() or node.absolute() in folder.absolute().parents:
        raise CephError(f"review_folder {folder}: is in the folder of the node. Choose another one")
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise CephError(f"review_folder {folder}: {there} is not a folder that this user can write")


def check_proposal(propose: ProposeConfig, in_use: Path | None) -> None:
    """Check that a node can write its proposals.

    Raises:
        CephError: the file is the profile in use, or another file that the node may not replace, or cannot be written.
    """
    file = propose.file
    if file.suffix.lower() not in (".yaml", ".yml"):
        raise CephError(f"propose.file {file}: the name must end in .yaml")
    if in_use is not None and file.resolve() == in_use.resolve():
        raise CephError(
            f"propose.file {file}: is the profile in use. Give another file, so that a person can compare both"
        )
    check_text("propose.name", propose.name)
    there = next(each for each in (file.parent, *file.parent.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise CephError(f"propose.file {file}: {there} is not a folder that this user can write")
    WrittenFiles(file.parent).check(file.name)


def open_to_others(folder: Path) -> str | None:
    """Return a warning if other users can read a folder of a node, which contains patients' names, else None."""
    if folder.exists() and (mode := folder.stat().st_mode) & 0o077:
        return f"{folder}: other users can read it (mode {mode & 0o777:o}). Run chmod 700 on it"
    return None


def unheard_reports(config: NodeConfig) -> list[str]:
    """Return a warning for each target whose report on storage commitment the node may reject."""
    titles = config.accept.calling_ae_titles
    return [
        f"targets.dicom {target.name}: its reports on storage commitment are rejected unless the AE title "
        f"that it calls by, such as {target.ae_title}, is in accept.calling_ae_titles"
        for target in config.targets.dicom
        if target.commitment_s is not None and titles != "any" and target.ae_title not in titles
    ]


def check_owner(folder: Path) -> None:
    """Check that the node, which runs as the folder's owner, can use files that this user creates there.

    Raises:
        CephError: the folder belongs to another user, for example if root runs a command beside a service.
    """
    if folder.exists() and os.geteuid() != (owner := folder.stat().st_uid):
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = str(owner)
        raise CephError(f"{folder}: the node's folder belongs to user {name}. Run this command as that user")
