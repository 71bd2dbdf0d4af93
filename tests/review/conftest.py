"""Fixtures of the review's tests."""

from review_server import address, films, results, serve

__all__ = ["address", "films", "results", "serve"]
