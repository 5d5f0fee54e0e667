from __future__ import annotations

import json
import logging
import random
import threading
from collections import Counter
from itertools import count
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.lowlevel
import pytest
from attrs import define, field

from datarobot_mlops_async import AsyncSession, RetryPolicy
from datarobot_mlops_async.emulator import Emulator
from datarobot_mlops_async.errors import DecodeError, MLOpsError, NotFoundError, PaginationError, ServerError
from tests.blocking import no_call_blocks_the_event_loop  # noqa: F401 - for all tests of this module
from tests.scripted import Answer, Asked, ScriptedServer

pytestmark = pytest.mark.anyio
IMPATIENT = RetryPolicy(max_retries=0)


def _cut(asked):
    """Return which part of a list a request asks for: offset and limit."""
    query = parse_qs(urlsplit(asked.target).query)
    return int(query["offset"][-1]), int(query["limit"][-1])


@define
class Table:
    """A list whose rows a test changes while it is read."""

    rows: list = field(factory=list)
    largest_page: int = 100
    # Called with the offset before the page is cut, in the server's thread.
    before: object = None
    answers: dict = field(factory=dict)
    show_total: bool = True
    offsets: list = field(factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    @classmethod
    def of(cls, size, **options):
        return cls(rows=[f"d{number:04}" for number in range(size)], **options)

    def __call__(self, asked):
        offset, limit = _cut(asked)
        limit = min(limit, self.largest_page)
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.offsets.append(offset)
            if self.before is not None:
                self.before(offset)
            answer = self.answers.get(offset) or self.page(offset, limit)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        with self._lock:
            self._at_once -= 1
        return answer

    def page(self, offset, limit, **changes):
        behind = offset + limit
        next_ = f"https://wrong.host/api/v2/deployments/?offset={behind}&limit={limit}"
        body = {
            "data": [{"id": row} for row in self.rows[offset:behind]],
            "next": next_ if behind < len(self.rows) else None,
        }
        if self.show_total:
            body["totalCount"] = len(self.rows)
        return Answer(body=json.dumps({**body, **changes}).encode())


def session_for(server, **options):
    return AsyncSession(
        server.endpoint, "token-of-the-test", **{"retry": IMPATIENT, "max_concurrency": 4, **options}
    )


def ids(items):
    return [item.id for item in items]


async def read_plainly(paginator):
    return [item async for item in paginator]


async def read_collected(paginator):
    return await paginator.collect(max_concurrency=3)


async def read_prefetched(paginator):
    async with paginator.prefetch(3) as items:
        return [item async for item in items]


async def all_places_are_free(session, total):
    async def read():
        assert (await session.deployments.list(page_size=1).first_page()).total_count == total

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(read)


@pytest.fixture(params=[read_plainly, read_collected, read_prefetched])
def read(request):
    """Every rule about lists holds for every way of reading one."""
    return request.param


@pytest.fixture(autouse=True)
async def _no_task_is_left():
    tasks = len(anyio.get_running_tasks())
    yield
    assert len(anyio.get_running_tasks()) == tasks


@pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 95])
async def test_all_items_come_once_and_in_order(read, size):
    table = Table.of(size)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert ids(items) == table.rows
    assert Counter(table.offsets) == Counter(range(0, max(size, 1), 10))


@pytest.mark.parametrize("limit", [0, 1, 10, 15, 30, 1000])
async def test_limit_stops_at_so_many_items_and_asks_for_no_page_behind_them(read, limit):
    table = Table.of(45)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10, limit=limit))
    assert ids(items) == table.rows[:limit]
    assert max(table.offsets, default=0) < max(limit, 1)


async def test_page_that_the_server_made_smaller_is_the_size_of_all(read):
    table = Table.of(33, largest_page=7)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=100))
    assert ids(items) == table.rows
    assert Counter(table.offsets) == Counter(range(0, 33, 7))


async def test_page_with_rows_left_out_is_no_shorter_step(read):
    table = Table.of(30)
    table.answers[0] = table.page(0, 10, data=[{"id": "d0000"}, {"id": "d0001"}])
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert ids(items) == ["d0000", "d0001", *table.rows[10:]]
    assert Counter(table.offsets) == Counter([0, 10, 20])


