"""A session with a DICOMweb service (PS3.18)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from requests.utils import get_netrc_auth

from monai_ceph.archives.config import DicomWebService
from monai_ceph.archives.stow import read_all_media_types

__all__ = ["dicomweb"]


@contextmanager
def dicomweb(config: DicomWebService) -> Iterator[Any]:
    """Yield a client of the service. It tries each request once: when to try again is decided by who asks."""
    with requests.Session() as session:
        # asked for here: where requests asks the environment itself, it puts that before what the session says
        given = session.merge_environment_settings(config.url, {}, None, None, None)
        session.trust_env = False
        session.proxies = given["proxies"]
        session.verify = given["verify"] if config.ca is None else str(config.ca)
        session.auth = _login(config)
        read_all_media_types(session)
        client = DICOMwebClient(config.url, session=session, timeout=config.timeout_s)
        client.set_http_retry_params(retry=False)
        yield client


def _login(config: DicomWebService) -> Any:
    if config.token is not None:
        token = config.token.get_secret_value()

        def bear(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Bearer {token}"
            return request

        return bear
    if config.username is not None and config.password is not None:
        return config.username, config.password.get_secret_value()
    return get_netrc_auth(config.url)
