"""The project's checks. ``nox`` runs what a change must pass; ``nox -l`` lists all."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "typing", "docs", "tests", "tests-httpx2", "build"]
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True

PROJECT = nox.project.load_toml("pyproject.toml")
# Tests wait half of their time, so two workers for each processor; one that is done takes over another's tests.
WORKERS = min(2 * (os.cpu_count() or 1), 16)
IN_PARALLEL = ("-n", str(WORKERS), "--dist", "worksteal", "--durations", "10")


def _install(session: nox.Session, *groups: str, extras: str = "demo") -> None:
    session.install(
        "--quiet",
        "-e",
        f".[{extras}]",
        *nox.project.dependency_groups(PROJECT, *groups),
        "--no-warn-conflicts",
    )


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests on asyncio, uvloop and trio, and require every branch to be covered.

    With arguments (``nox -s tests -- tests/test_api.py``) run those in one process, and measure nothing.
    """
    _install(session, "test")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *IN_PARALLEL)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(name="tests-random", default=False)
def tests_random(session: nox.Session) -> None:
    """Run all tests in random order, twice or as often as said after ``--``: no test may need another one."""
    _install(session, "test")
    session.install("--quiet", "pytest-randomly")
    for _ in range(int(*session.posargs) if session.posargs else 2):
        session.run("pytest", *IN_PARALLEL)


@nox.session(name="tests-interpreters", python=["3.11", "3.12", "3.13", "3.14"], default=False)
def tests_interpreters(session: nox.Session) -> None:
    """Run all tests with each interpreter that is here."""
    _install(session, "test")
    session.run("pytest", *(session.posargs or IN_PARALLEL))


@nox.session(name="tests-httpx", default=False)
def tests_httpx(session: nox.Session) -> None:
    """Run the tests on asyncio over httpx's own transport in place of ours."""
    _install(session, "test")
    options = session.posargs or IN_PARALLEL
    session.run("pytest", "-k", "not uvloop and not trio", *options, env={"TEST_OVER_HTTPX": "1"})


@nox.session(name="tests-httpx2")
def tests_httpx2(session: nox.Session) -> None:
    """Run the tests on asyncio with httpx2, httpx's continuation, in httpx's place."""
    _install(session, "test")
    session.install("--quiet", "httpx2")
    options = session.posargs or IN_PARALLEL
    session.run("pytest", "-k", "not uvloop and not trio", *options, env={"TEST_WITH_HTTPX2": "1"})


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Try arbitrary answers, files and cancellations: ``-- SECONDS`` (60), or one round again with ``-- 0 SEED``."""
    _install(session, "test")
    seconds, *seeds = [int(each) for each in session.posargs] or [60]
    end = time.monotonic() + seconds
    while True:
        seed = seeds[0] if seeds else random.randrange(2**32)  # noqa: S311 - no secret
        session.log(f"seed {seed}: again with nox -s fuzz -- 0 {seed}")
        files = sorted(str(each) for each in Path("tests").glob("test_*fuzz*.py"))
        session.run("pytest", "-q", f"--hypothesis-seed={seed}", *files, env={"FUZZ_FACTOR": "4"})
        if time.monotonic() >= end:
            break


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that imports go down the layers only."""
    _install(session, "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports")


@nox.session
def typing(session: nox.Session) -> None:
    """Check all types twice."""
    _install(session, "typing", "test")
    session.run("mypy")
    # Without it pyright looks at the Python on the PATH.
    session.run("pyright", "--pythonpath", str(Path(session.bin, "python")))


@nox.session
def docs(session: nox.Session) -> None:
    """Build the API reference from the docstrings into ``build/reference``, without a warning."""
    _install(session, "docs")
    session.run("python", "-W", "error", ".ci/reference.py", "build/reference")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel, install it into a clean environment and run the demo there."""
    session.install("--quiet", "build")
    with tempfile.TemporaryDirectory() as directory:
        session.run("python", "-m", "build", "--outdir", directory, silent=True)
        wheel = next(Path(directory).glob("*.whl"))
        session.run("python", "-m", "venv", f"{directory}/venv")
        scripts = Path(directory, "venv", "Scripts" if os.name == "nt" else "bin")
        python = str(scripts / "python")
        # Without extras first: the library must import with its run-time dependencies alone.
        session.run(python, "-m", "pip", "install", "--quiet", str(wheel), external=True)
        names = "import datarobot_mlops_async as d; [getattr(d, name) for name in d.__all__]"
        session.run(python, "-W", "error", "-c", names, external=True)
        session.run(python, "-m", "pip", "install", "--quiet", f"{wheel}[demo]", external=True)
        session.chdir(directory)
        session.run(str(scripts / "dr-mlops"), "demo", "--image-size", "256MiB", external=True)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Run the benchmarks, all of them or those named after ``--``."""
    _install(session, "bench")
    names = session.posargs or ["startup", "calls", "decoding", "listing", "operations", "bulk", "download"]
    if {"calls", "download"} & set(names) and shutil.which("nginx") is None:
        session.error("the benchmarks of calls and downloads need nginx (Debian: nginx-light)")
    for name in names:
        session.run("python", f"benchmarks/{name}.py")
    session.run("python", "benchmarks/picture.py")