async def test_empty_page_with_a_next_does_not_end_the_list(read):
    table = Table.of(30)
    table.answers[10] = table.page(10, 10, data=[])
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert ids(items) == table.rows[:10] + table.rows[20:]


@pytest.mark.parametrize("end", [None, ""])
async def test_null_and_an_empty_string_end_the_list(read, end):
    table = Table.of(5)
    table.answers[0] = table.page(0, 10, next=end)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            assert len(await read(session.deployments.list(page_size=10))) == 5
    assert table.offsets == [0]


async def test_list_without_a_total_is_read_by_its_next(read):
    table = Table.of(25, show_total=False)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert ids(items) == table.rows
    assert table.offsets == [0, 10, 20]


async def test_next_without_an_offset_is_followed_as_it_is(read):
    def answer(asked):
        query = parse_qs(urlsplit(asked.target).query)
        number = int(query.get("cursor", ["0"])[0])
        body = {
            "data": [{"id": f"d{number}"}],
            "totalCount": 4,
            "next": f"https://h/x?cursor={number + 1}&a=b%20c",
        }
        return Answer(body=json.dumps(body | ({"next": None} if number == 3 else {})).encode())

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            assert ids(await read(session.deployments.list())) == ["d0", "d1", "d2", "d3"]
    assert server.asked[1].target == "/api/v2/deployments/?cursor=1&a=b%20c"


@pytest.mark.parametrize("next_", ["https://h/", "/api/v2/deployments/", "?", "http://[", "nonsense"])
async def test_next_that_names_no_page_is_an_error(read, next_):
    table = Table.of(30)
    table.answers[0] = table.page(0, 10, next=next_)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            with pytest.raises(DecodeError, match=r"\$\.next"):
                await read(session.deployments.list(page_size=10))


async def test_server_that_repeats_a_next_is_found_out(read):
    table = Table.of(30, show_total=False)
    table.answers[10] = table.page(10, 10, next="https://h/?offset=10&limit=10")
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            with pytest.raises(PaginationError, match="repeats the same 'next' after 20 items"):
                await read(session.deployments.list(page_size=10))


@pytest.mark.parametrize("data", [[], [{"id": "always the same"}]])
async def test_server_that_goes_on_for_ever_with_nothing_new_is_found_out(read, data):
    table = Table.of(0)
    pages = count(1)

    def answer(asked):
        return table.page(0, 10, data=data, next=f"https://h/?cursor={next(pages)}")

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            with pytest.raises(
                PaginationError, match="101 pages in a row, each with a 'next', and nothing new"
            ):
                await read(session.deployments.list())


async def test_row_that_shifts_into_the_next_page_comes_once(read):
    table = Table.of(40)

    def insert_first(offset):
        if offset == 20:
            table.before = None
            table.rows.insert(0, "new")

    table.before = insert_first
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert max(Counter(ids(items)).values()) == 1
    assert set(table.rows) - {"new"} <= set(ids(items))


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_rows_that_slip_past_when_others_are_deleted_are_found_again(read):
    table = Table.of(60)

    def delete_first(offset):
        if offset == 30:
            table.before = None
            del table.rows[:5]

    table.before = delete_first
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    # Rows 30 to 34 stand before offset 30 now, where a page had been read already.
    assert set(table.rows) <= set(ids(items))
    assert max(Counter(ids(items)).values()) == 1


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_list_that_grows_while_it_is_read_is_read_to_its_new_end(read):
    table = Table.of(35)

    def append(offset):
        if offset == 30:
            table.before = None
            table.rows.extend(f"new{number:02}" for number in range(30))

    table.before = append
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert sorted(ids(items)) == sorted(table.rows)


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_list_that_shrinks_to_nothing_while_it_is_read_is_read_to_its_new_end(read):
    table = Table.of(40)

    def clear(offset):
        if offset == 20:
            table.before = None
            table.rows.clear()

    table.before = clear
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert len(items) <= 40


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_list_that_never_stops_changing_is_given_out_with_a_warning(read, caplog):
    table = Table.of(100)
    table.before = lambda offset: table.rows.pop()
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert len(items) >= 50
    assert "GET /deployments/: the list kept changing while it was read 6 times" in caplog.messages


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_page_without_a_total_among_others_changes_nothing(read):
    table = Table.of(50)
    table.answers[20] = table.page(20, 10, totalCount=None)
    table.answers[40] = table.page(40, 10, totalCount=None)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = await read(session.deployments.list(page_size=10))
    assert ids(items) == table.rows
    assert len(table.offsets) == 5


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_total_that_the_server_caps_does_not_end_the_list(read):
    table = Table.of(45)
    for offset in range(0, 50, 10):
        table.answers[offset] = table.page(offset, 10, totalCount=20)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            assert ids(await read(session.deployments.list(page_size=10))) == table.rows


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_entries_without_an_identity_are_given_out_as_they_come(read):
    table = Table.of(30)
    same = [{"model": {"id": "m"}}] * 10
    for offset in (0, 10, 20):
        table.answers[offset] = table.page(offset, 10, data=same, totalCount=30 + (offset == 20))
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            history = await read(session.deployments.model_history("d1", page_size=10))
    assert len(history) == 30


