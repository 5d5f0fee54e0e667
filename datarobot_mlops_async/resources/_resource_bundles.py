"""Resource bundles: the sizes of machine that models, jobs and applications can be given."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from datarobot_mlops_async.models import ResourceBundle, ResourceBundleUseCase
from datarobot_mlops_async.resources._arguments import repeated_choices
from datarobot_mlops_async.resources._base import Resource

if TYPE_CHECKING:
    from datarobot_mlops_async.pagination import Paginator
    from datarobot_mlops_async.resources._words import OneOrMore, ResourceBundleUseCaseWord


class ResourceBundles(Resource):
    """``session.resource_bundles``: routes under ``/mlops/compute/bundles/``, a public preview of the API.

    ::

        async for bundle in session.resource_bundles.list(use_cases="customModel"):
            print(bundle.name, bundle.cpu_count, bundle.memory_bytes)

    They raise `PermissionDeniedError` where the feature is not enabled.
    """

    def list(
        self,
        *,
        use_cases: OneOrMore[ResourceBundleUseCaseWord] | None = None,
        page_size: int = 100,
        limit: int | None = None,
    ) -> Paginator[ResourceBundle]:
        """List the bundles that the user may choose. Implements ``GET /mlops/compute/bundles/``.

        Args:
            use_cases: `ResourceBundleUseCase` values.
            page_size: Rows a request, 1 to 100.
            limit: The most rows wanted; ``None`` for all.
        """
        filters = {"use_cases": partial(repeated_choices, enum=ResourceBundleUseCase)}
        return self._paginator(ResourceBundle, "mlops/compute/bundles/", locals(), filters)

    async def get(self, bundle_id: str) -> ResourceBundle:
        """Read one bundle. Implements ``GET /mlops/compute/bundles/{resourceRequestBundleId}/``.

        Raises:
            NotFoundError: There is no such bundle.
        """
        return await self._api.get(
            ResourceBundle, "mlops/compute/bundles/{bundle_id}/", ids={"bundle_id": bundle_id}
        )
