"""Commands: help in sections that fits the screen, and a session around their work."""

from __future__ import annotations

import functools
import os
import shutil
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from enum import StrEnum

_WIDEST = 100
_NARROWEST = 40


class _Formatter(click.HelpFormatter):
    def write_heading(self, heading: str) -> None:
        self.write(f"{click.style(heading, bold=True)}:\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, min(col_max, self.width * 3 // 8), col_spacing)


class _Context(click.Context):
    def make_formatter(self) -> click.HelpFormatter:
        """Fit the terminal, also a narrow one. What is too long for its column gets a line of its own."""
        return _Formatter(width=max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns)))


class Option(click.Option):
    """An option that stands in a section of its command's help."""

    def __init__(self, *arguments: Any, section: str = "Options", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.section = section


class Argument(click.Argument):
    """An argument with a line of help."""

    section = "Arguments"

    def __init__(self, *arguments: Any, about: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        # Not "help", which click from 8.4 on writes in a section of its own.
        self.about = about

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return what stands in the help."""
        return self.make_metavar(ctx), self.about


class Command(click.Command):
    """A command whose help has sections."""

    context_class = _Context

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(
            *arguments, **{"context_settings": {"help_option_names": ["-h", "--help"]}} | attributes
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections: arguments first, and in each its options in the order of their declaration."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class Group(Command, click.Group):
    """A group of commands."""

    command_class = Command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options and commands, each with its first sentence."""
        Command.format_options(self, ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.sentence(ctx, name)) for name in self.list_commands(ctx)])

    def sentence(self, ctx: click.Context, name: str) -> str:
        """Return what stands beside a command's name."""
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=1000) if command else ""


def argument(name: str, about: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an argument with a line of help."""
    return click.argument(name, cls=Argument, about=about, **attributes)


def option(
    names: str, about: str, *, enum: type[StrEnum] | None = None, **attributes: Any
) -> Callable[[Any], Any]:
    """Declare an option.

    Args:
        names: As click takes them, with blanks between them.
        about: Its line of help.
        enum: Its values are told in the help and completed; others are taken too, for a server that knows more.
        attributes: As click takes them, and ``section``, the heading in the help that it stands under.
    """
    if enum is not None:
        about += f" One of {', '.join(each.value for each in enum)}."
        attributes["shell_complete"] = one_of(enum)
    if not isinstance(attributes.get("default"), bool):
        attributes.setdefault("show_default", bool(attributes.get("default")))
    return click.option(*names.split(" "), cls=Option, help=about, **attributes)


def flag(names: str, about: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare an option without a value."""
    return option(names, about, is_flag=True, **attributes)


def one_of(words: Iterable[str]) -> Callable[..., list[str]]:
    """Return what completes one of some words in the shell."""
    return lambda _ctx, _parameter, begun: [
        str(word) for word in words if word.lower().startswith(begun.lower())
    ]


def together(
    name: str, make: Callable[..., object], *options: Callable[[Any], Any]
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
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
    work: Callable[..., Awaitable[None]] | None = None,
    *,
    when: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> Callable[..., Any]:
    """Make a command of a coroutine function. It gets an `Invocation`, whose session is open meanwhile."""
    if work is None:
        return functools.partial(with_session, when=when)

    @click.pass_obj
    @functools.wraps(work)
    def command(settings: dict[str, Any], /, **options: Any) -> None:
        # Not at the top: a session costs an import that help and completion need not pay.
        from datarobot_mlops_async.cli._invocation import Invocation

        Invocation(settings).run(functools.partial(work, **options), with_session=when(options))

    return command


def colours() -> bool | None:
    """Return whether help is coloured: never where the environment says so, else wherever there is a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None
