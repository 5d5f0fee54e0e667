"""The session, and what can be done with it."""

from datarobot_mlops_async.session._routes import Routes
from datarobot_mlops_async.session._session import AsyncSession
from datarobot_mlops_async.session._view import Activity, SessionView

__all__ = ["Activity", "AsyncSession", "Routes", "SessionView"]

for _class in (Activity, AsyncSession, Routes, SessionView):
    # As users import them.
    _class.__module__ = __name__
