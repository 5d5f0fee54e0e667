"""A pytest plugin: an emulated DataRobot, and an open session with it, as fixtures.

::

    @pytest.mark.anyio  # or @pytest.mark.asyncio
    async def test_something(datarobot_session):
        page = await datarobot_session.deployments.list().first_page()
        assert page.total_count == 20

It is loaded by itself where the package is installed, and imports nothing until a fixture is used.
Settings of the emulator and of the session are arguments of markers:

::

    @pytest.mark.datarobot_emulator(deployments=500, faults=["GET /deployments/ status=503 times=2"])
    @pytest.mark.datarobot_session(retry=3)
    async def test_something_else(datarobot_session, datarobot_emulator): ...

Code under test may open sessions of its own: while `datarobot_emulator` is in use, ``AsyncSession()`` finds it
in the environment.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from datarobot_mlops_async import AsyncSession
    from datarobot_mlops_async.emulator import Emulator

__all__ = ["datarobot_emulator", "datarobot_session"]

# Small and quick: a test that needs more says so.
_DEFAULTS = {"deployments": 20, "image_size": 1024 * 1024, "operation_seconds": 0.05}
_LOOP_SCOPES = ("function", "class", "module", "package", "session")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the session's fixtures for the plugin that runs async tests."""
    config.addinivalue_line(
        "markers",
        "datarobot_emulator(**settings): settings of the datarobot_emulator fixture, for example deployments=50, "
        "faults=['GET /deployments/ status=503 times=1'].",
    )
    config.addinivalue_line(
        "markers",
        "datarobot_session(**options): options of the datarobot_session fixture's AsyncSession, for example retry=0.",
    )
    if config.pluginmanager.has_plugin("asyncio"):
        config.pluginmanager.register(_fixtures_by_asyncio(), "datarobot_mlops_async_asyncio")


@pytest.fixture
def datarobot_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """A running emulator, by default with 20 deployments, an image of 1 MiB and operations that take 50 ms.

    The marker ``datarobot_emulator`` sets anything that `Emulator` takes. ``DATAROBOT_ENDPOINT`` and
    ``DATAROBOT_API_TOKEN`` name it while the test runs, for sessions that the code under test opens; no other
    ``DATAROBOT_*`` variable is set. A fault rule that has not fired by the end of the test is a warning.
    """
    from datarobot_mlops_async.emulator import Emulator  # nothing is imported before it is used

    with (
        Emulator(**{**_DEFAULTS, **_arguments(request, "datarobot_emulator")}) as emulator,
        pytest.MonkeyPatch.context() as environment,
    ):
        for name in [name for name in os.environ if name.upper().startswith("DATAROBOT_")]:
            environment.delenv(name)
        environment.setenv("DATAROBOT_ENDPOINT", emulator.endpoint)
        environment.setenv("DATAROBOT_API_TOKEN", emulator.token)
        for name in ("NO_PROXY", "no_proxy"):
            environment.setenv(name, emulator.host, prepend=",")
        yield emulator
    for rule in emulator.unused_faults:
        warnings.warn(pytest.PytestWarning(f"this fault never fired: {rule}"), stacklevel=1)


@pytest.fixture
def datarobot_session(request: pytest.FixtureRequest) -> AsyncSession:
    """An open session with the emulator, in the test's own event loop.

    Works in async tests run by anyio's plugin and by pytest-asyncio, in either of its modes and with any
    loop scope, and in their async fixtures. The marker ``datarobot_session`` sets anything that
    `AsyncSession` takes.
    """
    session: AsyncSession = request.getfixturevalue(_name_of_fixture(request))
    return session


@pytest.fixture
async def _datarobot_session_by_anyio(
    request: pytest.FixtureRequest, datarobot_emulator: Emulator
) -> AsyncIterator[AsyncSession]:
    async with _session_with(datarobot_emulator, request) as session:
        yield session


def _fixtures_by_asyncio() -> object:
    """Return one fixture for each loop scope of pytest-asyncio, which wants to know it at the definition."""
    import pytest_asyncio  # its plugin is loaded

    def fixture(scope: Any) -> Any:
        @pytest_asyncio.fixture(name=f"_datarobot_session_in_{scope}_loop", loop_scope=scope)
        async def open_session(
            _self: object, request: pytest.FixtureRequest, datarobot_emulator: Emulator
        ) -> AsyncIterator[AsyncSession]:
            async with _session_with(datarobot_emulator, request) as session:
                yield session

        return open_session

    return type("FixturesByAsyncio", (), {scope: fixture(scope) for scope in _LOOP_SCOPES})()


def _name_of_fixture(request: pytest.FixtureRequest) -> str:
    """Return the fixture that opens a session in the loop in which the test will run."""
    if "anyio_backend" in request.fixturenames:
        return "_datarobot_session_by_anyio"
    marker = request.node.get_closest_marker("asyncio")
    if marker is None or not request.config.pluginmanager.has_plugin("asyncio"):
        pytest.fail(
            "datarobot_session is for async tests: mark the test anyio or asyncio, "
            "or take datarobot_emulator and open a session where there is an event loop",
            pytrace=False,
        )
    scope = marker.kwargs.get("loop_scope") or request.config.getini("asyncio_default_test_loop_scope")
    return f"_datarobot_session_in_{scope}_loop"


def _session_with(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncSession:
    # Of the package, the plugin knows the emulator and this one public name.
    from datarobot_mlops_async import AsyncSession  # nothing is imported before it is used

    return AsyncSession(emulator.endpoint, emulator.token, **_arguments(request, "datarobot_session"))


def _arguments(request: pytest.FixtureRequest, name: str) -> dict[str, Any]:
    """Return the arguments of the markers of a name; a test's own win over its class's and module's."""
    arguments: dict[str, Any] = {}
    for marker in request.node.iter_markers(name):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{name} takes keyword arguments only")
        arguments = {**marker.kwargs, **arguments}
    return arguments
