"""Locks on open files: who holds them, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings

import pytest

from datarobot_mlops_async._locks import lock_holds, try_lock, unlock


@pytest.fixture
def opened(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    descriptors = []

    def open_again():
        descriptors.append(os.open(path, os.O_RDWR))
        return descriptors[-1]

    yield open_again
    for each in descriptors:
        unlock(each)
        os.close(each)


def test_lock_keeps_others_out_until_it_is_released(opened, tmp_path):
    mine, other = opened(), opened()
    assert try_lock(mine) is True
    assert try_lock(other) is False
    assert lock_holds(tmp_path / "file")
    unlock(mine)
    assert try_lock(other) is True


def test_lock_that_is_not_held_can_be_released(opened, tmp_path):
    unlock(opened())
    assert not lock_holds(tmp_path / "file")


def test_what_cannot_be_locked_says_so():
    read, write = os.pipe()
    os.close(write)
    os.close(read)
    assert try_lock(read) is None


_PARENT = """
import os, signal, sys
from datarobot_mlops_async._locks import try_lock
descriptor = os.open(sys.argv[1], os.O_RDWR)
assert try_lock(descriptor)
child = os.fork()
if child == 0:
    # What a child writes to what it inherited does no harm either.
    os.write(descriptor, b"from the child")
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_does_not_keep_the_lock_of_a_killed_parent(opened, tmp_path):
    other = opened()
    arguments = [sys.executable, "-c", _PARENT, str(tmp_path / "file")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout.readline() == b"child\n"
        assert try_lock(other) is False
        parent.kill()
        parent.wait()
        # The child is alive: it waits for the end of its input.
        deadline = time.monotonic() + 10
        while not (locked := try_lock(other)) and time.monotonic() < deadline:
            time.sleep(0.01)
        parent.stdin.close()
        parent.stdout.read()
    assert locked
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_child_that_releases_an_inherited_lock_takes_it_from_nobody(opened):
    mine, other = opened(), opened()
    assert try_lock(mine)
    with warnings.catch_warnings():
        # Threads of other tests may be alive; the child does nothing that could wait for them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        unlock(mine)
        os.close(mine)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert try_lock(other) is False
