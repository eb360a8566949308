"""Certificates that are renewed on disk, over real TLS: the next connection has them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rpm_stream.app.broker import keys as broker_keys
from rpm_stream.app.broker.keys import Folder
from rpm_stream.app.gateway.ble.kafka_file import kafka_options
from rpm_stream.app.kafka.security import security

HOST = "localhost"


@pytest.fixture
def authorities(tmp_path: Path) -> tuple[Folder, Folder]:
    """Two authorities with a broker each."""
    made = Folder(tmp_path / "first"), Folder(tmp_path / "second")
    for folder in made:
        broker_keys.prepare(folder, (HOST,))
    return made


@pytest.fixture(params=["settings", "gateway's file"])
def context(
    authorities: tuple[Folder, Folder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> ssl.SSLContext:
    """The context of a client "before", made once; its files are in the folder ``client``."""
    place = tmp_path / "client"
    place.mkdir()
    issue(authorities[0], "before", place)
    shutil.copy(authorities[0].authority, place / "ca.pem")
    if request.param == "settings":
        monkeypatch.setenv("RPM_KAFKA_PROTOCOL", "SSL")
        for name in ("CA", "CERTIFICATE", "KEY"):
            monkeypatch.setenv(f"RPM_KAFKA_{name}", str(place / f"{name.lower()}.pem"))
        given = security().arguments()
    else:
        file = place / "kafka.toml"
        lines = (f'{key} = "{value}"' for key, value in BY_FILE.items())
        file.write_text("\n".join(lines))
        given = kafka_options(file)
    found = given["ssl_context"]
    assert isinstance(found, ssl.SSLContext)
    return found


BY_FILE = {
    "security_protocol": "SSL",
    "ssl_cafile": "ca.pem",
    "ssl_certfile": "certificate.pem",
    "ssl_keyfile": "key.pem",
}


def issue(authority: Folder, name: str, place: Path) -> None:
    """Write a certificate and its key over the client's."""
    made = broker_keys.client_certificate(authority, name)
    for path, target in zip(made, ("certificate.pem", "key.pem"), strict=True):
        replace(path, place / target)


def replace(source: Path, target: Path) -> None:
    """Replace a file as a whole, as a renewal does."""
    beside = target.with_suffix(".new")
    shutil.copy(source, beside)
    beside.replace(target)


@asynccontextmanager
async def serving(authority: Folder) -> AsyncIterator[int]:
    """Serve with the authority's broker certificate; send each client its own name."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.authority)
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_cert_chain(authority.broker / "broker.pem", authority.broker / "broker.key")

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subject = writer.get_extra_info("peercert")["subject"]
        writer.write(subject[0][0][1].encode() + b"\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_side)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def name_seen(port: int, context: ssl.SSLContext) -> str:
    """Connect, and return the name in the certificate that the server saw."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=HOST
    )
    try:
        return (await reader.readline()).decode().strip()
    finally:
        writer.close()


@pytest.mark.asyncio
async def test_the_next_connection_has_the_renewed_certificate(
    authorities: tuple[Folder, Folder], context: ssl.SSLContext, tmp_path: Path
) -> None:
    async with serving(authorities[0]) as port:
        assert await name_seen(port, context) == "before"
        issue(authorities[0], "after", tmp_path / "client")
        with capture_logs() as logs:
            assert [await name_seen(port, context) for _ in range(2)] == ["after", "after"]
    assert [each["event"] for each in logs] == ["kafka.certificates_renewed"]


@pytest.mark.asyncio
@pytest.mark.parametrize("wrong", ["half of a pair", "no certificate", "no file"])
async def test_a_wrong_file_leaves_what_was_there_and_is_read_again(
    authorities: tuple[Folder, Folder], context: ssl.SSLContext, tmp_path: Path, wrong: str
) -> None:
    place = tmp_path / "client"
    certificate, key = broker_keys.client_certificate(authorities[0], "after")
    if wrong == "half of a pair":
        replace(certificate, place / "certificate.pem")
    elif wrong == "no certificate":
        (place / "certificate.pem").write_text("no certificate")
    else:
        (place / "certificate.pem").unlink()
    async with serving(authorities[0]) as port:
        with capture_logs() as logs:
            assert await name_seen(port, context) == "before"
        assert [each["event"] for each in logs] == ["kafka.certificates_unusable"]
        replace(certificate, place / "certificate.pem")
        replace(key, place / "key.pem")
        assert await name_seen(port, context) == "after"


@pytest.mark.asyncio
async def test_a_new_authority_replaces_the_old_one(
    authorities: tuple[Folder, Folder], context: ssl.SSLContext, tmp_path: Path
) -> None:
    old, new = authorities
    issue(new, "after", tmp_path / "client")
    async with serving(new) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await name_seen(port, context)
        replace(new.authority, tmp_path / "client" / "ca.pem")
        assert await name_seen(port, context) == "after"
    async with serving(old) as port:
        with pytest.raises(ssl.SSLCertVerificationError):
            await name_seen(port, context)
