"""A certificate authority of the tests' own."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import attrs
import pytest
import trustme

if TYPE_CHECKING:
    from pathlib import Path


@attrs.frozen(kw_only=True)
class Authority:
    """Files of an authority and of a certificate for 127.0.0.1 and localhost."""

    ca_file: Path
    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_authority(directory: Path) -> Authority:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    made = Authority(
        ca_file=directory / "ca.pem", certificate=directory / "certificate.pem", key=directory / "key.pem"
    )
    authority.cert_pem.write_to_path(made.ca_file)
    issued.private_key_pem.write_to_path(made.key)
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(made.certificate, append=number > 0)
    return made


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("tls"))
