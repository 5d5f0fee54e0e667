"""Build the API reference with pdoc: ``python .ci/reference.py DIRECTORY``. Run by ``nox -s docs``."""

from __future__ import annotations

import collections.abc
import datetime
import importlib
import inspect
import re
import sys
import typing
from pathlib import Path
from typing import Any

import pdoc
from pdoc import docstrings, render_helpers

import datarobot_mlops_async as package
from datarobot_mlops_async import emulator, resources, session

NAME = package.__name__
ROOMS = (
    "artifacts", "bulk", "emulator", "errors", "models", "operations", "pagination", "resources", "session", "testing",
)  # fmt: skip
MODULES = [package, *(importlib.import_module(f"{NAME}.{room}") for room in ROOMS)]
# Of no use to the library's callers: front doors for its other rooms, and halves of a class, shown with the other half.
HIDDEN = {"OneDeployment", "Routes", "Run", "planned_requests"}
for each in MODULES:
    for name in HIDDEN.intersection(getattr(each, "__all__", ())):
        each.__all__.remove(name)
        getattr(each, name).__doc__ = "@private"
# Where each name is explained: in its room, and not once more where it is only exported.
HOMES = {
    name: f"{each.__name__}.{name}"
    for each in MODULES
    for name in getattr(each, "__all__", ())
    if name not in ROOMS
}


def prepare() -> None:
    """Let pdoc see what is loaded when first used, and evaluate all annotations."""
    for each in MODULES:
        for name in getattr(each, "__all__", ()):
            setattr(each, name, getattr(each, name))
            hide_what_users_do_not_call(getattr(each, name))
    package.__all__ = [*ROOMS, *(name for name in package.__all__ if HOMES.get(name) == f"{NAME}.{name}")]
    for whole in (resources.Deployments, session.SessionView, emulator.Emulator):
        half = whole.__mro__[1]
        for name, member in vars(half).items():
            if not name.startswith("_") and name not in vars(whole):
                setattr(whole, name, member)
    emulator.Emulator.__doc__ += "\n    Attributes:" + half.__doc__.partition("Attributes:")[2]
    # An inherited annotation is looked up in the heir's module, which need not have its names.
    names = {
        "Any": Any,
        "Literal": typing.Literal,
        "datetime": datetime.datetime,
        "cached_property": Plain,
    } | {name: getattr(room, name) for room in (collections.abc, resources) for name in room.__all__}
    for name, module in list(sys.modules.items()):
        if name.startswith(NAME):
            vars(module).update({**names, **vars(module), "Unpack": Plain})


class Plain:
    """Stands for what of an annotation is of no use to the reader: ``Unpack``, ``cached_property``."""

    def __class_getitem__(cls, options: Any) -> Any:
        return options


def hide_what_users_do_not_call(value: Any) -> None:
    """Hide a constructor that takes what only the library has; spare the reader attrs' own sentence."""
    if not inspect.isclass(value):
        return
    types = str(inspect.get_annotations(value.__init__).values())
    if re.search(r"\b(Api|Poller|Run|ListRequest|Paginator)\b", types):
        value.__init__.__doc__ = "@private"
    for each in value.__mro__:
        if "__attrs_attrs__" in vars(each) and each.__init__.__doc__ != "@private":
            each.__init__.__doc__ = None


def public(identifier: str) -> str:
    """Return where a name is explained, given it as a docstring or an annotation has it."""
    parts = identifier.removesuffix("()").split(".")
    for at, part in enumerate(parts):
        if part in HOMES and (at == 0 or parts[0] == NAME):
            return ".".join([HOMES[part], *parts[at + 1 :]])
    return identifier


def linked(function: Any) -> Any:
    """Wrap one of pdoc's searches for what a name means."""
    if function is render_helpers.possible_sources:
        return lambda modules, identifier: function(modules, public(identifier))
    return lambda identifier, current: [
        *function(public(identifier), current),
        public(identifier).rpartition(".")[0],
    ]


def fenced(block: re.Match[str]) -> str:
    """Return an example between fences, and a drawing too."""
    code = inspect.cleandoc(block[3])
    text = f"{block[1]}:\n\n" if block[1] else ""
    return f"{text}```{'text' if '├' in code else 'python'}\n{code}\n```\n\n"


def google(docstring: str) -> str:
    """Turn a docstring into Markdown: examples are Python, and exceptions are links."""
    docstring = re.sub(r"^(.*):(:)\n\n((?:    .*\n?|\n)+)", fenced, docstring, flags=re.MULTILINE)
    return re.sub(r"^- \*\*(\w+Error):\*\*", r"- `\1`:", _google(docstring), flags=re.MULTILINE)


_google, docstrings.google = docstrings.google, google
render_helpers.possible_sources = linked(render_helpers.possible_sources)
render_helpers.module_candidates = linked(render_helpers.module_candidates)


def check(directory: Path) -> None:
    """Refuse a reference without one of the public names."""
    for name, home in HOMES.items():
        module = home.rpartition(".")[0]
        page = (directory / f"{module.replace('.', '/')}.html").read_text(encoding="utf-8")
        if f'id="{name}"' not in page:
            sys.exit(f"{home} is missing")


if __name__ == "__main__":
    prepare()
    target = Path(sys.argv[1])
    pdoc.render.configure(docformat="google", footer_text=f"{NAME} {package.__version__}")
    pdoc.pdoc(NAME, output_directory=target)
    check(target)
