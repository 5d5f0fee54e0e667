"""Large bodies off the event loop: connections, routes through proxies, the way over any httpx transport."""

from datarobot_mlops_async._streaming._client import StreamingClient, StreamingResponse
from datarobot_mlops_async._streaming._http import Sink, resolve_location
from datarobot_mlops_async._transport import Address

__all__ = ["Address", "Sink", "StreamingClient", "StreamingResponse", "resolve_location"]
