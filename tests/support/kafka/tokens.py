"""An issuer of tokens over real HTTP: a token endpoint for client credentials, and its key set.

The tokens are JWTs, signed with RS256 by a key of the test.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "kafka"
ISSUER = "https://issuer.test"
KEY = "key-1"
LIFE = 3600.0


class Issuer:
    """The issuer. A test changes ``audience`` and ``life`` of the tokens to come.

    ``users`` is a folder with a folder for each client, and its password there in a file.
    """

    def __init__(self) -> None:
        self.users = Path()
        self.audience = AUDIENCE
        self.life = LIFE
        self.given: list[str] = []  # clients that got a token, in order
        self._trusted = _new_key()
        self._key = self._trusted
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def tokens(self) -> str:
        """The URL of the token endpoint."""
        return f"http://127.0.0.1:{self._port}/token"

    @property
    def keys(self) -> str:
        """The URL of the key set."""
        return f"http://127.0.0.1:{self._port}/keys"

    def sign_with_foreign_key(self) -> None:
        """Sign with another key than that of the key set, under the same name."""
        self._key = _new_key()

    def reset(self) -> None:
        """Undo what a test changed."""
        self.audience = AUDIENCE
        self.life = LIFE
        self._key = self._trusted
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, after a stop on the same port."""
        if self._server is not None:
            return
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def token(self, client: str) -> bytes:
        """Return the answer of the endpoint to a client that it knows."""
        self.given.append(client)
        now = int(time.time())
        claims = {"sub": client, "aud": self.audience, "iss": ISSUER, "iat": now}
        claims["exp"] = int(time.time() + self.life)
        head = {"alg": "RS256", "kid": KEY, "typ": "JWT"}
        text = b".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        sealed = self._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        token = b".".join((text, _text(sealed))).decode()
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self.life}
        return json.dumps(answer).encode()

    def key_set(self) -> bytes:
        """Return the JWKS."""
        public = self._trusted.public_key().public_numbers()
        numbers = {
            name: _text(value.to_bytes((value.bit_length() + 7) // 8)).decode()
            for name, value in (("n", public.n), ("e", public.e))
        }
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY, **numbers}
        return json.dumps({"keys": [key]}).encode()

    def _knows(self, header: str | None, form: bytes) -> str | None:
        """Return the client that shows the right password and asks for client credentials."""
        client, _, password = b64decode((header or " ").split(" ")[1]).decode().partition(":")
        right = (self.users / client / "password").read_text().strip()
        asks = b"grant_type=client_credentials" in form
        return client if asks and password == right else None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, issuer.key_set())

            def do_POST(self) -> None:
                form = self.rfile.read(int(self.headers["content-length"]))
                client = issuer._knows(self.headers["authorization"], form)
                if client is None:
                    self._answer(401, b'{"error": "invalid_client"}')
                else:
                    self._answer(200, issuer.token(client))

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _text(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
