"""Use the library in a script that knows nothing of asyncio."""

import sys

from anyio.from_thread import start_blocking_portal
from datarobot_mlops_async import AsyncSession


def main(deployment_id):
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(AsyncSession()) as session:
        deployment = portal.call(session.deployments.get, deployment_id)
        active = portal.call(session.deployments.list(status="active").collect)
    return f"{deployment.label} is one of {len(active)}"


if __name__ == "__main__":
    print(main(sys.argv[1]))
