"""Ids that were listed lately, for completion in the shell."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MOST_KEPT = 200


def _file(kind: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "dr-mlops" / f"{kind}.json"


def remember(kind: str, things: Iterable[Any]) -> None:
    """Keep the ids and labels of things that a person has seen, in the user's cache; none of it is missed."""
    seen = [
        (each.id, getattr(each, "label", None) or getattr(each, "name", None) or "")
        for each in things
        if getattr(each, "id", None)
    ]
    path = _file(kind)
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(json.dumps(seen[:_MOST_KEPT]), "utf-8")


def recent(kind: str) -> Callable[..., list[CompletionItem]]:
    """Return what completes the ids of one kind of thing."""

    def complete(_ctx: object, _parameter: object, incomplete: str) -> list[CompletionItem]:
        with suppress(OSError, ValueError, TypeError):
            return [
                CompletionItem(id_, help=label)
                for id_, label in json.loads(_file(kind).read_text("utf-8"))
                if id_.startswith(incomplete)
            ]
        return []

    return complete
