from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import datarobot_mlops_async
from datarobot_mlops_async import AsyncSession, errors

PROMISED = {
    "deployments": [
        "list", "watch", "get", "update", "delete", "begin_create_from_learning_model", "begin_set_status",
        "begin_activate", "begin_deactivate", "capabilities", "features", "model_history", "begin_report",
        "begin_scoring_code_build", "scoring_code",
    ],
    "deleted_deployments": ["list", "begin_erase"],
    "custom_model_deployments": ["list", "deployment_log", "begin_prediction_log", "prediction_log"],
    "resource_bundles": ["list", "get"],
    "pps_image": ["metadata", "artifact"],
}  # fmt: skip


def test_every_exported_name_exists():
    exported = set(datarobot_mlops_async.__all__)
    assert list(datarobot_mlops_async.__all__) == sorted(
        exported, key=lambda n: (not n.isupper(), n.startswith("_") or n.islower(), n)
    )
    for name in exported:
        assert getattr(datarobot_mlops_async, name) is not None
        assert name in dir(datarobot_mlops_async)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = datarobot_mlops_async.nonsense


@pytest.mark.parametrize("resource", PROMISED)
def test_resource_has_its_promised_methods_and_no_others(resource):
    instance = getattr(AsyncSession("https://h", "t"), resource)
    public = [name for name, _ in inspect.getmembers(instance, callable) if not name.startswith("_")]
    assert sorted(public) == sorted(PROMISED[resource])


def test_everything_public_has_a_docstring():
    session = AsyncSession("https://h", "t")
    for resource, names in PROMISED.items():
        for name in names:
            assert inspect.getdoc(getattr(getattr(session, resource), name)), (resource, name)
    for name in errors.__all__:
        assert getattr(errors, name).__doc__
        assert name in errors.__doc__, f"the tree in the docstring lacks {name}"


def test_opening_takes_what_the_session_takes():
    made, opened = inspect.signature(AsyncSession), inspect.signature(AsyncSession.open)
    assert opened.parameters == made.parameters


def test_version_is_the_distributions_own():
    from importlib.metadata import version

    assert datarobot_mlops_async.__version__ == version("datarobot-mlops-async")


def test_import_loads_nothing_that_is_not_needed():
    code = (
        "import sys, datarobot_mlops_async;"
        "heavy = {'httpx', 'cattrs', 'tenacity', 'attrs', 'anyio', 'yaml', 'starlette', 'click'} & set(sys.modules);"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_session_loads_its_parts_when_it_is_entered():
    code = (
        "import sys; from datarobot_mlops_async import AsyncSession; AsyncSession('https://h', 't');"
        "later = {'h11', *(f'datarobot_mlops_async.{room}' for room in"
        " ('_download', '_streaming', 'artifacts', 'bulk', 'models', 'resources'))};"
        "assert not later & set(sys.modules), later & set(sys.modules);"
        "import asyncio; asyncio.run(AsyncSession.open('https://h', 't'));"
        "assert later <= set(sys.modules), later - set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rooms_are_there_without_importing_them():
    code = "import datarobot_mlops_async as d; d.errors.MLOpsError, d.models.Deployment"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rooms_are_entered_by_their_front_door():
    package = Path(datarobot_mlops_async.__file__).parent
    entered = []
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) and node.level == 0 else None
            top, _, inside = (module or "").partition(".")
            other, _, inside = inside.partition(".")
            if (
                top == package.name
                and other != room
                and any(each[0] == "_" for each in inside.split(".") if each)
            ):
                entered.append(f"{path.relative_to(package)}: {module}")
    assert entered == []


def private_attributes(tree):
    """Yield each attribute of somebody else's that begins with an underscore."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr[0] == "_" and not node.attr.endswith("__"):
            owner = ast.unparse(node.value)
            # The interpreter's own way to die at once.
            if owner not in {"self", "cls"} and f"{owner}.{node.attr}" != "os._exit":
                yield ast.unparse(node)


def test_tests_see_what_a_caller_sees():
    assert list(private_attributes(ast.parse("a._b; self._c; a.__dict__; a.b._c()"))) == ["a._b", "a.b._c"]
    for path in Path(__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert list(private_attributes(tree)) == [], path
