import sys
import time

import anyio
from datarobot_mlops_async import AsyncSession, Response
from datarobot_mlops_async.models import Deployment


async def token():  # asked again before it expires, and after a 401
    return (await anyio.Path("token.txt").read_text()).strip(), time.time() + 3600


def tell(end):
    print(end.request.method, end.request.route, end.status, f"{end.elapsed:.3f} s")


async def main(endpoint, proxy):
    async with AsyncSession(
        endpoint,
        token,
        verify="corp-ca.pem",  # decides for the endpoint; for other hosts it is added to the system's
        cert=("client.pem", "client.key"),
        proxy=proxy,  # http, https or socks5
        headers={"User-Agent": "churn-job/3.1", "X-Gateway-Key": "secret"},
        on_response=tell,
    ) as session:
        version = await session.request("GET", "version/")
        answer = await session.request("GET", "version/", type_=Response)
        print(version["versionString"], answer.status, answer.request_id)
        traced = session.with_options(headers={"X-Trace": "7"}, query={"tenant": "blue"})
        found = traced.paginate("deployments/", type_=Deployment, query={"status": "active"})
        ids = [deployment.id async for deployment in found]
        operation = await session.begin("PATCH", f"deployments/{ids[0]}/status/", json={"status": "inactive"})
        await operation
        image = session.artifact("mlops/portablePredictionServerImage/")  # a whole URL gets no token
        print((await image.download("images/")).path)


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
