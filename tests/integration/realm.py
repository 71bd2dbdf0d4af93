"""The parts of an identity provider that MONAI Label needs: a Keycloak realm with two users, on loopback."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ROLES = ["monailabel-annotator", "monailabel-user"]
USERS = {"jane": ("Doe^Jane", ROLES), "guest": ("Guest", ["monailabel-user"])}
PASSWORD = "secret"


# users whose tokens are not right, and what is wrong; they have all of jane's roles
WRONG: dict[str, dict[str, object]] = {
    "other-issuer": {"iss": "http://other.example/realms/monailabel"},
    "no-issuer": {"iss": None},
    "other-client": {"azp": "another-app"},
    "other-audience": {"azp": None, "aud": ["another-app", "account"]},
    "for-ever": {"exp": None},
    "expired": {"exp": 1},
}


def _token(user: str, key: rsa.RSAPrivateKey, issuer: str) -> str:
    name, roles = USERS.get(user, USERS["jane"])
    claims: dict[str, object] = {"preferred_username": user, "name": name, "realm_access": {"roles": roles}}
    claims |= {
        "exp": time.time() + 600,
        "iss": issuer,
        "aud": "account",
        "azp": "monailabel-app",
        **WRONG.get(user, {}),
    }
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, key, algorithm="RS256")


@contextmanager
def realm() -> Iterator[str]:
    """Yield the URL of the realm."""
    key = rsa.generate_private_key(65537, 2048)
    public = base64.b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            known = self.path.endswith("openid-configuration")
            self._answer(200, {"token_endpoint": f"{here}/token"} if known else {"public_key": public})

        def do_POST(self) -> None:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            user = form["username"][0]
            if form["password"] != [PASSWORD] or user not in {**USERS, **WRONG}:
                self._answer(401, {"error": "invalid_grant"})
            else:
                self._answer(200, {"access_token": _token(user, key, here), "token_type": "Bearer"})

        def _answer(self, status: int, content: dict[str, str]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
