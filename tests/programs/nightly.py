from pathlib import Path

import anyio
from datarobot_mlops_async import AsyncSession, OutcomeState


async def deactivate_idle(journal):
    async with AsyncSession() as session:
        idle = session.deployments.list(status="active", prediction_usage_daily_avg_less_than=50)
        ids = (deployment.id async for deployment in idle)
        outcomes = await session.bulk(session.deployments.begin_deactivate, ids, resume_from=journal)
    left = [outcome for outcome in outcomes if outcome.state is not OutcomeState.SUCCEEDED]
    for outcome in left:
        print(outcome.item, outcome.state, outcome.error)
    if not left:
        await anyio.Path(journal).unlink()  # the next night begins a new one
    return len(left)


if __name__ == "__main__":
    raise SystemExit(anyio.run(deactivate_idle, Path("nightly.jsonl")))
