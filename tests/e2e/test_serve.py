"""`angioatlas serve` as a process: who gets an answer, what it logs, how it ends."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from angioatlas.access.access import Access
from angioatlas.access.principal import Scope
from core.ids import create_key_file, load_key_file
from core.settings import Settings
from tests.support.cli import ROOT, angioatlas
from tests.support.retrieval_store import retrieval_store

SERVE = (sys.executable, "-m", "angioatlas.cli.main", "serve")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("serve")
    create_key_file(home / "identity.key")
    retrieval_store(home / "store", 6, key=load_key_file(home / "identity.key"))
    certify(home)
    return home


def certify(folder):
    """Write a certificate of 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def running(home, *words):
    """Run `angioatlas serve` until the block ends; yields the process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "HOME": str(home),
        "ANGIOATLAS_STATE_DIR": str(home / "state"),
        "ANGIOATLAS_IDENTITY_KEY": str(home / "identity.key"),
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [*SERVE, "--store", home / "store", "--port", str(port), *map(str, words)],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield process, port
        finally:
            process.kill()
            process.wait()


def test_a_server_from_its_start_to_its_end(home):
    _, token = Access(Settings(state_dir=home / "state")).create_key("viewer", [Scope.SEARCH], None)
    trusted = ssl.create_default_context(cafile=home / "cert.pem")
    tls = ["--tls-cert", home / "cert.pem", "--tls-key", home / "key.pem"]
    with running(home, *tls) as (process, port):
        address = f"https://127.0.0.1:{port}"
        client = httpx2.Client(base_url=address, verify=trusted, timeout=30)
        wait_until_ready(client, process)

        body = b'{"uid": "1.7.3", "k": 3}'
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        found = client.post("/v1/studies:similar", content=body, headers=headers)
        assert len(found.json()["hits"]) == 3
        assert client.post("/v1/studies:similar", content=body).status_code == 401
        client.get("/v1/studies/1.7.3", headers=headers)
        client.close()

        # Asked to end while a request is under way: it is answered, and no other.
        with trusted.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname="127.0.0.1"
        ) as connection:
            connection.sendall(
                b"POST /v1/studies:similar HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                + "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
                + f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[:5]
            )
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.sendall(body[5:])
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        process.wait(20)
    said = (home / "log").read_text()
    assert "POST /v1/studies:similar 200" in said
    assert "GET /v1/studies/{study_uid} 403" in said
    for secret in ("1.7.3", token, "Traceback"):
        assert secret not in said


def wait_until_ready(client, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.ConnectError:
            pass
        time.sleep(0.1)
    pytest.fail("the server is not ready")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--insecure-local", "--host", "0.0.0.0"], "answers anybody"),
        (["--insecure-local", "--host", "::"], "answers anybody"),
        (["--insecure-local", "--host", "127.0.0.1.example.org"], "answers anybody"),
        (["--tls-key", "key.pem"], "go together"),
    ],
)
def test_servers_that_are_not_started(home, tmp_path, words, said):
    words = [home / word if word == "key.pem" else word for word in words]
    done = angioatlas(tmp_path, "serve", "--store", home / "store", *words)
    assert done.returncode == 2
    assert said in done.stderr
