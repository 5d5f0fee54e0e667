"""Wait in Airflow's triggerer: an operation's location is all that a deferred task has to keep.

No worker waits, and a restart loses nothing. In an operator: ``self.defer(trigger=anyio.run(begin, id), ...)``.
"""

from airflow.triggers.base import BaseTrigger, TriggerEvent
from datarobot_mlops_async import AsyncSession


class OperationTrigger(BaseTrigger):
    def __init__(self, location):
        super().__init__()
        self.location = location

    def serialize(self):
        return f"{type(self).__module__}.{type(self).__qualname__}", {"location": self.location}

    async def run(self):
        async with AsyncSession() as session:
            await session.operation(self.location).wait(timeout=None)
        yield TriggerEvent(self.location)


async def begin(deployment_id):
    async with AsyncSession() as session:
        operation = await session.deployments.begin_deactivate(deployment_id)
    return OperationTrigger(operation.location)
