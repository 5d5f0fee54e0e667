"""The container engine that a verified image is loaded into."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Self

import anyio
from attrs import frozen

from datarobot_mlops_async.cli._exits import ExitCode, Failure
from datarobot_mlops_async.cli._messages import clean

if TYPE_CHECKING:
    from pathlib import Path

    from datarobot_mlops_async.cli._terminal import Terminal

_PATIENCE = 30.0
"""Seconds for an engine to answer whether it is there."""


@frozen
class Engine:
    """A container engine's command line program.

    Attributes:
        program: Its path.
    """

    program: str

    @classmethod
    def find(cls, command: str) -> Self:
        """Return the engine, having asked whether it answers.

        Raises:
            Failure: There is no such program, or no engine behind it.
        """
        program = shutil.which(command)
        if program is None:
            raise Failure(
                f"there is no {command} here: install it, or 'dr-mlops pps-image download' the image and load it "
                "where there is one",
                ExitCode.FAILED,
            )
        try:
            # 'info' and not 'version': it fails without an engine for docker and podman alike.
            asked = subprocess.run(  # noqa: S603 - the user's own program
                [program, "info"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE,
                check=False,
            )
            reason = _last_line(asked.stderr) if asked.returncode else None
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = clean(error)
        if reason is not None:
            raise Failure(f"no container engine answers {command}: {reason}", ExitCode.FAILED)
        return cls(program)

    async def load(self, terminal: Terminal, image: Path) -> None:
        """Load an image's file and show what the engine says.

        Raises:
            Failure: The engine refused it.
        """
        with terminal.status.busy(f"loading {image.name}"), image.open("rb") as file:
            loading = await anyio.run_process([self.program, "load"], stdin=file, check=False)
        if loading.returncode:
            raise Failure(
                f"the container engine refused the image: {_last_line(loading.stderr)}; the file was kept: {image}",
                ExitCode.FAILED,
            )
        for line in loading.stdout.decode("utf-8", "replace").splitlines():
            terminal.say(line)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return clean(lines[-1]) if lines else "it said nothing"
