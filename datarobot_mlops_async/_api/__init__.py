"""One authenticated, rate-limited, retried, decoded request; origin rules for the token; error bodies."""

from datarobot_mlops_async._api._addresses import Query, rebase, route_path
from datarobot_mlops_async._api._answers import readable, retry_after, status_error
from datarobot_mlops_async._api._client import Api, Options
from datarobot_mlops_async._transport import Response

__all__ = [
    "Api",
    "Options",
    "Query",
    "Response",
    "readable",
    "rebase",
    "retry_after",
    "route_path",
    "status_error",
]
