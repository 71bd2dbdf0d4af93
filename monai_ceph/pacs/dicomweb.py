"""A session with a DICOMweb service (PS3.18)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient

from monai_ceph.pacs.config import DicomWebService

__all__ = ["dicomweb"]


@contextmanager
def dicomweb(config: DicomWebService) -> Iterator[Any]:
    """Yield a client of the service. It tries each request once: when to try again is decided by who asks."""
    with requests.Session() as session:
        if config.ca is not None:
            session.verify = str(config.ca)
        if config.token is not None:
            session.headers["Authorization"] = f"Bearer {config.token.get_secret_value()}"
        if config.username is not None and config.password is not None:
            session.auth = (config.username, config.password.get_secret_value())
        client = DICOMwebClient(config.url, session=session, timeout=config.timeout_s)
        client.set_http_retry_params(retry=False)
        yield client
