"""flask webhooks and flask notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from click.testing import Result

from tasks.notices import Postman
from tests.harness import Shop
from tests.tasks.receivers import Receiver, receiver
from web import cli_notices


@pytest.fixture
def taker() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def flask(shop: Shop, *arguments: str) -> Result:
    return shop.app.test_cli_runner().invoke(args=[*arguments])


def deliver(shop: Shop) -> None:
    postman = Postman(shop.runtime)
    while postman.round():
        pass
    postman.leave()


def added(shop: Shop, taker: Receiver, *options: str) -> str:
    result = flask(shop, "webhooks", "add", taker.url, *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("whsec_")
    return result.stderr.partition(":")[0]


def test_an_endpoint_is_added_listed_and_removed(any_shop: Shop, taker: Receiver) -> None:
    endpoint = added(any_shop, taker, "--event", "order.shipped")

    assert flask(any_shop, "webhooks", "list").output == f"{endpoint}  {taker.url}  order.shipped  on\n"
    assert flask(any_shop, "webhooks", "rotate", endpoint).stdout.startswith("whsec_")
    assert flask(any_shop, "webhooks", "remove", endpoint).output == f"{endpoint} is removed\n"
    assert flask(any_shop, "webhooks", "list").output == "no endpoints yet; flask webhooks add URL makes one\n"
    again = flask(any_shop, "webhooks", "remove", endpoint)
    assert (again.exit_code, again.output) == (1, f"Error: There is no endpoint {endpoint}.\n")


def test_an_address_that_must_not_be_told_is_refused(shop: Shop) -> None:
    result = flask(shop, "webhooks", "add", "http://erp.example/")

    assert result.exit_code == 1
    assert "use https" in result.output


@pytest.mark.parametrize(("status", "code"), [(200, 0), (500, 1)])
def test_a_test_event_says_what_came_of_it(shop: Shop, taker: Receiver, status: int, code: int) -> None:
    endpoint = added(shop, taker)
    taker.says(status, b"so it is")
    stop = threading.Event()
    at_work = threading.Thread(target=Postman(shop.runtime).run, args=(stop,))
    at_work.start()

    result = flask(shop, "webhooks", "test", endpoint)
    stop.set()
    at_work.join()

    assert result.exit_code == code
    assert f"{status} so it is" in result.output


def test_without_a_worker_a_test_event_waits(shop: Shop, taker: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_notices, "PATIENCE_SECONDS", 0.0)
    endpoint = added(shop, taker)

    result = flask(shop, "webhooks", "test", endpoint)

    assert result.exit_code == 1
    assert "does the worker of the payments run?" in result.output


def test_what_was_given_up_is_listed_and_sent_again(any_shop: Shop, taker: Receiver) -> None:
    any_shop.stocked(MUG=3)
    endpoint = added(any_shop, taker)
    any_shop.database.audience.mails = True
    order_id = any_shop.checkout(MUG=1)
    any_shop.work_until_idle()
    deliver(any_shop)  # There is no mail server.

    failed = flask(any_shop, "notices", "failed").output.splitlines()
    assert failed[0].startswith(f"{order_id}_confirmed_mail  order.confirmed by mail  ")
    assert failed[0].endswith("1 attempts  not sent: SMTP_URL is not set")
    assert failed[1] == "1 notices were given up"
    assert flask(any_shop, "notices", "redeliver", "--failed-since", "2020-01-01").output == "1 notices are due\n"
    assert flask(any_shop, "notices", "failed").output == "no notices were given up\n"
    sent = f"{order_id}_confirmed_{endpoint}"
    assert flask(any_shop, "notices", "redeliver", sent).output == f"{sent} is due\n"
    deliver(any_shop)
    assert taker.ids == [sent, sent]


@pytest.mark.parametrize("arguments", [[], ["x", "--failed-since", "2020-01-01"], ["--failed-since", "yesterday"]])
def test_what_is_to_be_sent_again_must_be_said_plainly(shop: Shop, arguments: list[str]) -> None:
    assert flask(shop, "notices", "redeliver", *arguments).exit_code == 2
