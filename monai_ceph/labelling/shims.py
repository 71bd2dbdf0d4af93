"""Makes MONAI Label 0.8.5 run with pydicom 3 and PyJWT 2, and check its tokens. Import this module before MONAI Label.

MONAI Label imports pydicom_seg, which cannot be imported with pydicom 3 (MONAILabel issue 1841). Only DICOM SEG needs
it, so an empty module replaces it.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

__all__ = ["check_tokens"]

sys.modules.setdefault("pydicom_seg", types.ModuleType("pydicom_seg"))


ISSUER, AUDIENCE = "MONAI_CEPH_LABEL_ISSUER", "MONAI_CEPH_LABEL_AUDIENCE"
"""Environment variables: who must have issued a token, and for which client; by default as MONAI Label is set."""


def check_tokens() -> None:
    """Have tokens checked: MONAI Label takes one for any other program of the same realm, and one that never expires.

    It also names the algorithm, without which PyJWT 2 refuses all tokens. Keycloak uses RS256, and writes the client
    into ``azp``, and into ``aud`` if configured so.
    """
    import jwt
    from monailabel.config import settings
    from monailabel.endpoints.user import auth

    def decode(token: str, key: str, options: dict[str, Any]) -> dict[str, Any]:
        issuer = os.environ.get(ISSUER) or settings.MONAI_LABEL_AUTH_REALM_URI
        client = os.environ.get(AUDIENCE) or settings.MONAI_LABEL_AUTH_CLIENT_ID
        options = {**options, "verify_aud": False, "require": ["exp", "iss"]}
        payload: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=options, issuer=issuer)
        audience = payload.get("aud") or []
        if client not in ([audience] if isinstance(audience, str) else audience) and payload.get("azp") != client:
            raise jwt.InvalidAudienceError("the token is for another client")
        return payload

    auth.jwt = types.SimpleNamespace(decode=decode)