async def test_items_whose_id_is_missing_are_all_given_out(read):
    table = Table.of(3)
    table.answers[0] = table.page(0, 10, data=[{"label": "a"}, {"label": "b"}, {"label": "c"}])
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            assert [item.label for item in await read(session.deployments.list())] == ["a", "b", "c"]


@pytest.mark.parametrize(("status", "error"), [(404, NotFoundError), (500, ServerError)])
async def test_failure_of_a_page_comes_out_plainly_and_stops_the_reading(read, status, error):
    table = Table.of(500)
    table.answers[30] = Answer(status=status)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            with pytest.raises(error):
                await read(session.deployments.list(page_size=10))
            await all_places_are_free(session, 500)
    assert len(table.offsets) < 20


async def test_page_that_failed_may_be_asked_for_again_by_whoever_reads_page_by_page():
    table = Table.of(30)
    table.answers[10] = [Answer(status=500), table.page(10, 10)]
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            items = aiter(session.deployments.list(page_size=10))
            first = [await anext(items) for _ in range(10)]
            with pytest.raises(ServerError):
                await anext(items)
            rest = [item async for item in items]
    assert ids(first + rest) == table.rows


async def test_prefetch_that_failed_is_over_like_a_generator():
    table = Table.of(100)
    table.answers[10] = Answer(status=500)
    with ScriptedServer(table) as server:
        async with (
            session_for(server) as session,
            session.deployments.list(page_size=10).prefetch(2) as items,
        ):
            with pytest.raises(ServerError):
                async for _ in items:
                    pass
            assert [item async for item in items] == []


async def test_prefetch_reads_ahead_of_the_consumer_and_no_further():
    table = Table.of(500)
    with ScriptedServer(table) as server:
        async with (
            session_for(server) as session,
            session.deployments.list(page_size=10).prefetch(3) as items,
        ):
            await anext(items)
            with anyio.fail_after(10):
                while len(table.offsets) < 4:  # noqa: ASYNC110 - it happens in another thread
                    await anyio.sleep(0.001)
            await anyio.sleep(0.02)
            assert table.offsets[0] == 0
            assert sorted(table.offsets[1:]) == [10, 20, 30]
            async for _ in items:
                break
    assert len(table.offsets) <= 5


async def test_break_out_of_prefetch_ends_its_requests():
    held = threading.Event()
    table = Table.of(500)
    asked_ahead = threading.Event()

    def answer(asked):
        if "offset=0&" not in asked.target:
            asked_ahead.set()
            held.wait(5)
        return table(asked)

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            async with session.deployments.list(page_size=10).prefetch(3) as items:
                async for _ in items:
                    await anyio.to_thread.run_sync(asked_ahead.wait, 5)
                    break
            held.set()
            await all_places_are_free(session, 500)


@pytest.mark.parametrize("raised", [KeyError("mine"), StopAsyncIteration()])
async def test_exception_in_the_body_of_prefetch_comes_out_as_it_is(raised):
    with ScriptedServer(Table.of(100)) as server:
        async with session_for(server) as session:
            with pytest.raises(type(raised)) as caught:
                async with session.deployments.list(page_size=10).prefetch(3) as items:
                    async for _ in items:
                        raise raised
            assert caught.value is raised


