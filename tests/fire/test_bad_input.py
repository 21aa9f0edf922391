"""Bad input in small: what is written by hand through the real server, and generated requests without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fire.bad_input import by_hand, sent_to
from tests.fire.generated import config, generate, schema_within
from tests.harness import Shop
from tests.web.admin.conftest import key_for
from tests.web.answers import session_of
from web.sessions import HEADER

EXAMPLES = 22


@pytest.mark.e2e
def test_what_no_client_should_send_is_answered_as_it_should_be_through_the_real_server(tmp_path: Path) -> None:
    with sent_to(tmp_path) as sent:
        by_hand(sent)
        sent.read_everything()

    assert sent.violations == []
    assert sum(sent.statuses.values()) > 1_500
    assert sent.kept > 1_500


def test_generated_requests_are_taken_or_refused_and_never_our_fault(shop: Shop) -> None:
    shop.stocked(MUG=1000, BOOK=1000)
    shopper = shop.shopper()
    shop.checkout(shopper, MUG=1)
    token = shop.services.sessions.sign(session_of(shop, shopper))
    order_id = shop.checkout(shopper, BOOK=1)
    shop.work_until_idle()
    headers = {"Authorization": f"Bearer {key_for(shop)}", HEADER: token}

    how = config(7, EXAMPLES, headers, ["MUG", "BOOK"], [order_id], phases=("fuzzing", "stateful"))
    found = generate(schema_within(shop.app, how))

    assert found.violations == []
    assert found.requests > 700
    assert found.phases["stateful"] > 50
    assert found.kept > 0
    shop.work_until_idle()
    shop.books_close()
