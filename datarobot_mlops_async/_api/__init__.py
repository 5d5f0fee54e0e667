"""One authenticated, rate-limited, retried, decoded request; origin rules for the token; error bodies."""

from datarobot_mlops_async._api._addresses import Query, route_path
from datarobot_mlops_async._api._answers import status_error
from datarobot_mlops_async._api._client import Api, Options

__all__ = ["Api", "Options", "Query", "route_path", "status_error"]