async def test_prefetch_outside_of_its_async_with_is_refused():
    with ScriptedServer(Table.of(5)) as server:
        async with session_for(server) as session:
            items = session.deployments.list().prefetch()
            for _ in range(2):
                with pytest.raises(PaginationError, match="async context manager"):
                    await anext(items)
                async with items:
                    await anext(items)


async def test_cancelled_reading_is_over_at_once_and_leaves_nothing(read):
    held = threading.Event()
    table = Table.of(100)

    def answer(asked):
        if "offset=0&" not in asked.target:
            held.wait(5)
        return table(asked)

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            with anyio.move_on_after(0.1) as scope:
                await read(session.deployments.list(page_size=10))
            assert scope.cancelled_caught
            held.set()
            await all_places_are_free(session, 100)


async def test_break_out_of_a_plain_loop_leaves_nothing_to_be_finalised():
    with ScriptedServer(Table.of(100)) as server:
        async with session_for(server) as session:
            async for item in session.deployments.list(page_size=10):
                assert item.id == "d0000"
                break
            async for page in session.deployments.list(page_size=10).pages():
                assert len(page.items) == 10
                break
    assert len(server.asked) == 2


async def test_concurrency_is_that_of_the_caller_and_of_the_session():
    table = Table.of(400)
    with ScriptedServer(table) as server:
        async with session_for(server, max_concurrency=3) as session:
            await session.deployments.list(page_size=10).collect(max_concurrency=50)
    assert table.most_at_once <= 3
    for wrong in (0, -1):
        paginator = AsyncSession("https://h", "token-of-the-test").deployments.list()
        with pytest.raises(ValueError, match="at least 1"):
            await paginator.collect(max_concurrency=wrong)
        with pytest.raises(ValueError, match="at least 1"):
            paginator.prefetch(wrong)


async def test_first_page_tells_the_total_and_a_paginator_can_be_used_again():
    with ScriptedServer(Table.of(25)) as server:
        async with session_for(server) as session:
            paginator = session.deployments.list(page_size=10)
            assert repr(paginator) == "<Paginator of Deployment at /deployments/>"
            page = await paginator.first_page()
            assert (len(page.items), page.total_count) == (10, 25)
            assert [len(page.items) async for page in paginator.pages()] == [10, 10, 5]
            assert len(await paginator.collect()) == 25
            nothing = await session.deployments.list(limit=0).first_page()
            assert (nothing.items, nothing.total_count) == ((), None)
    assert len(server.asked) == 7


async def test_emulators_lists_are_the_same_whichever_way_they_are_read():
    with Emulator(deployments=230, image_size=None, latency=0.001) as emulator:
        async with AsyncSession(emulator.endpoint, emulator.token) as session:
            plain = ids(await read_plainly(session.deployments.list(page_size=20)))
            emulator.clear_requests()
            assert ids(await session.deployments.list().collect()) == plain
            assert emulator.requests[0].parameters["offset"] == ["0"]
            assert len(emulator.requests) == 3
            assert ids(await read_prefetched(session.deployments.list(page_size=7))) == plain
            emulator.fault("GET /deployments/ page=repeat after=2")
            with pytest.raises(PaginationError):
                await read_plainly(session.deployments.list(page_size=20))
    assert len(set(plain)) == 230


async def test_no_page_is_fetched_twice_where_the_server_is_overloaded(caplog):
    caplog.set_level(logging.WARNING)
    with Emulator(deployments=300, image_size=None) as emulator:
        emulator.fault("GET /deployments/ status=503 retry-after=0.01 probability=0.2")
        async with AsyncSession(emulator.endpoint, emulator.token, retry=20) as session:
            assert len(await session.deployments.list(page_size=10).collect()) == 300
        served = Counter(each.query for each in emulator.requests if each.status == 200)
    assert len(served) == 30
    assert set(served.values()) == {1}
    assert not caplog.messages


