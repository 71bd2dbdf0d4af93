"""Errors of the labelling server, each with its HTTP status."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_ceph.errors import CephError

__all__ = ["NotThereError", "RefusedError", "named"]


class NotThereError(CephError):
    """The film, label, model or method does not exist: status 404."""


class RefusedError(CephError):
    """The server does this for no user: status 403."""


@contextmanager
def named(path: Path, name: str) -> Iterator[None]:
    """Replace a file's path in errors by the name that the client uses: clients must not see the server's paths.

    Raises:
        CephError: the error that was raised, of the same class, with the name instead of the path.
    """
    try:
        yield
    except CephError as error:
        raise type(error)(str(error).replace(str(path), name)) from error
