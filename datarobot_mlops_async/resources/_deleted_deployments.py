"""Deleted deployments: list them, erase their data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datarobot_mlops_async.errors import MLOpsError, OperationError
from datarobot_mlops_async.models import DeletedDeployment
from datarobot_mlops_async.operations import Operation
from datarobot_mlops_async.resources._arguments import texts
from datarobot_mlops_async.resources._base import Resource, nothing

if TYPE_CHECKING:
    from datarobot_mlops_async.pagination import Paginator
    from datarobot_mlops_async.resources._arguments import OneOrMore

_IDS_A_REQUEST = 100


class DeletedDeployments(Resource):
    """``session.deleted_deployments``: on-premise only, with the permission ``CAN_DELETE_APP_PROJECTS``.

    ::

        deleted = await session.deleted_deployments.list().collect()
        await (await session.deleted_deployments.begin_erase([each.id for each in deleted]))
    """

    def list(self, *, page_size: int = 100, limit: int | None = None) -> Paginator[DeletedDeployment]:
        """List deleted deployments, in the server's order. Implements ``GET /deletedDeployments/``.

        The server tells no total, so pages are read one after the other.

        Args:
            page_size: Rows a request, 1 to 100.
            limit: The most rows wanted; ``None`` for all.
        """
        return self._paginator(DeletedDeployment, "deletedDeployments/", locals())

    async def begin_erase(self, deployment_ids: OneOrMore[str]) -> Operation[None]:
        """Erase all data of deleted deployments, for good. Implements ``PATCH /deletedDeployments/``.

        The API takes 100 ids a request; more are sent in several requests, one after the other.

        Args:
            deployment_ids: Any number of ids, each erased once however often it is named.

        Returns:
            One operation for all of them.

        Raises:
            ValueError: There are no ids. Nothing was sent.
            OperationError: A later request failed (its error is the cause). The operation on the exception
                stands for the requests that were accepted; the message counts their ids.
        """
        ids = list(dict.fromkeys(texts("deployment_ids", deployment_ids)))
        locations: list[str] = []
        for done in range(0, len(ids), _IDS_A_REQUEST):
            chunk = ids[done : done + _IDS_A_REQUEST]
            try:
                response = await self._api.send(
                    "PATCH",
                    "deletedDeployments/",
                    json={"action": "PermanentlyErase", "deploymentIds": chunk},
                )
            except MLOpsError as error:
                if not done:
                    raise
                raise OperationError(
                    f"the first {done} of {len(ids)} ids were accepted for erasing, then: {error}",
                    operation=Operation(self._poller, tuple(locations), nothing),
                ) from error
            locations += self._operation(response, nothing).locations
        return Operation(self._poller, tuple(locations), nothing)
