"""One authenticated, rate-limited, retried, decoded request; origin rules for the token; error bodies."""

from datarobot_mlops_async._api._addresses import (
    Query,
    is_whole_url,
    own_path,
    query_pairs,
    rebase,
    route_of,
    route_path,
)
from datarobot_mlops_async._api._answers import readable, retry_after, status_error
from datarobot_mlops_async._api._client import Api
from datarobot_mlops_async._api._credentials import Credentials
from datarobot_mlops_async._api._hooks import Hooks, OnRequest, OnResponse, RequestInfo, ResponseInfo
from datarobot_mlops_async._api._options import DEFAULT_TIMEOUT, USER_AGENT, Options, secrets_of
from datarobot_mlops_async._transport import Response

__all__ = [
    "DEFAULT_TIMEOUT",
    "USER_AGENT",
    "Api",
    "Credentials",
    "Hooks",
    "OnRequest",
    "OnResponse",
    "Options",
    "Query",
    "RequestInfo",
    "Response",
    "ResponseInfo",
    "is_whole_url",
    "own_path",
    "query_pairs",
    "readable",
    "rebase",
    "retry_after",
    "route_of",
    "route_path",
    "secrets_of",
    "status_error",
]
