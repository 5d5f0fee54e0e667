"""A status route whose operations are over when the test says so."""

from __future__ import annotations

import threading
from collections import Counter

from attrs import define, field

from datarobot_mlops_async import AsyncSession, PollPolicy
from tests.scripted import Answer, ScriptedServer

RUNNING = Answer(body=b'{"status": "RUNNING"}')
COMPLETED = Answer(body=b'{"status": "COMPLETED"}')


def quickly(elapsed, polls, retry_after, *, remaining):
    """Ask every 5 ms, for tests that are not about the schedule."""
    return max(0.005, retry_after or 0.0)


@define
class Statuses:
    """Answers polls by status id: as the test has set, else RUNNING for so many polls and then COMPLETED."""

    running: int = 2
    polls: Counter = field(factory=Counter)
    answers: dict = field(factory=dict)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def __call__(self, asked):
        status_id = asked.target.rstrip("/").rpartition("/")[2]
        with self._lock:
            self.polls[status_id] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.answers.get(status_id)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if answer is None:
                return RUNNING if self.polls[status_id] <= self.running else COMPLETED
            return answer(asked) if callable(answer) else answer
        finally:
            with self._lock:
                self._at_once -= 1


def serve(statuses):
    """Return a server for the statuses."""
    return ScriptedServer(statuses)


def session_for(server, *, delays=quickly, per_second=10_000.0, max_concurrency=4, **options):
    """Return a session that polls quickly, over few connections: each is a thread of the server's."""
    return AsyncSession(
        server.endpoint,
        "polled-test-token",
        max_concurrency=max_concurrency,
        polling=PollPolicy(delays=delays, per_second=per_second, per_place=10_000.0),
        **options,
    )


def operations_server(statuses, *, accept=None):
    """Return a server whose every PATCH begins an operation named like the deployment."""

    def answer(asked):
        if asked.method == "GET" and "/status/" in asked.target:
            return statuses(asked)
        if asked.method == "GET":
            return Answer(body=b'{"id": "d"}')
        deployment_id = asked.target.split("/")[-3]
        special = (accept or {}).get(deployment_id)
        return special or Answer(status=202, headers={"Location": f"/api/v2/status/{deployment_id}/"})

    return ScriptedServer(answer)


def patched(server):
    return Counter(asked.target.split("/")[-3] for asked in server.asked if asked.method == "PATCH")
