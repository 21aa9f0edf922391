"""The bell never piles up jobs nor fails, and a worker runs our functions only."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import pytest
from redis import Redis
from rq.job import JobStatus

from shop.errors import BadSettings
from tasks.queues import CHECKOUT, SETTLE, Bell, ForeignJob, OurJob, connect_queue, open_queue, queues_of
from tests.harness import Shop


def test_many_rings_make_one_job(any_shop: Shop) -> None:
    bell = Bell(any_shop.queue)

    assert [bell.ring() for _ in range(5)] == [True] * 5

    assert any_shop.queue.count == 1
    assert [job.func_name for job in any_shop.queue.jobs] == [SETTLE]


def test_a_bell_without_a_server_is_unheard_and_fails_nobody(tmp_path: Path) -> None:
    with connect_queue(f"unix://{tmp_path}/nobody") as nobody:
        assert Bell(open_queue(CHECKOUT, nobody)).ring() is False


def test_a_job_carries_nothing(any_shop: Shop) -> None:
    any_shop.runtime.bell.ring()

    [job] = any_shop.queue.jobs
    assert (list(job.args), job.kwargs) == ([], {})


def forge(redis: Redis, function: str, *arguments: str, **fields: str) -> None:
    """A job written by hand, as anyone who can write to Redis could."""
    data = zlib.compress(msgspec.json.encode([function, None, arguments, {}]))
    job = {"data": data, "origin": CHECKOUT, "status": "queued", "created_at": "2026-01-01T00:00:00.000000Z", **fields}
    redis.hset("rq:job:forged", mapping=job)
    redis.sadd("rq:queues", f"rq:queue:{CHECKOUT}")
    redis.rpush(f"rq:queue:{CHECKOUT}", "forged")


@pytest.mark.real
def test_a_job_that_names_a_foreign_function_is_not_executed(real_shop: Shop, tmp_path: Path) -> None:
    forge(real_shop.queue_redis, "os.mkdir", f"{tmp_path}/owned")

    real_shop.work_until_idle()

    assert not (tmp_path / "owned").exists()
    job = OurJob.fetch("forged", real_shop.queue_redis, serializer=real_shop.queue.serializer)
    assert job.get_status() == JobStatus.FAILED
    with pytest.raises(ForeignJob, match=r"os\.mkdir"):
        job.func  # noqa: B018


@pytest.mark.real
@pytest.mark.parametrize("kind", ["success", "failure", "stopped"])
def test_a_job_that_names_a_callback_does_not_have_it_imported(real_shop: Shop, kind: str) -> None:
    forge(real_shop.queue_redis, SETTLE, **{f"{kind}_callback_name": "os.mkdir"})

    real_shop.work_until_idle()

    job = OurJob.fetch("forged", real_shop.queue_redis, serializer=real_shop.queue.serializer)
    assert getattr(job, f"{kind}_callback") is None
    assert job.get_status() == JobStatus.FINISHED


@pytest.mark.parametrize(
    ("shards", "words", "meant"),
    [
        (1, "", "checkout payments"),
        (3, "", "checkout checkout-1 checkout-2 payments"),
        (3, "checkout", "checkout checkout-1 checkout-2"),
        (3, "checkout-0", "checkout"),
        (3, "checkout-2 payments", "checkout-2 payments"),
        (3, "checkout-1 checkout checkout-1", "checkout-1 checkout checkout-2"),
        (1, "checkout-0 checkout", "checkout"),
    ],
)
def test_words_of_a_command_line_mean_queues(shards: int, words: str, meant: str) -> None:
    assert queues_of(shards, words.split()) == meant.split()


@pytest.mark.parametrize(("shards", "word"), [(1, "checkout-1"), (4, "checkout-4"), (16, "checkout-01"), (2, "pay")])
def test_a_queue_that_is_not_there_is_refused(shards: int, word: str) -> None:
    with pytest.raises(BadSettings, match=f"no such queue: {word}; with SETTLE_SHARDS={shards} there are checkout, "):
        queues_of(shards, [word])