@define
class OddServer:
    """A list that a seed made: page sizes, ``next``, totals and ids as no two servers have them."""

    seed: int
    rows: list = field(init=False)
    cuts: dict = field(init=False)
    style: str = field(init=False)
    totals: str = field(init=False)
    asked: int = 0

    def __attrs_post_init__(self):
        draw = random.Random(self.seed)
        size = draw.choice([0, 1, 7, 40, 90])
        self.rows = [
            draw.choice([None, "d0", f"d{number}"]) if draw.random() < 0.1 else f"d{number}"
            for number in range(size)
        ]
        self.style = draw.choice(["offset", "snapshot", "moving", "cursor"])
        self.totals = draw.choice(["true", "none", "zero", "negative", "huge", "half", "wild"])
        regular, shares = draw.randint(1, 12), draw.choice([0, 0.1, 0.5, 1])
        self.cuts = {
            offset: draw.randint(0, 12) if draw.random() < shares else regular for offset in range(size + 1)
        }

    def total(self, offset):
        wild = random.Random(f"{self.seed} {offset}").choice([None, 0, 3, 10**30, len(self.rows)])
        return {
            "true": len(self.rows),
            "none": None,
            "zero": 0,
            "negative": -5,
            "huge": 10**30,
            "half": len(self.rows) // 2,
            "wild": wild,
        }[self.totals]

    def __call__(self, asked):
        self.asked += 1
        query = {name: values[-1] for name, values in parse_qs(urlsplit(asked.target).query).items()}
        offset = int(query.get("cursor", "0x0"), 16) if self.style == "cursor" else int(query["offset"])
        if offset and self.style in {"snapshot", "moving"} and "snapshot" not in query:
            return Answer(body=b'{"data": [{"id": "of another snapshot"}], "next": null}')
        # An empty page goes on too: its second visit, by another name, has rows.
        size = self.cuts.get(offset, 1) or ("again" in query) * 3
        behind = offset + size
        body = {"data": [{"id": row} for row in self.rows[offset:behind]], "totalCount": self.total(offset)}
        names = {
            "offset": f"offset={behind}&limit=10",
            "snapshot": f"offset={behind}&limit=10&snapshot=s%201",
            "moving": f"limit=10&snapshot=s{behind}&offset={behind}",
            "cursor": f"cursor={behind:#x}",
        }
        body["next"] = (
            f"/x?{names[self.style]}{'' if size else '&again=1'}" if behind < len(self.rows) else None
        )
        return Answer(body=json.dumps(body).encode())

    def read_by_hand(self):
        """What a reader that knows nothing but ``next`` is given."""
        found, met, target = [], set(), "/?offset=0&limit=10"
        while target:
            page = json.loads(self(Asked("GET", target, {}, b"")).body)
            for row in page["data"]:
                if row["id"] is None or row["id"] not in met:
                    met.add(row["id"])
                    found.append(row["id"])
            target = page["next"]
        return found


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_any_server_is_read_as_its_next_says_however_it_is_read():
    for seed in range(40):
        odd = OddServer(seed)
        expected = odd.read_by_hand()
        by_hand, odd.asked = odd.asked, 0
        with ScriptedServer(odd) as server:
            async with session_for(server) as session:
                for read in (read_plainly, read_collected, read_prefetched):
                    items = await read(session.deployments.list(page_size=10))
                    assert ids(items) == expected, (seed, read)
        assert odd.asked <= 20 * by_hand, seed


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
@pytest.mark.parametrize("shorter", [4, 40])
async def test_later_page_that_is_shorter_loses_no_rows(read, shorter):
    table = Table.of(100)
    table.before = lambda offset: setattr(table, "largest_page", 4 if offset >= shorter else 10)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            assert ids(await read(session.deployments.list(page_size=10))) == table.rows


@pytest.mark.parametrize("read", [read_collected, read_prefetched], indirect=True)
async def test_parameters_of_the_servers_own_are_sent_back_by_all_ways(read):
    table = Table.of(100)
    without = []

    def answer(asked):
        if "offset=0&" not in asked.target and "snapshot=a%2Fb" not in asked.target:
            without.append(asked.target)
        page = table(asked)
        return Answer(body=page.body.replace(b"&limit=", b"&snapshot=a%2Fb&limit="))

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            assert ids(await read(session.deployments.list(page_size=10))) == table.rows
    assert without == []
    assert len(server.asked) == 10


@pytest.mark.parametrize("total", [10**30, 10**400, 2**63, -1, -(10**30), 1e30])
async def test_total_that_cannot_be_costs_no_more_requests(read, total):
    table = Table.of(25)
    for offset in (0, 10, 20):
        table.answers[offset] = table.page(offset, 10, totalCount=total)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            assert ids(await read(session.deployments.list(page_size=10))) == table.rows
    assert len(table.offsets) <= 7


