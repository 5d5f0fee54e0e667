"""What can be typed: all that 0.1 took is still there, and help tells it whole on any terminal."""

from __future__ import annotations

import json
import pwd
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from datarobot_mlops_async.cli._app import app
from tests.command_line import Here

BEFORE = json.loads(Path(__file__).with_name("command_line_0_1.json").read_text())


def command_at(path):
    command, context = app, click.Context(app)
    for name in path.split():
        command = command.get_command(context, name)
        assert command is not None, path
    return command


def every_command(command=app, path=""):
    yield path, command
    for name in command.list_commands(click.Context(command)) if isinstance(command, click.Group) else ():
        yield from every_command(command_at(f"{path} {name}"), f"{path} {name}".strip())


def declared(parameter):
    """Return a parameter as the file of 0.1 tells it."""
    told = parameter.to_info_dict()
    repeated = told["multiple"] or told["nargs"] == -1
    kind = told["param_type_name"] if not told.get("is_flag") else "flag"
    default = None if repeated else told["default"]
    return {"kind": kind, "repeated": repeated, "default": default, "required": told["required"]}


@pytest.mark.parametrize("path", BEFORE)
def test_everything_that_could_be_typed_still_can(path):
    parameters = command_at(path).params
    for before in BEFORE[path]:
        words = set(before["words"])
        (now,) = (
            each for each in parameters if words <= {*each.opts, *each.secondary_opts} or each.name in words
        )
        then = {**before, "default": before["default"] or None}
        told = declared(now)
        assert {**told, "default": told["default"] or None, "words": before["words"]} == then


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_cuts_no_option_and_no_sentence(capfd, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    here = Here(capfd, monkeypatch)
    for path, command in every_command():
        shown = here(*path.split(), "--help").out
        assert "…" not in shown
        assert "..." not in shown.replace("[ID]...", "").replace("[ARGS]...", "")
        for parameter in command.params:
            for word in parameter.opts + parameter.secondary_opts:
                assert not word.startswith("-") or word in shown
        longest = max(len(word) for word in re.findall(r"\S+(?: [A-Z]+)?", shown))
        indented = [line for line in shown.splitlines() if line.startswith(" ")]
        assert all(len(line) <= max(columns, longest + 2) for line in indented)


def test_arguments_are_explained(capfd, monkeypatch):
    shown = Here(capfd, monkeypatch)("scoring-code", "download", "--help").out
    assert re.search(r"Arguments:\n +ID +The deployment's id\.\n +\[DEST\] +A file", shown)


@pytest.mark.parametrize("arguments", ["--help", "deployments --help", "deployments list --help"])
def test_help_imports_neither_a_session_nor_what_draws(arguments):
    code = (
        "import sys; from datarobot_mlops_async.cli._app import run; code = run(sys.argv[1:]); "
        "print(code, sorted({'httpx', 'cattrs', 'anyio', 'rich', 'tenacity', 'asyncio'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *arguments.split()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "0 []"


def test_headings_are_bold_on_a_terminal_only(capfd, monkeypatch):
    here = Here(capfd, monkeypatch)
    assert "\x1b[1m" in here("bundles", "--help", terminal=True).raw
    assert "\x1b" not in here("bundles", "--help").raw
    assert "\x1b" not in here("bundles", "--help", terminal=True, term="dumb").raw
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in here("bundles", "--help", terminal=True).raw


@pytest.mark.parametrize(
    ("shell", "file"),
    [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", ".config/fish/completions/dr-mlops.fish")],
)
def test_completion_is_shown_and_installed_once(capfd, monkeypatch, tmp_path, shell, file):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
    here = Here(capfd, monkeypatch)
    script = here("--show-completion").out
    assert f"{shell}_complete" in script
    for _ in range(2):
        ran = here("--install-completion")
        assert (ran.code, file in ran.out) == (0, True)
    assert (tmp_path / file).read_text().count(script.strip()) == 1


def test_completion_for_another_shell_names_those_it_is_there_for(capfd, monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    ran = Here(capfd, monkeypatch)("--show-completion")
    assert ran.code == 2
    assert "bash, zsh, fish" in ran.error


def complete(capfd, monkeypatch, line):
    monkeypatch.setenv("_DR_MLOPS_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"dr-mlops {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(line.split())))
    with pytest.raises(SystemExit):
        app.main([], prog_name="dr-mlops", standalone_mode=False)
    return [line.partition(",")[2] for line in capfd.readouterr().out.splitlines() if line]


def test_columns_are_completed_one_after_the_other(capfd, monkeypatch):
    found = complete(capfd, monkeypatch, "deployments list --columns id,service_health.st")
    assert found == ["id,service_health.status", "id,service_health.start_date"]
    assert "model.type" in complete(capfd, monkeypatch, "deployments list --columns model.ty")


def test_completion_behind_a_dash_reads_no_ids(capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert "--status" in complete(capfd, monkeypatch, "deployments deactivate - --stat")
    assert "--keep" in complete(capfd, monkeypatch, "pps-image load --engine nosuch --ke")


def test_ids_that_were_seen_are_completed(capfd, monkeypatch, tmp_path, datarobot_emulator):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert complete(capfd, monkeypatch, "deployments get 6") == []
    monkeypatch.delenv("_DR_MLOPS_COMPLETE")
    here = Here(capfd, monkeypatch)
    ids = here("deployments", "list", "--columns", "id").lines
    here("deployments", "list", terminal=True)
    begin = ids[0][:2]
    expected = [each for each in ids if each.startswith(begin)]
    assert complete(capfd, monkeypatch, f"deployments get {begin}") == expected
    assert complete(capfd, monkeypatch, f"deployments delete x {begin}") == expected
    (tmp_path / "dr-mlops" / "deployment.json").write_text("[1]")
    assert complete(capfd, monkeypatch, f"deployments get {begin}") == []


def test_cache_of_a_user_without_a_home_is_not_missed(capfd, monkeypatch, datarobot_emulator):
    def fail(_user):
        raise KeyError

    # As in a container that runs under any number.
    monkeypatch.setattr(pwd, "getpwuid", fail)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert Here(capfd, monkeypatch)("deployments", "list", terminal=True).code == 0
    assert complete(capfd, monkeypatch, "deployments get 6") == []


def test_cache_that_cannot_be_written_is_not_missed(capfd, monkeypatch, tmp_path, datarobot_emulator):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Here(capfd, monkeypatch)("deployments", "list", terminal=True).code == 0
