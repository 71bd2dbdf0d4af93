"""What can be checked of a configuration without starting a node."""

from __future__ import annotations

from monai_ceph.errors import CephError
from monai_ceph.pacs.client_tls import client_tls
from monai_ceph.pacs.config import NodeConfig
from monai_ceph.pacs.receiver import server_tls

__all__ = ["check_node"]


def check_node(config: NodeConfig) -> None:
    """Check what can be checked without starting anything: that certificates and keys can be used.

    Raises:
        CephError: what cannot.
    """
    try:
        server_tls(config)
        for peer in (*config.targets.dicom, *config.sources.dicom, *config.storage_commitment):
            client_tls(peer.tls, peer.host)
    except OSError as error:
        raise CephError(f"a certificate or key cannot be used: {error}") from error
