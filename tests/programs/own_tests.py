import pytest

BUSY = "PATCH /deployments/*/status/ status=503 retry-after=0 times=3"


async def deactivate_idle(session):
    idle = session.deployments.list(status="active", prediction_usage_daily_avg_less_than=50)
    return await session.bulk(session.deployments.begin_deactivate, [each.id async for each in idle])


@pytest.mark.anyio
@pytest.mark.datarobot_emulator(deployments=200, faults=[BUSY])
async def test_idle_deployments_are_deactivated_by_a_busy_service(datarobot_session):
    outcomes = await deactivate_idle(datarobot_session)
    assert outcomes
    assert all(outcome.state == "succeeded" for outcome in outcomes)
