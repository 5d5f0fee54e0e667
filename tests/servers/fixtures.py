"""The servers as fixtures: a pytest plugin, named in ``pytest_plugins`` by the tests that use them."""

from tests.servers.containers import docker_socket, podman_storage, registry
from tests.servers.nginx import nginx
from tests.servers.proxies import proxy, socks_proxy, tls_proxy
from tests.servers.s3 import s3
from tests.servers.storage import storage, tls_storage
from tests.servers.tls import tls

__all__ = [
    "docker_socket",
    "nginx",
    "podman_storage",
    "proxy",
    "registry",
    "s3",
    "socks_proxy",
    "storage",
    "tls",
    "tls_proxy",
    "tls_storage",
]
