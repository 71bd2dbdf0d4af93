"""What a client asked for and does not get, with the HTTP status that says so."""

from __future__ import annotations

from monai_ceph.errors import CephError

__all__ = ["NotThereError", "RefusedError"]


class NotThereError(CephError):
    """There is no such film, label, model or method: status 404."""


class RefusedError(CephError):
    """The server does not do this, whoever asks: status 403."""
