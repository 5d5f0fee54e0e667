"""What to do after an error, as data: every front end words it in its own terms."""

from __future__ import annotations

from enum import StrEnum


class Hint(StrEnum):
    """What to do next. A member equals its short, stable name; `advice` words it for callers of the library."""

    CHECK_ENDPOINT = "check_endpoint"
    CHECK_PROXY = "check_proxy"
    CHOOSE_WRITABLE = "choose_writable"
    FREE_SPACE = "free_space"
    GIVE_CREDENTIALS = "give_credentials"
    GIVE_CERTIFICATE = "give_certificate"
    NEW_TOKEN = "new_token"  # noqa: S105 - the name of an advice
    OVERWRITE = "overwrite"
    TRUST_AUTHORITY = "trust_authority"
    USE_CERTIFIED_NAME = "use_certified_name"
    USE_HTTP = "use_http"
    USE_HTTPS = "use_https"
    WAIT_AGAIN = "wait_again"
    WRONG_SERVER = "wrong_server"

    @property
    def advice(self) -> str:
        """The hint in Python's terms, to stand behind an error's message and a colon."""
        return _ADVICE[self]


_ADVICE = {
    Hint.CHECK_ENDPOINT: "check the endpoint; where the service is reached through a proxy, set HTTPS_PROXY or "
    "pass proxy=",
    Hint.CHECK_PROXY: "check the proxy (proxy=, or HTTPS_PROXY, HTTP_PROXY and ALL_PROXY in the environment), or "
    "name the service's host in NO_PROXY if it is reached without one",
    Hint.CHOOSE_WRITABLE: "choose a path that this process may write to",
    Hint.FREE_SPACE: "free space and call it again: what is there is kept and will be resumed",
    Hint.GIVE_CREDENTIALS: "set DATAROBOT_ENDPOINT and DATAROBOT_API_TOKEN, or write both to "
    "~/.config/datarobot/drconfig.yaml (keys endpoint and token), or pass endpoint= and token=",
    Hint.GIVE_CERTIFICATE: "pass the certificate that the server's owner gave you: cert='/path/of/client.pem', or "
    "ssl_cert in drconfig.yaml",
    Hint.NEW_TOKEN: "the token is wrong, has expired or was revoked: make a new one in DataRobot under "
    "'API keys and tools'",
    Hint.OVERWRITE: "pass overwrite=True to replace it",
    Hint.TRUST_AUTHORITY: "for an authority of your own pass verify='/path/of/ca.pem' or set ssl_verify in "
    "drconfig.yaml",
    Hint.USE_CERTIFIED_NAME: "use a host name that the certificate has; another authority does not help",
    Hint.USE_HTTP: "the server does not speak TLS there: use http://, or the port that speaks it",
    Hint.USE_HTTPS: "the server speaks TLS there: use https://",
    Hint.WAIT_AGAIN: "await it again, or resume it with session.operation(location)",
    Hint.WRONG_SERVER: "is this DataRobot? The endpoint is the address of its user interface, with or without "
    "/api/v2",
}
