from contextlib import asynccontextmanager

from datarobot_mlops_async import AsyncSession
from fastapi import FastAPI, Request


@asynccontextmanager
async def lifespan(app):
    async with AsyncSession() as session:
        app.state.datarobot = session
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/failing")
async def failing(request: Request) -> list[str]:
    deployments = request.app.state.datarobot.deployments.list(service_health="failing")
    return [deployment.label async for deployment in deployments]
