"""Commands: help in sections that fits the screen, completion in the shell, and a session around their work."""

from __future__ import annotations

import functools
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from datarobot_mlops_async.cli._messages import usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from enum import StrEnum

    Declaration = Callable[[Any], Any]

_WIDEST = 100
_NARROWEST = 40
_START_FILES = {"bash": "~/.bashrc", "zsh": "~/.zshrc", "fish": "~/.config/fish/completions/dr-mlops.fish"}
_MOST_KEPT = 200


class _Formatter(click.HelpFormatter):
    """Fits the terminal, also a narrow one. What is too long for its column gets a line of its own."""

    def __init__(self, **_: object) -> None:
        super().__init__(width=max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns)))

    def write_heading(self, heading: str) -> None:
        self.write(f"{click.style(heading, bold=True)}:\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, min(col_max, self.width * 3 // 8), col_spacing)


class _Context(click.Context):
    formatter_class = _Formatter


class _Argument(click.Argument):
    section = "Arguments"

    def __init__(self, *arguments: Any, about: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        # Not "help", which click from 8.4 on writes in a section of its own.
        self.about = about

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        return self.make_metavar(ctx), self.about


class Command(click.Command):
    """A command whose help has sections: arguments first, and in each the order of their declaration."""

    context_class = _Context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Group(Command, click.Group):
    """A group of commands, each told by its first sentence."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)])

    def sentence(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=1000) if command else ""


def argument(name: str, about: str, **attributes: Any) -> Declaration:
    return click.argument(name, cls=_Argument, about=about, **attributes)


def option(names: str, about: str, *, enum: type[StrEnum] | None = None, **attributes: Any) -> Declaration:
    """Declare an option.

    Args:
        names: As click takes them, with blanks between them.
        about: Its line of help.
        enum: Its values are told in the help and completed; others are taken too, for a server that knows more.
        attributes: As click takes them. With a ``cls`` that has a ``section`` it stands under that heading.
    """
    if enum is not None:
        about += f" One of {', '.join(each.value for each in enum)}."
        attributes["shell_complete"] = one_of(enum)
    if not isinstance(attributes.get("default"), bool):
        attributes.setdefault("show_default", bool(attributes.get("default")))
    return click.option(*names.split(" "), help=about, **attributes)


def flag(names: str, about: str, **attributes: Any) -> Declaration:
    return option(names, about, is_flag=True, **attributes)


def together(name: str, make: Callable[..., object], *options: Declaration) -> Declaration:
    """Declare options that several commands share; a command gets them as one parameter.

    Args:
        name: The command's parameter.
        make: Returns its value, given the options' values by name.
        options: Their declarations.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_options(*positional: Any, **given: Any) -> Any:
            chosen = {each: given.pop(each) for each in names}
            return command(*positional, **given, **{name: make(**chosen)})

        before = len(getattr(with_options, "__click_params__", ()))
        for each in reversed(options):
            each(with_options)
        names = [parameter.name for parameter in with_options.__click_params__[before:]]  # type: ignore[attr-defined] # click's place for them
        return with_options

    return decorate


def with_session(
    work: Callable[..., Awaitable[object]] | None = None, *, opened: bool = True
) -> Callable[..., Any]:
    """Make a command of a coroutine function. It gets an `Invocation`, whose session is open unless told not to."""
    if work is None:
        return functools.partial(with_session, opened=opened)

    @click.pass_obj
    @functools.wraps(work)
    def command(settings: dict[str, Any], /, **options: Any) -> object:
        # Not at the top: a session costs an import that help and completion need not pay.
        from datarobot_mlops_async.cli._invocation import Invocation

        return Invocation(settings).run(functools.partial(work, **options), opened=opened)

    return command


def one_of(words: Iterable[str]) -> Callable[..., list[str]]:
    return lambda _ctx, _parameter, begun: [
        str(word) for word in words if word.lower().startswith(begun.lower())
    ]


def recent(kind: str) -> Callable[..., list[CompletionItem]]:
    """Return what completes the ids of one kind of thing, those that were listed lately."""

    def complete(_ctx: object, _parameter: object, begun: str) -> list[CompletionItem]:
        with suppress(OSError, RuntimeError, ValueError, TypeError):
            seen = json.loads(_file(kind).read_text("utf-8"))
            return [CompletionItem(id_, help=label) for id_, label in seen if id_.startswith(begun)]
        return []

    return complete


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


def _file(kind: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dr-mlops" / f"{kind}.json"


def completion_option(verb: str) -> Declaration:
    """Declare the option that shows or installs what the shell must read for completion."""

    def complete(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if not wanted or ctx.resilient_parsing:
            return
        shell = Path(os.environ.get("SHELL", "")).name
        class_ = get_completion_class(shell) if shell in _START_FILES else None
        if class_ is None:
            raise usage(f"SHELL is {shell!r}: completion is there for {', '.join(_START_FILES)}")
        script = class_(ctx.find_root().command, {}, "dr-mlops", "_DR_MLOPS_COMPLETE").source()
        if verb == "install":
            path = Path(_START_FILES[shell]).expanduser()
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or script not in path.read_text("utf-8"):
                with path.open("a", encoding="utf-8") as file:
                    file.write(f"\n{script}\n")
            script = f"completion for {shell} is in {path}: open a new shell"
        click.echo(script)
        ctx.exit()

    about = f"{verb.capitalize()} completion for this shell."
    return flag(f"--{verb}-completion", about, is_eager=True, expose_value=False, callback=complete)
