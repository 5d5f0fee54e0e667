"""The pytest plugin, as its users run it: in another process, with each of the plugins that run async tests."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

USERS_TESTS = """
    import pytest
    {imports}
    from datarobot_mlops_async import AsyncSession
    from datarobot_mlops_async.errors import ServerError

    async def deactivate_one():
        async with AsyncSession() as session:
            async for deployment in session.deployments.list(status=["active"], limit=1):
                await (await session.deployments.begin_deactivate(deployment.id))

    {fixture}
    async def first(datarobot_session):
        deployment = (await datarobot_session.deployments.list().first_page()).items[0]
        yield deployment
        await datarobot_session.deployments.update(deployment.id, label="told at the end")

    @pytest.fixture
    def log():
        requests = []
        yield requests
        assert [each.method for each in requests[-1]()][-1] == "PATCH"

    {mark}
    async def test_session_is_open(datarobot_session):
        assert (await datarobot_session.deployments.list().first_page()).total_count == 20

    {mark}
    async def test_fixtures_share_the_session(log, datarobot_emulator, first, datarobot_session):
        log.append(lambda: datarobot_emulator.requests)
        assert (await datarobot_session.deployments.get(first.id)).label == first.label

    {mark}
    async def test_code_under_test_finds_the_emulator(datarobot_emulator):
        await deactivate_one()
        assert datarobot_emulator.requests_to("PATCH /deployments/*/status/")

    {mark}
    @pytest.mark.datarobot_emulator(deployments=3, faults=["GET /deployments/ status=500 times=1"])
    @pytest.mark.datarobot_session(retry=0)
    class TestMarkers:
        async def test_of_the_class_count(self, datarobot_session):
            with pytest.raises(ServerError):
                await datarobot_session.deployments.list().first_page()
            assert (await datarobot_session.deployments.list().first_page()).total_count == 3

        @pytest.mark.datarobot_emulator(faults=[])
        async def test_of_the_test_win(self, datarobot_session):
            assert (await datarobot_session.deployments.list().first_page()).total_count == 3
"""


def users_tests(mark="", imports="", fixture="@pytest.fixture"):
    return USERS_TESTS.format(mark=mark, imports=imports, fixture=fixture)


@pytest.fixture
def run(pytester, monkeypatch):
    """Run the tests of a user who has these plugins. Named one by one they load in half the time.

    A process of its own takes most of a second: tests that need neither clean modules nor an event loop do without.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("DATAROBOT_CONFIG_FILE", "/nowhere/drconfig.yaml")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    def run(source, *plugins, ini="", in_process=False):
        pytester.makeini(f"[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n{ini}")
        pytester.makepyfile(source)
        names = [argument for plugin in (*plugins, "datarobot_mlops_async") for argument in ("-p", plugin)]
        start = pytester.runpytest_inprocess if in_process else pytester.runpytest_subprocess
        return start("-p", "no:cacheprovider", *names)

    return run


LOOP = "asyncio_default_fixture_loop_scope = function\n"


def test_fixtures_work_with_anyio_on_asyncio_and_trio_beside_pytest_asyncio(run):
    run(users_tests("@pytest.mark.anyio"), "asyncio", "anyio", ini=LOOP).assert_outcomes(passed=10)


def test_fixtures_work_with_pytest_asyncio_in_strict_mode(run):
    tests = users_tests("@pytest.mark.asyncio", "import pytest_asyncio", "@pytest_asyncio.fixture")
    run(tests, "asyncio", ini=LOOP).assert_outcomes(passed=5)


def test_fixtures_work_with_pytest_asyncio_in_auto_mode_beside_anyio(run):
    run(users_tests(), "asyncio", "anyio", ini=LOOP + "asyncio_mode = auto\n").assert_outcomes(passed=5)


def test_session_is_in_the_tests_loop_whatever_its_scope(run):
    one = """
        {mark}
        class Test{name}:
            loops = []

            async def test_one(self, datarobot_session):
                await datarobot_session.pps_image.metadata()
                self.loops.append(asyncio.get_running_loop())

            async def test_two(self, datarobot_session):
                await datarobot_session.pps_image.metadata()
                assert self.loops == [asyncio.get_running_loop()]
    """
    tests = """
        import asyncio, pytest

        @pytest.mark.asyncio(loop_scope="session")
        async def test_in_a_loop_of_the_whole_run(datarobot_session):
            await datarobot_session.pps_image.metadata()
    """
    tests += one.format(name="Module", mark='@pytest.mark.asyncio(loop_scope="module")')
    tests += one.format(name="ByDefault", mark="@pytest.mark.asyncio")
    scope = "asyncio_default_test_loop_scope = class\n"
    run(tests, "asyncio", ini=LOOP + scope).assert_outcomes(passed=5)


def test_misuse_says_what_to_do(run):
    tests = """
        import sys
        import pytest

        def test_not_async(datarobot_session): ...

        @pytest.mark.datarobot_emulator(50)
        def test_positional(datarobot_emulator): ...

        @pytest.mark.datarobot_emulator(deploymnets=50)
        def test_misspelt(datarobot_emulator): ...

    """
    result = run(tests, in_process=True)
    result.assert_outcomes(errors=3)
    for message in (
        "datarobot_session is for async tests: mark the test anyio or asyncio*",
        "*@pytest.mark.datarobot_emulator takes keyword arguments only*",
        "*unexpected keyword argument 'deploymnets'*",
    ):
        result.stdout.fnmatch_lines([message])


def test_no_datarobot_variable_reaches_the_test(run, monkeypatch):
    for name in ("DATAROBOT_CONFIG_FILE", "DATAROBOT_VERIFY", "DATAROBOT_WHATEVER", "datarobot_max_retries"):
        monkeypatch.setenv(name, "/none")
    tests = """
        import os

        def test_variables(datarobot_emulator):
            ours = {name for name in os.environ if name.upper().startswith("DATAROBOT_")}
            assert ours == {"DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"}

        def test_variables_come_back():
            assert os.environ["DATAROBOT_WHATEVER"] == "/none"
    """
    run(tests, in_process=True).assert_outcomes(passed=2)


def test_fault_that_never_fired_is_a_warning(run):
    tests = """
        import pytest

        @pytest.mark.filterwarnings("default::pytest.PytestWarning")
        @pytest.mark.datarobot_emulator(faults=["GET /version/ status=503"])
        def test_nothing(datarobot_emulator): ...
    """
    result = run(tests, in_process=True)
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*this fault never fired: GET /version/ status=503*"])


def test_nothing_is_imported_before_a_fixture_is_used(run):
    tests = """
        import sys

        def test_modules():
            ours = {name for name in sys.modules if name.startswith("datarobot_mlops_async")}
            assert ours == {"datarobot_mlops_async", "datarobot_mlops_async.testing"}
            assert not {"starlette", "uvicorn", "httpx", "attrs", "anyio", "opentelemetry"} & set(sys.modules)
    """
    run(tests).assert_outcomes(passed=1)


def test_pytest_finds_the_plugin_by_itself():
    (ours,) = (each for each in entry_points(group="pytest11") if each.value.startswith("datarobot_mlops"))
    assert (ours.name, ours.value) == ("datarobot_mlops_async", "datarobot_mlops_async.testing")
