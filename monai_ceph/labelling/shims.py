"""What MONAI Label 0.8.5 needs to run beside pydicom 3 and PyJWT 2. Import this module before it.

MONAI Label imports pydicom_seg, which cannot be imported with pydicom 3 (MONAILabel issue 1841) and serves DICOM SEG
alone: an empty module takes its place.
"""

from __future__ import annotations

import sys
import types
from functools import partial

__all__ = ["name_token_algorithm"]

sys.modules.setdefault("pydicom_seg", types.ModuleType("pydicom_seg"))


def name_token_algorithm() -> None:
    """Name the algorithm of tokens, without which PyJWT 2 refuses all of them. Keycloak signs with RS256."""
    import jwt
    from monailabel.endpoints.user import auth

    auth.jwt = types.SimpleNamespace(decode=partial(jwt.decode, algorithms=["RS256"]))
