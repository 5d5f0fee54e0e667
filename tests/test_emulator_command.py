"""The emulator from the command line."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time

import httpx
import pytest

from datarobot_mlops_async.emulator import Emulator, command, environment, serve


def run(arguments):
    """Run the command as `dr-mlops emulator` does, and raise `SystemExit` where it fails."""
    try:
        command.main(arguments)
    except SystemExit as end:
        if end.code:
            raise


pytest_plugins = ["tests.servers.fixtures"]

COMMAND = [sys.executable, "-m", "datarobot_mlops_async.emulator"]


def read_environment(lines):
    return dict(re.fullmatch(r"export (\w+)=(\S+)\n?", line).groups() for line in lines)


def serving(*options):
    return subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_command_serves_beside_another_one_until_it_is_interrupted():
    options = ["--deployments", "7", "--image-size", "1GiB", "--latency", "1ms", "--token", "it's"]
    options += ["--fault", "GET /status/** status=503"]
    with serving(*options) as first, serving(*options) as second:
        endpoints = set()
        try:
            for process in (first, second):
                lines = [process.stdout.readline(), process.stdout.readline()]
                endpoint = read_environment(lines[:1])["DATAROBOT_ENDPOINT"]
                assert lines[1] == "export DATAROBOT_API_TOKEN='it'\"'\"'s'\n"
                with httpx.Client(headers={"Authorization": "Bearer it's"}, trust_env=False) as client:
                    assert client.get(f"{endpoint}/deployments/").json()["totalCount"] == 7
                    assert client.get(f"{endpoint}/status/x/").status_code == 503
                endpoints.add(endpoint)
        finally:
            first.send_signal(signal.SIGINT)
            second.send_signal(signal.SIGTERM)
        for process in (first, second):
            assert process.wait(10) == 0
            assert (process.stdout.read(), process.stderr.read()) == ("", "")
    assert len(endpoints) == 2


def test_serve_says_how_to_reach_it_and_ends_on_request():
    said, until = [], threading.Event()
    emulator = Emulator(deployments=1, image_size=10)
    serving = threading.Thread(
        target=serve, args=(emulator,), kwargs={"announce": said.append, "until": until}
    )
    serving.start()
    while len(said) < 2:
        time.sleep(0.001)
    assert said == list(environment(emulator))
    variables = read_environment(said)
    headers = {"Authorization": f"Bearer {variables['DATAROBOT_API_TOKEN']}"}
    url = f"{variables['DATAROBOT_ENDPOINT']}/version/"
    assert httpx.get(url, headers=headers, verify=False, trust_env=False).status_code == 200
    until.set()
    serving.join(10)
    assert not serving.is_alive()


def test_interrupt_in_the_main_thread_ends_serve_and_restores_the_handlers(capsys):
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    run(["--deployments", "0", "--direct", "--seed", "3"])
    timer.join()
    assert signal.getsignal(signal.SIGTERM) is before
    assert set(read_environment(capsys.readouterr().out.splitlines())) == {
        "DATAROBOT_ENDPOINT",
        "DATAROBOT_API_TOKEN",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fault", "GET /version/ statu=1"], "unknown word 'statu', did you mean status?"),
        (["--image-size", "big"], "'big' is not a size"),
        (["--latency", "slow"], "'slow' is not a duration"),
        (["--deployments", "-3"], "deployments must not be negative"),
    ],
)
def test_wrong_argument_is_explained(capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_taken_port_is_explained(capsys):
    with Emulator(deployments=0) as running, pytest.raises(SystemExit) as caught:
        run(["--port", str(running.port)])
    assert caught.value.code == 1
    assert "cannot listen" in capsys.readouterr().err


def test_help_lists_the_fault_vocabulary(capsys):
    run(["--fault", "help"])
    printed = capsys.readouterr().out
    assert "retry-after" in printed
    assert "GET /deployments/{deployment_id}/" in printed
    assert "GET storage" in printed
    run(["--help"])
    assert "--image-size SIZE" in capsys.readouterr().out


def test_command_serves_https_and_tells_of_faults_that_never_fired(tls):
    options = [
        "--tls-cert",
        str(tls.certificate),
        "--tls-key",
        str(tls.key),
        "--fault",
        "GET /version/ stall",
    ]
    with serving(*options, "--deployments", "0", "--image-size", "1kB") as process:
        endpoint = read_environment([process.stdout.readline()])["DATAROBOT_ENDPOINT"]
        assert endpoint.startswith("https://")
        trusting = ssl.create_default_context(cafile=tls.ca_file)
        assert httpx.get(f"{endpoint}/deployments/", verify=trusting, trust_env=False).status_code == 401
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "this fault never fired: GET /version/ stall=0\n"
        assert process.wait(10) == 0


def test_certificate_that_is_none_is_explained(tls, capsys):
    with pytest.raises(SystemExit):
        run(["--tls-cert", str(tls.ca_file)])
    assert "Usage:" in capsys.readouterr().err


def test_command_without_click_says_what_to_install():
    code = (
        "import runpy, sys; sys.modules['click'] = None; "
        "runpy.run_module('datarobot_mlops_async.emulator', run_name='__main__')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        ran.stderr
        == "the emulator's command line needs click: pip install 'datarobot-mlops-async[emulator]'\n"
    )
