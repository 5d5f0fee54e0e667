"""Entry point of `python -m datarobot_mlops_async.emulator`."""

from __future__ import annotations

from ._command import command

command(prog_name="python -m datarobot_mlops_async.emulator")
