"""Completion in the shell: shown or installed for bash, zsh and fish."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import get_completion_class

from datarobot_mlops_async.cli._command import option
from datarobot_mlops_async.cli._exits import usage

if TYPE_CHECKING:
    from collections.abc import Callable

_VARIABLE = "_DR_MLOPS_COMPLETE"
_START_FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/dr-mlops.fish"}


def _shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in _START_FILES:
        raise usage(f"SHELL is {shell!r}: completion is there for {', '.join(_START_FILES)}")
    return shell


def _complete(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Show or install what the shell must read for completion."""
    if not wanted or ctx.resilient_parsing:
        return
    shell = _shell()
    class_ = get_completion_class(shell)
    assert class_ is not None  # click has these three
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
    shared: dict[str, Any] = {"is_flag": True, "is_eager": True, "expose_value": False, "callback": _complete}
    show = option("--show-completion", help="Show completion for this shell.", **shared)
    install = option("--install-completion", help="Install completion for this shell.", **shared)
    decorated: Callable[..., Any] = install(show(command))
    return decorated
