"""The review of results by a person, in the browser: a server on this machine, revisions, an audit."""

__all__ = ["READINGS", "REVIEWS"]

REVIEWS = "reviews"
"""Folder in the results with the reviews."""

READINGS = "readings"
"""Folder in the results with a folder per blind reader."""
