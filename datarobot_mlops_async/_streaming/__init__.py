"""Large bodies off the event loop: connections, routes through proxies, the way over any httpx transport."""
