"""Makes MONAI Label 0.8.5 run with pydicom 3 and PyJWT 2. Import this module before MONAI Label.

MONAI Label imports pydicom_seg, which cannot be imported with pydicom 3 (MONAILabel issue 1841). Only DICOM SEG needs
it, so an empty module replaces it.
"""

from __future__ import annotations

import sys
import types
from functools import partial

__all__ = ["name_token_algorithm"]

sys.modules.setdefault("pydicom_seg", types.ModuleType("pydicom_seg"))


def name_token_algorithm() -> None:
    """Tell PyJWT 2 which algorithm signs the tokens; otherwise it refuses all of them. Keycloak uses RS256."""
    import jwt
    from monailabel.endpoints.user import auth

    auth.jwt = types.SimpleNamespace(decode=partial(jwt.decode, algorithms=["RS256"]))
