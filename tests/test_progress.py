"""``on_progress=progress_bar()``: what stands on the screen while a download runs, and when it is over."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys

import pytest

from datarobot_mlops_async import Progress, progress_bar, verify_file
from datarobot_mlops_async.errors import IntegrityError
from tests.command_line import Terminal

DOWNLOADS = """
import asyncio, datarobot_mlops_async as d

async def main():
    async with d.AsyncSession() as session:
        image = await session.pps_image.artifact()
        await image.download("one/", on_progress=d.progress_bar("first"))
        wrong = session.artifact("mlops/portablePredictionServerImage/", sha256="0" * 64)
        try:
            await wrong.download("two/", on_progress=d.progress_bar("wrong"))
        except d.errors.IntegrityError:
            print("not what was expected")
        async with asyncio.TaskGroup() as tasks:
            for name in "ab":
                tasks.create_task(image.download(f"{name}/", on_progress=d.progress_bar(name)))
        print("over")

asyncio.run(main())
"""


@pytest.fixture
def missing(tmp_path):
    """Return the environment of a reader who has not installed some packages; what a notebook is known by is there."""

    def environment(*names):
        (tmp_path / "ipykernel.py").touch()
        for name in names:
            (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError({name!r})")
        return {"PYTHONPATH": str(tmp_path)}

    return environment


@pytest.mark.parametrize(
    ("absent", "before", "columns", "full"),
    [
        ((), "", 40, r"{} ━+ 4.00 MiB of 4.00 MiB in \S+ s"),
        ((), "", 80, r"{} ━{{20,}} 4.00 MiB of 4.00 MiB +\S+ [kMG]B/s in \S+ s"),
        (("rich",), "", 80, r"{}: 100%\|█{{20,}}\| 4.00M/4.00M \[.*B/s\]"),
        (("rich", "tqdm"), "", 80, r"{} 100%  4.00 MiB of 4.00 MiB, \S+ [kMG]B/s, in \S+ s"),
        (
            ("tqdm", "ipywidgets"),
            "import ipykernel",
            80,
            r"{} 100%  4.00 MiB of 4.00 MiB, \S+ [kMG]B/s, in \S+ s",
        ),
    ],
    ids=["rich, narrow", "rich", "tqdm", "neither", "notebook without widgets"],
)
@pytest.mark.datarobot_emulator(image_size=2**22, storage_rate=2**24)
def test_bars_fill_and_stand_one_below_the_other_when_all_is_over(
    datarobot_emulator, tmp_path, monkeypatch, missing, absent, before, columns, full
):
    monkeypatch.chdir(tmp_path)
    program = [sys.executable, "-W", "error", "-c"]
    with Terminal(before + DOWNLOADS, columns=columns, program=program, **missing(*absent)) as terminal:
        assert terminal.finish() == 0, terminal.text
    first, wrong, said, *both, over = terminal.screen.strip().splitlines()
    assert re.fullmatch(full.format("first"), first)
    # A bar that an error ends stands where it was, and leaves the next line to others.
    assert re.match(r"wrong.*4\.00\s?M", wrong)
    assert said == "not what was expected"
    assert [re.fullmatch(full.format(each[0]), each)[0][0] for each in sorted(both)] == ["a", "b"]
    assert over == "over"
    # It was drawn on the way too.
    assert len(set(re.findall(r"first.*?(\d\S* ?[Mb])", terminal.text))) >= 2


def progress(verified, *, elapsed, **others):
    return Progress(**{"fetched": verified, "verified": verified, "total": 400, "rate": 10.0, "elapsed": elapsed,
                       "connections": 1, **others})  # fmt: skip


def test_bar_in_a_file_is_a_line_every_ten_seconds(capsys):
    bar = progress_bar("image")
    for second in range(25):
        bar(progress(10 * second, elapsed=second))
    bar(progress(250, elapsed=25, is_waiting=True))
    bar(progress(250, elapsed=26, is_waiting=True))
    bar(progress(400, elapsed=40))
    bar.close()
    bar.close()
    assert capsys.readouterr().err.splitlines() == [
        "image: 25%  100 bytes of 400 bytes, 0.01 kB/s, 30.0 s left",
        "image: 50%  200 bytes of 400 bytes, 0.01 kB/s, 20.0 s left",
        "image: waiting for another process that downloads to the same place",
        "image: 100%  400 bytes of 400 bytes, 0.01 kB/s, in 40.0 s",
        "image: 100%  400 bytes of 400 bytes, 0.01 kB/s, in 40.0 s",
    ]


def test_bar_is_begun_anew_by_the_next_download(capsys):
    bar = progress_bar()
    for _ in range(2):
        bar(progress(100, elapsed=1, total=None, rate=0.0))
        bar.close()
    assert capsys.readouterr().err.splitlines() == 2 * ["100 bytes, 0.00 kB/s, time left unknown"]
    bar(progress(0, elapsed=1, is_waiting=True))
    bar.close()
    assert "waiting" in capsys.readouterr().err


def test_stream_that_is_gone_ends_no_download(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with io.TextIOWrapper(io.FileIO(writing, "w"), write_through=True) as gone:
        for stream in (gone, None):
            with monkeypatch.context() as patched:
                patched.setattr(sys, "stderr", stream)
                bar = progress_bar()
                bar(progress(200, elapsed=11))
                bar.close()
        with pytest.raises(BrokenPipeError):
            gone.write("nobody reads")


class Closed:
    """A callback that wants to know when all is over."""

    def __init__(self):
        self.calls = []

    def __call__(self, progress):
        self.calls.append(progress.verified)

    def close(self):
        self.calls.append("closed")


@pytest.mark.anyio
async def test_callback_with_a_close_is_closed_however_a_download_ends(datarobot_session, tmp_path):
    artifact = await datarobot_session.pps_image.artifact()
    callback = Closed()
    result = await artifact.download(tmp_path / "image", on_progress=callback)
    assert callback.calls[-2:] == [artifact.size, "closed"]
    await verify_file(result.path, against=artifact, on_progress=callback)
    assert callback.calls[-2:] == [artifact.size, "closed"]
    with pytest.raises(ZeroDivisionError):
        async with artifact.stream(on_progress=callback):
            _ = 1 / 0
    with pytest.raises(IntegrityError):
        await verify_file(result.path, expected_sha256=hashlib.sha256().hexdigest(), on_progress=callback)
    assert callback.calls.count("closed") == 4
    assert callback.calls[-1] == "closed"
