"""``dr-mlops emulator``: an emulated DataRobot to try things on."""

from __future__ import annotations

from datarobot_mlops_async.cli._command import Command
from datarobot_mlops_async.emulator import command as _command

command = Command("emulator", callback=_command.callback, params=_command.params, help=_command.help)
