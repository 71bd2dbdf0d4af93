"""A session with a DICOMweb service (PS3.18)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient
from requests.utils import get_netrc_auth

from monai_ceph.archives.config import DicomWebService
from monai_ceph.archives.limits import LimitedSession
from monai_ceph.archives.stow import read_all_media_types

__all__ = ["NO_PREFIXES", "dicomweb", "web_session"]

NO_PREFIXES: Mapping[str, str | None] = MappingProxyType({})


@contextmanager
def dicomweb(config: DicomWebService, prefixes: Mapping[str, str | None] = NO_PREFIXES) -> Iterator[Any]:
    """Yield a ``DICOMwebClient``. It sends each request once; the caller decides when to retry.

    Args:
        config: address and login of the service. Without a login there, ``~/.netrc`` is read.
        prefixes: ``qido_url_prefix``, ``wado_url_prefix`` and ``stow_url_prefix``, for services that have them.
    """
    with web_session(config) as session:
        read_all_media_types(session)
        client = DICOMwebClient(config.url, session=session, timeout=config.timeout_s, **prefixes)
        client.set_http_retry_params(retry=False)
        yield client


@contextmanager
def web_session(config: DicomWebService) -> Iterator[requests.Session]:
    """Yield a session with a service's login, CA and limits. Without a login, ``~/.netrc`` is read.

    Args:
        config: address and login of the service.
    """
    with LimitedSession(config.timeout_s, config.total_s, config.max_mb * 2**20) as session:
        # requests itself would let the environment override the session, so that the configuration would not count
        given = session.merge_environment_settings(config.url, {}, None, None, None)
        session.trust_env = False
        session.proxies = given["proxies"]
        session.verify = given["verify"] if config.ca is None else str(config.ca)
        session.auth = _login(config)
        yield session


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
