"""What a client asked for and does not get, with the HTTP status that says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monai_ceph.errors import CephError

__all__ = ["NotThereError", "RefusedError", "named"]


class NotThereError(CephError):
    """There is no such film, label, model or method: status 404."""


class RefusedError(CephError):
    """The server does not do this, whoever asks: status 403."""


@contextmanager
def named(path: Path, name: str) -> Iterator[None]:
    """Call a file in an error as the client does, which has no business with paths of the server.

    Raises:
        CephError: of the same class, with the name for the path.
    """
    try:
        yield
    except CephError as error:
        raise type(error)(str(error).replace(str(path), name)) from error
