"""The errors that a user of the package meets. Each message names the file and the cause."""

from __future__ import annotations


class CephError(Exception):
    """Base of every error that the package raises on purpose."""


class ReadError(CephError):
    """A file cannot be read as a radiograph: truncated, empty, not an image, an unsupported shape."""


class DatasetError(CephError):
    """A dataset folder or its annotation file does not have the documented layout."""


class RejectedError(CephError):
    """A readable image that does not look like a lateral cephalogram."""


class StoppedError(CephError):
    """A run cannot go on, with any film: a full disk, a folder without permission, a device that failed."""
