"""Worker processes: what one does to itself is a named failure of its job, and of nothing else."""

import asyncio
import struct
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.jobs import frames
from gateway.jobs.workers import Workers
from gateway.work import Job, JobFailed

ODD = (sys.executable, str(Path(__file__).with_name("odd_worker.py")))


@pytest.fixture
async def workers():
    made = Workers(1, command=ODD)
    yield made
    await made.close()


async def failure(workers, job):
    with pytest.raises(JobFailed) as caught:
        await workers.run(job)
    return caught.value


async def well(workers):
    """Whether the next job is done as ever."""
    result = await workers.run(Job("draw", {"n": 2}, seed=3))
    return result.arrays["normals"].shape == (2,)


async def test_a_job_gives_values_and_arrays_and_tells_its_progress(workers):
    """Arrays go there and back; what a library prints does not stand among the messages."""
    told = []
    numbers = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([], np.int64), "c": np.asfortranarray(np.ones((2, 2)))}
    result = await workers.run(Job("draw", {"n": 5}, numbers, seed=1), told.append)
    assert result.values == {"sum": 19.0}
    assert told == [0.5]
    assert workers.workforce().done == 1


async def test_the_same_seed_gives_the_same_bytes_in_two_processes(workers):
    """And another seed others."""
    other = Workers(1, command=ODD)
    try:
        first, second = await asyncio.gather(*(each.run(Job("draw", {"n": 1000}, seed=42)) for each in (workers, other)))
        third = await workers.run(Job("draw", {"n": 1000}, seed=43))
    finally:
        await other.close()
    assert first.arrays["normals"].tobytes() == second.arrays["normals"].tobytes() != third.arrays["normals"].tobytes()


async def test_at_its_deadline_a_job_ends_with_its_worker(workers):
    fault = await failure(workers, Job("sleep", {"s": 60}, deadline_s=1.5))
    assert (fault.reason, fault.why) == ("deadline", "it was not done within 1.5 s")
    assert workers.workforce().alive == 0
    assert await well(workers)


async def test_who_no_longer_waits_ends_the_worker(workers):
    begun = asyncio.Event()
    task = asyncio.create_task(workers.run(Job("sleep", {"s": 60}), lambda _: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers.workforce().alive == 0
    assert await well(workers)


@pytest.mark.parametrize(
    ("job", "reason", "words"),
    [
        (Job("die", {}), "died", "the worker ended with exit code 7: the last words"),
        (Job("die", {"signal": True}), "died", "the worker ended by signal SIGSEGV: the last words"),
        (Job("babble", {"bytes": list(b"\xff\xff\xff\xff hello")}), "nonsense", "the worker wrote a header of 4294967295 bytes"),
        (Job("babble", {"bytes": [*struct.pack("<I", 5), *b"hello"]}), "nonsense", "the worker wrote a header that says nothing"),
        (Job("babble", {"bytes": [*struct.pack("<I", 23), *b'{"job":77,"arrays":[] }']}), "nonsense", "an answer to job 77"),
        (Job("fail", {}), "error", "ZeroDivisionError: of its own making"),
        (Job("refuse", {}), "refused", "there is no tag 'x'"),
        (Job("hog", {}), "refused", "it needs more memory than there is: fewer runs, fewer steps"),
        (Job("no such", {}), "refused", "there is no job 'no such'; known:"),
        (Job("draw", {"n": object()}), "refused", "Type is not JSON serializable: object"),
        (Job("draw", {"n": 1}, {"texts": np.array(["a"])}), "refused", "an array of <U1 with 1 dimensions cannot travel"),
    ],
    ids=lambda value: value.kind if isinstance(value, Job) else "",
)
async def test_what_goes_wrong_has_a_name_and_harms_no_other_job(workers, job, reason, words):
    fault = await failure(workers, job)
    assert fault.reason == reason
    assert words in fault.why
    assert await well(workers)


async def test_a_worker_is_modest_and_knows_no_secret(workers, monkeypatch):
    """First to go when memory is short, one thread of linear algebra, an environment of its own; its memory is told apart."""
    monkeypatch.setenv("EDGETWIN_TOKEN", "hunter2")
    seen = (await workers.run(Job("look", {}))).values
    assert (seen["oom"], seen["threads"], seen["secret"]) == (1000, "1", None)
    assert workers.workforce().resident_bytes > 2**20


async def test_a_worker_is_used_again_until_it_was_idle_for_long():
    workers = Workers(1, idle_s=0.05, command=ODD)
    try:
        first, second = [(await workers.run(Job("look", {}))).values["pid"] for _ in range(2)]
        assert first == second
        async with asyncio.timeout(10):
            while workers.workforce().alive:  # noqa: ASYNC110  the end of a process, within a time limit
                await asyncio.sleep(0.02)
        assert (await workers.run(Job("look", {}))).values["pid"] != first
    finally:
        await workers.close()


async def test_a_job_waits_for_a_worker_and_too_many_are_refused(workers, monkeypatch):
    monkeypatch.setattr("gateway.jobs.workers.WAITING", 1)
    first = asyncio.create_task(workers.run(Job("sleep", {"s": 0.5})))
    second = asyncio.create_task(workers.run(Job("draw", {"n": 1})))
    await asyncio.sleep(0)
    assert workers.workforce().waiting == 1
    assert (await failure(workers, Job("draw", {"n": 1}))).reason == "busy"
    await asyncio.gather(first, second)
    await workers.close()
    assert (await failure(workers, Job("draw", {"n": 1}))).reason == "cancelled"


async def test_where_no_process_can_be_started_the_job_fails_by_name():
    assert (await failure(Workers(1, command=("/no/such/program",)), Job("draw", {}))).reason == "unstarted"


_NUMBERS = st.one_of(
    *(hnp.arrays(kind, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)) for kind in ("<f8", "<i8", "|b1"))
)


@given(st.dictionaries(st.text(max_size=5), _NUMBERS, max_size=4))
def test_what_is_written_is_read(arrays):
    """decode(encode(x)) = x, to the bit."""
    whole = b"".join(frames.encode({"job": 1}, arrays))

    async def through():
        fed = asyncio.StreamReader()
        fed.feed_data(whole)
        fed.feed_eof()
        return await frames.receive(fed)

    header, found = asyncio.run(through())
    assert header == {"job": 1}
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in found.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }


@given(st.binary(max_size=60), st.booleans())
def test_bytes_that_are_no_message_are_nonsense_and_nothing_worse(content, framed):
    """Whatever stands there."""

    async def through():
        fed = asyncio.StreamReader()
        fed.feed_data(struct.pack("<I", len(content)) + content if framed else content)
        fed.feed_eof()
        return await frames.receive(fed)

    with suppress(frames.Nonsense):
        assert asyncio.run(through()) is None or framed
