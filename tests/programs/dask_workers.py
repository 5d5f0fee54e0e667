"""Spread a bulk run over Dask's workers. Settings travel without their token, outcomes as plain data."""

import asyncio
import sys

from datarobot_mlops_async import AsyncSession, Settings
from distributed import Client, LocalCluster


def deactivate(settings, deployment_ids):
    async def run():
        async with AsyncSession.from_settings(settings) as session:
            outcomes = await session.bulk(session.deployments.begin_deactivate, deployment_ids)
            return [outcome.to_json() for outcome in outcomes]

    return asyncio.run(run())


def deactivate_all(deployment_ids, workers=2):
    settings = Settings.load()
    shares = [deployment_ids[number::workers] for number in range(workers)]
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        done = client.gather(client.map(deactivate, [settings] * workers, shares))
    return [line for lines in done for line in lines]


if __name__ == "__main__":
    print(*deactivate_all(sys.argv[1:]), sep="\n")
