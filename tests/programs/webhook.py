"""Tell a chat, from a FastAPI service, which deployments begin to fail and which have recovered."""

from contextlib import asynccontextmanager

import anyio
import httpx
from datarobot_mlops_async import AsyncSession


async def tell(session, webhook, interval=60):
    saved = anyio.Path("watch.state")
    state = await saved.read_text() if await saved.exists() else None
    watch = session.deployments.watch(interval=interval, service_health="failing", fields=["id"], state=state)
    async with httpx.AsyncClient() as client:
        async for change in watch:
            word = "fails" if change.kind == "added" else "has recovered"
            await client.post(webhook, json={"text": f"{change.deployment.label} {word}"})
            await saved.write_text(watch.state)  # after a restart nothing is told twice or left out


@asynccontextmanager
async def lifespan(app, webhook="https://chat.example.com/hook", interval=60):
    async with AsyncSession() as session, anyio.create_task_group() as tasks:
        tasks.start_soon(tell, session, webhook, interval)
        yield
        tasks.cancel_scope.cancel()
