"""Options that several commands share, declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., None])


def takes(name: str, declared: Callable[..., object]) -> Callable[[F], F]:
    """Give a command the options that another function declares as its parameters.

    The command's own parameter ``name`` gets what that function returns for them.

    Args:
        name: A keyword parameter of the command.
        declared: A function whose parameters are options as typer wants them.
    """
    options = inspect.signature(declared, eval_str=True).parameters

    def decorate(command: F) -> F:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.name != name]

        @functools.wraps(command)
        def with_options(*positional: Any, **given: Any) -> None:
            chosen = {each: given.pop(each) for each in options if each in given}
            command(*positional, **{name: declared(**chosen)}, **given)

        parameters = [*own, *options.values()]
        with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # as inspect documents
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        # What is wrapped has another signature.
        del with_options.__wrapped__
        return with_options  # type: ignore[return-value] # typer reads the signature above

    return decorate
