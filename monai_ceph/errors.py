"""The errors that the package raises. Each message names the file and the cause."""

from __future__ import annotations


class CephError(Exception):
    """Base of every error that the package raises on purpose."""


class ReadError(CephError):
    """A film cannot be read as a radiograph, such as a file that is truncated, empty or no image."""


class DatasetError(CephError):
    """A dataset folder or its annotation file does not have the documented layout."""


class RejectedError(CephError):
    """An image was read, but does not look like a lateral cephalogram."""


class StoppedError(CephError):
    """A run cannot continue with any film, for example because the disk is full or the device failed."""
