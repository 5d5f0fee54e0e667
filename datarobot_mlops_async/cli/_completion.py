"""Completion in the shell: shown or installed for bash, zsh and fish, with the ids that were listed lately."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from datarobot_mlops_async.cli._command import flag
from datarobot_mlops_async.cli._exits import usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_VARIABLE = "_DR_MLOPS_COMPLETE"
_START_FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/dr-mlops.fish"}
_MOST_KEPT = 200


def _complete(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Show or install what the shell must read for completion."""
    if not wanted or ctx.resilient_parsing:
        return
    shell = Path(os.environ.get("SHELL", "")).name
    class_ = get_completion_class(shell) if shell in _START_FILES else None
    if class_ is None:
        raise usage(f"SHELL is {shell!r}: completion is there for {', '.join(_START_FILES)}")
    script = class_(ctx.find_root().command, {}, "dr-mlops", _VARIABLE).source()
    if parameter.name == "show_completion":
        click.echo(script)
        ctx.exit()
    path = Path(_START_FILES[shell]).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or script not in path.read_text("utf-8"):
        with path.open("a", encoding="utf-8") as file:
            file.write(f"\n{script}\n")
    click.echo(f"completion for {shell} is in {path}: open a new shell")
    ctx.exit()


def completion_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Declare ``--install-completion`` and ``--show-completion``."""
    for verb in ("show", "install"):
        about = f"{verb.capitalize()} completion for this shell."
        shared: dict[str, Any] = {"is_eager": True, "expose_value": False, "callback": _complete}
        command = flag(f"--{verb}-completion", about, **shared)(command)
    return command


def _file(kind: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dr-mlops" / f"{kind}.json"


def remember(kind: str, things: Iterable[Any]) -> None:
    """Keep the ids and labels of things that a person has seen, in the user's cache; none of it is missed."""
    seen = [
        (each.id, getattr(each, "label", None) or getattr(each, "name", None) or "")
        for each in things
        if getattr(each, "id", None)
    ]
    # RuntimeError: this user has no home, as in many a container.
    with suppress(OSError, RuntimeError):
        path = _file(kind)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(json.dumps(seen[:_MOST_KEPT]), "utf-8")


def recent(kind: str) -> Callable[..., list[CompletionItem]]:
    """Return what completes the ids of one kind of thing."""

    def complete(_ctx: object, _parameter: object, incomplete: str) -> list[CompletionItem]:
        with suppress(OSError, RuntimeError, ValueError, TypeError):
            return [
                CompletionItem(id_, help=label)
                for id_, label in json.loads(_file(kind).read_text("utf-8"))
                if id_.startswith(incomplete)
            ]
        return []

    return complete
