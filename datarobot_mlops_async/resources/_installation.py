"""What an installation has: resource bundles, the Portable Prediction Server's image, deleted deployments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from datarobot_mlops_async.errors import MLOpsError, OperationError
from datarobot_mlops_async.models import (
    DeletedDeployment,
    PPSImageMetadata,
    ResourceBundle,
    ResourceBundleUseCase,
)
from datarobot_mlops_async.operations import Operation
from datarobot_mlops_async.resources._arguments import repeated_choices, texts
from datarobot_mlops_async.resources._base import Resource, nothing

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact, Expectation
    from datarobot_mlops_async.pagination import Paginator
    from datarobot_mlops_async.resources._arguments import OneOrMore, ResourceBundleUseCaseWord

_IDS_A_REQUEST = 100
_IMAGE = "mlops/portablePredictionServerImage/"


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
        route = "mlops/compute/bundles/{bundle_id}/"
        return await self._api.get(ResourceBundle, route, ids={"bundle_id": bundle_id})


class PPSImage(Resource):
    """``session.pps_image``: the latest image, 14 GB or more, ready for ``docker load``.

    ::

        image = await session.pps_image.artifact()
        result = await image.download("images/")
        print(result.path, result.sha256)
    """

    async def metadata(self) -> PPSImageMetadata:
        """Read file name, size and hash of the latest image.

        Implements ``GET /mlops/portablePredictionServerImage/metadata/``.

        Raises:
            NotFoundError: The installation has no image.
        """
        return await self._api.get(PPSImageMetadata, f"{_IMAGE}metadata/")

    async def artifact(self) -> Artifact:
        """Return the latest image, with file name, size and SHA-256 from its metadata.

        Implements ``GET /mlops/portablePredictionServerImage/``, which is requested when the artifact is
        downloaded or streamed.
        """
        from datarobot_mlops_async.artifacts import Artifact  # with the engine behind it

        metadata = await self.metadata()
        expectation = _expectation(metadata)
        return Artifact(
            self._api,
            _IMAGE,
            kind="image",
            filename=metadata.filename,
            size=expectation.size,
            sha256=expectation.sha256,
            docker_image_id=expectation.docker_image_id,
            version=expectation.version,
            refresh=self._refresh,
        )

    async def _refresh(self) -> Expectation:
        return _expectation(await self.metadata())


def _expectation(metadata: PPSImageMetadata) -> Expectation:
    from datarobot_mlops_async.artifacts import Expectation

    # The page knows one algorithm; a hash of another one is no SHA-256 to compare with.
    is_sha256 = (metadata.hash_algorithm or "SHA256").replace("-", "").upper() == "SHA256"
    return Expectation(
        size=metadata.image_size,
        sha256=metadata.hash.lower() if metadata.hash and is_sha256 else None,
        docker_image_id=metadata.docker_image_id,
        version=metadata.datarobot_runtime_image_tag,
    )


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
            body = {"action": "PermanentlyErase", "deploymentIds": ids[done : done + _IDS_A_REQUEST]}
            try:
                response = await self._api.send("PATCH", "deletedDeployments/", json=body)
            except MLOpsError as error:
                if not done:
                    raise
                raise OperationError(
                    f"the first {done} of {len(ids)} ids were accepted for erasing, then: {error}",
                    operation=Operation(self._poller, tuple(locations), nothing),
                ) from error
            locations += self._operation(response, nothing).locations
        return Operation(self._poller, tuple(locations), nothing)
