"""nginx: ranges, rate limits, and links that expire (``secure_link``)."""

from __future__ import annotations

import base64
import getpass
import hashlib
import random
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.servers.processes import served

if TYPE_CHECKING:
    from pathlib import Path

_SECRET = "nginx-test-secret"
_CONFIG = """
worker_processes 2;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {directory}/access.log;
    sendfile on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/octet-stream;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        root {directory}/files;
        location /api/v2/slow/ {{ alias {directory}/files/; limit_rate 20m; }}
        location /api/v2/plain/ {{ alias {directory}/files/; }}
        location /store/ {{
            alias {directory}/files/;
            {guard}
        }}
    }}
}}
"""


@attrs.frozen(kw_only=True)
class Nginx:
    """A running nginx."""

    directory: Path
    port: int
    tls_port: int
    secure_links: bool

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v2"

    @property
    def tls_endpoint(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}/api/v2"

    def put(self, name: str, size: int) -> str:
        """Store random bytes; return their SHA-256."""
        data = random.Random(name).randbytes(size)
        (self.directory / "files" / name).write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def signed_query(self, name: str, seconds: int) -> str:
        """Return the query of a link that expires, as ``secure_link`` wants it."""
        expires = int(time.time()) + seconds
        digest = hashlib.md5(f"{expires}/store/{name} {_SECRET}".encode()).digest()
        signature = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return f"md5={signature}&expires={expires}"

    def requests(self) -> list[str]:
        return (self.directory / "access.log").read_text().splitlines()


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def nginx(tmp_path_factory, tls):
    binary = find_nginx()
    if binary is None:
        pytest.skip("nginx is not installed (Debian package nginx-light)")
    directory = tmp_path_factory.mktemp("nginx")
    directory.chmod(0o755)
    (directory / "files").mkdir()
    guard = (
        "secure_link $arg_md5,$arg_expires; "
        f'secure_link_md5 "$secure_link_expires$uri {_SECRET}"; '
        'if ($secure_link = "") { return 403; } if ($secure_link = "0") { return 410; }'
    )
    version = subprocess.run([binary, "-V"], capture_output=True, text=True, check=True).stderr
    secure = "http_secure_link_module" in version
    config = directory / "nginx.conf"

    def command(ports):
        config.write_text(
            _CONFIG.format(
                directory=directory,
                certificate=tls.certificate,
                key=tls.key,
                port=ports[0],
                tls_port=ports[1],
                guard=guard if secure else "",
            )
        )
        # Workers of a root-owned master run as nobody, who may not enter pytest's directories.
        user = f"user {getpass.getuser()};"
        return [binary, "-c", config, "-p", directory, "-e", directory / "error.log", "-g", user]

    with served(command, 2, is_up=_is_up, log=directory / "nginx.log") as (port, tls_port):
        yield Nginx(directory=directory, port=port, tls_port=tls_port, secure_links=secure)


def _is_up(ports):
    for port in ports:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return True
