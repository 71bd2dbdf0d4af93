"""Errors of the labelling server, each with its HTTP status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_ceph.errors import CephError

__all__ = ["NotThereError", "RefusedError", "named"]


class NotThereError(CephError):
    """There is no such film, label, model or method: status 404."""


class RefusedError(CephError):
    """The server never does this, for any user: status 403."""


@contextmanager
def named(path: Path, name: str) -> Iterator[None]:
    """Replace a file's path in errors by the client's name for it: clients must not see the server's paths.

    Raises:
        CephError: of the same class, with the name instead of the path.
    """
    try:
        yield
    except CephError as error:
        raise type(error)(str(error).replace(str(path), name)) from error