@pytest.mark.parametrize("total", [True, "5", float("inf"), float("nan"), 0.5, [], {}])
async def test_total_that_is_no_whole_number_is_a_decode_error(read, total):
    table = Table.of(25)
    table.answers[0] = table.page(0, 10, totalCount=total)
    with ScriptedServer(table) as server:
        async with session_for(server) as session:
            with pytest.raises(DecodeError) as caught:
                await read(session.deployments.list(page_size=10))
    assert caught.value.path == "$.totalCount"


@pytest.mark.parametrize("data", [[], [{"id": "always the same"}]])
async def test_huge_total_of_nothing_new_is_found_out_soon(read, data):
    table = Table.of(0)

    def answer(asked):
        # By what this request asks for: others may have been noted since.
        table(asked)
        behind = _cut(asked)[0] + 10
        return table.page(0, 10, data=data, totalCount=10**30, next=f"https://h/?offset={behind}&limit=10")

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            with pytest.raises(PaginationError, match="101 pages in a row"):
                await read(session.deployments.list(page_size=10))
    assert len(server.asked) <= 110


@pytest.mark.parametrize(
    "next_", ["?offset=\ud800", f"?offset={'9' * 5000}", "?offset=-5&x=%00", "?" + "&" * 99]
)
async def test_next_of_the_strangest_kind_leads_to_an_error_of_ours(read, next_):
    table = Table.of(30)
    strange = table.page(0, 10, next=next_)
    with ScriptedServer(lambda asked: strange) as server:
        async with session_for(server) as session:
            with pytest.raises(MLOpsError):
                await read(session.deployments.list(page_size=10))


@pytest.mark.parametrize("key", ["id", None])
async def test_deadline_around_anext_loses_nothing_and_costs_no_place(key):
    table = Table.of(60)
    for offset in range(0, 60, 10):
        rows = [{"id": row, "label": row} for row in table.rows[offset : offset + 10]]
        rows = rows if key else [{"modelPackage": {"id": row["id"]}} for row in rows]
        table.answers[offset] = table.page(offset, 10, data=rows)
    gate = threading.Semaphore(0)

    def answer(asked):
        gate.acquire(timeout=5)
        return table(asked)

    with ScriptedServer(answer) as server:
        async with session_for(server) as session:
            deployments = session.deployments
            paginator = (
                deployments.list(page_size=10) if key else deployments.model_history("d", page_size=10)
            )
            items, missed = [], 0
            async with paginator.prefetch(3) as reading:
                while missed < 100:
                    # In place of a clock: each page is let go only after a deadline has passed.
                    with anyio.move_on_after(0.002) as deadline:
                        try:
                            items.append(await anext(reading))
                        except StopAsyncIteration:
                            break
                    if deadline.cancelled_caught:
                        missed += 1
                        gate.release()
    assert [item.id if key else item.model_package.id for item in items] == table.rows
    assert missed >= 3
    assert Counter(table.offsets) == Counter(range(0, 60, 10))


async def test_deadline_while_pages_are_read_again_loses_nothing():
    table = Table.of(60)
    gate = threading.Semaphore(0)

    def delete_first(offset):
        if offset == 30:
            table.before = None
            del table.rows[:5]

    table.before = delete_first

    def answer(asked):
        gate.acquire(timeout=5)
        return table(asked)

    with ScriptedServer(answer) as server:
        async with (
            session_for(server) as session,
            session.deployments.list(page_size=10).prefetch(3) as reading,
        ):
            items = []
            while True:
                with anyio.move_on_after(0.002) as deadline:
                    try:
                        items.append(await anext(reading))
                    except StopAsyncIteration:
                        break
                if deadline.cancelled_caught:
                    gate.release()
    assert set(table.rows) <= set(ids(items))
    assert max(Counter(ids(items)).values()) == 1


async def test_two_consumers_of_one_prefetch_share_its_items():
    table = Table.of(95)
    with ScriptedServer(table) as server:
        async with (
            session_for(server) as session,
            session.deployments.list(page_size=10).prefetch(2) as reading,
        ):
            items = []

            async def consume():
                async for item in reading:
                    items.append(item)
                    await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                group.start_soon(consume)
    assert sorted(ids(items)) == table.rows
