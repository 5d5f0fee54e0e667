"""Scoring code of a deployment: downloaded as it is, or built first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datarobot_mlops_async._api import route_path
from datarobot_mlops_async.resources._arguments import flag, query_of
from datarobot_mlops_async.resources._base import Resource

if TYPE_CHECKING:
    from datarobot_mlops_async.artifacts import Artifact
    from datarobot_mlops_async.operations import Operation


class ScoringCode(Resource):
    """The scoring-code routes under ``/deployments/{deploymentId}/``."""

    async def begin_scoring_code_build(
        self,
        deployment_id: str,
        *,
        include_agent: bool | None = None,
        include_prediction_explanations: bool | None = None,
        include_prediction_intervals: bool | None = None,
    ) -> Operation[Artifact]:
        """Build a JAR with extras. Implements ``POST /deployments/{deploymentId}/scoringCodeBuilds/``.

        Args:
            deployment_id: The deployment.
            include_agent: With the tracking agent.
            include_prediction_explanations: With prediction explanations.
            include_prediction_intervals: With prediction intervals.

        Returns:
            An operation whose result is the JAR to download.
        """
        flags = {
            "includeAgent": include_agent,
            "includePredictionExplanations": include_prediction_explanations,
            "includePredictionIntervals": include_prediction_intervals,
        }
        for name, value in flags.items():
            flag(name, value)
        response = await self._api.send(
            "POST",
            "deployments/{deployment_id}/scoringCodeBuilds/",
            ids={"deployment_id": deployment_id},
            json={name: value for name, value in flags.items() if value is not None},
        )

        async def built(resource: str | None) -> Artifact:
            return self._results.jar(
                resource or _path(deployment_id, **{name: flag(name, value) for name, value in flags.items()})
            )

        return self._operation(response, built)

    async def scoring_code(
        self,
        deployment_id: str,
        *,
        source_code: bool | None = None,
        include_agent: bool | None = None,
        include_pe: bool | None = None,
        include_prediction_explanations: bool | None = None,
        include_prediction_intervals: bool | None = None,
        build: bool | None = None,
    ) -> Artifact:
        """Return the JAR of a deployment's current model, for predictions outside of a prediction server.

        An agent, prediction explanations and prediction intervals need a build, which is begun and awaited
        first. Implements ``GET /deployments/{deploymentId}/scoringCode/``.

        Args:
            deployment_id: The deployment.
            source_code: The source archive (not executable) instead of the executable JAR.
            include_agent: With the tracking agent.
            include_pe: The page's older name of ``include_prediction_explanations``; goes out as given.
            include_prediction_explanations: With prediction explanations.
            include_prediction_intervals: With prediction intervals.
            build: Whether to build first; by default where an extra needs it. ``False`` asks for the extras
                of a JAR that the server has built already.

        Returns:
            The JAR to download. A download checks that it is a ZIP archive.

        Raises:
            ValueError: Source code with an agent: the two exclude each other. Nothing was sent.
            OperationFailedError: The build failed.
        """
        if source_code and include_agent:
            raise ValueError("source_code and include_agent exclude each other")
        extras = (include_agent, include_prediction_explanations, include_prediction_intervals)
        if build if build is not None else any(extras):
            if source_code:
                raise ValueError(
                    "source_code cannot be built with extras: pass build=False or leave them out"
                )
            operation = await self.begin_scoring_code_build(
                deployment_id,
                include_agent=include_agent,
                include_prediction_explanations=include_prediction_explanations,
                include_prediction_intervals=include_prediction_intervals,
            )
            return await operation
        return self._results.jar(
            _path(
                deployment_id,
                sourceCode=flag("source_code", source_code),
                includeAgent=flag("include_agent", include_agent),
                includePe=flag("include_pe", include_pe),
                includePredictionExplanations=flag(
                    "include_prediction_explanations", include_prediction_explanations
                ),
                includePredictionIntervals=flag("include_prediction_intervals", include_prediction_intervals),
            )
        )


def _path(deployment_id: str, **query: str | None) -> str:
    return route_path(
        "deployments/{deployment_id}/scoringCode/", {"deployment_id": deployment_id}, query_of(**query)
    )
