"""Mail to shoppers: what it says, whom it reaches, and the link in it that opens the order to whoever has it."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult
from sqlalchemy import select

from db.models import NoticeRow, OrderRow
from tasks.mail.smtp import Smtp, Unencrypted
from tasks.notices import Postman
from tests.harness import CHECKOUT_BODY, SECRETS, Shop
from tests.servers import free_port
from tests.tasks.receivers import Mailbox, mailbox
from tests.web.admin.conftest import merchant_of
from web.postage import open_mail
from web.settings import Settings


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as found:
        yield found


def postman(shop: Shop, url: str, **settings: Any) -> Postman:
    """Who sends this shop's mail by this server."""
    given = {"mail_from": "orders@shop.test", "public_url": "https://shop.test", "secret_key": SECRETS[-1], **settings}
    return Postman(shop.runtime, open_mail(Settings(_env_file=None, smtp_url=url, **given), shop.rules))


def deliver(shop: Shop, url: str, **settings: Any) -> None:
    at_work = postman(shop, url, **settings)
    while at_work.round():
        pass
    at_work.leave()


def buys(shop: Shop, client: Any = None, **body: Any) -> str:
    shop.database.audience.mails = True
    order_id = shop.checkout(client, {**CHECKOUT_BODY, **body}, MUG=2)
    shop.work_until_idle()
    return order_id


def text_of(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


def link_in(message: EmailMessage) -> str:
    (found,) = set(re.findall(r"https://shop\.test/orders/\S+", text_of(message)))
    return str(found).removeprefix("https://shop.test")


def only(shop: Shop) -> NoticeRow:
    with shop.database.reading() as session:
        return session.scalars(select(NoticeRow)).one()


def test_a_confirmation_says_what_was_ordered_and_what_it_costs(any_shop: Shop, box: Mailbox) -> None:
    any_shop.stocked(MUG=3)
    order_id = buys(any_shop)
    number = any_shop.order(order_id).number

    deliver(any_shop, box.url)

    (message,) = box.got
    assert message["Subject"] == f"Your order {number} at Oncecart Goods"
    assert message["From"] == "Oncecart Goods <orders@shop.test>"
    assert message["To"] == "ada@example.com"
    assert message["Message-ID"] == f"<{order_id}_confirmed_mail@shop.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert box.recipients == ["ada@example.com"]
    row = any_shop.order(order_id)
    total = f"{row.total_minor // 100}.{row.total_minor % 100:02} USD"
    for kind in ("plain", "html"):
        said = text_of(message, kind)
        for part in ("Mug", "SKU-MUG", "10.00 USD", "20.00 USD", "CA sales tax", "7.25 %", total, "Ada Lovelace"):
            assert part in said, (kind, part)
        for part in ("1 Main Street", "94601 Oakland CA", "Invoice", str(number)):
            assert part in said, (kind, part)
    assert only(any_shop).status == "sent"


def test_its_link_opens_the_order_in_another_browser_and_only_that_order(any_shop: Shop, box: Mailbox) -> None:
    any_shop.stocked(MUG=9)
    order_id, other = buys(any_shop), buys(any_shop)
    deliver(any_shop, box.url)
    link = next(link_in(message) for message in box.got if order_id in message["Message-ID"])
    token = link.partition("?token=")[2]
    stranger = any_shop.shopper()

    page = stranger.get(link, headers={"Accept": "text/html"})
    order = stranger.get(f"/api/orders/{order_id}?token={token}")

    assert page.status_code == 200
    assert page.headers["Cache-Control"] == order.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert order.get_json()["id"] == order_id
    assert stranger.get(f"/api/orders/{order_id}").status_code == 404
    assert stranger.get(f"/api/orders/{other}?token={token}").status_code == 404
    assert stranger.post(f"/api/orders/{order_id}/cancel?token={token}", json={}).status_code == 404
    assert any_shop.order(order_id).status == "confirmed"


def test_a_shop_with_a_frontend_of_its_own_is_linked_there(shop: Shop, box: Mailbox) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop)

    deliver(shop, box.url, order_url="https://front.test/look?order={id}")

    assert re.search(rf"https://front\.test/look\?order={order_id}&token=\S+", text_of(box.got[0]))


def test_a_shipment_is_told_with_its_tracking(shop: Shop, box: Mailbox, merchant_ships: Any) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop)
    merchant_ships(order_id, {"carrier": "DHL", "tracking_number": "0034", "tracking_url": "https://dhl.test/?a=1&b=2"})

    deliver(shop, box.url)

    message = next(each for each in box.got if "shipped" in each["Message-ID"])
    assert message["Subject"] == f"Order {shop.order(order_id).number} is on its way"
    assert message["Message-ID"] == f"<{order_id}_shipped-1_mail@shop.test>"
    assert "https://dhl.test/?a=1&b=2" in text_of(message)
    assert 'href="https://dhl.test/?a=1&amp;b=2"' in text_of(message, "html")


@pytest.fixture
def merchant_ships(shop: Shop) -> Any:
    merchant = merchant_of(shop)
    return lambda order_id, body: merchant.post(f"/api/admin/orders/{order_id}/shipments", json=body)


def test_names_are_never_markup(shop: Shop, box: Mailbox) -> None:
    shop.product("MUG", name="<b>Mug</b> & <script>", stock_quantity=5)
    buys(shop, shipping_info={**CHECKOUT_BODY["shipping_info"], "name": "<i>Ada</i>"})

    deliver(shop, box.url)

    said = text_of(box.got[0], "html")
    assert "<script>" not in said
    assert "&lt;b&gt;Mug&lt;/b&gt; &amp; &lt;script&gt;" in said
    assert "&lt;i&gt;Ada&lt;/i&gt;" in said


@pytest.mark.parametrize("address", ["a@b\r\nBcc: c@d.example", "no address", "", "a b@c.example", '"@x'])
def test_an_address_that_is_none_reaches_nobody(shop: Shop, box: Mailbox, address: str) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop)
    with shop.database.writing() as session:
        session.get_one(OrderRow, order_id).email = address

    deliver(shop, box.url)

    assert box.got == []
    assert only(shop).status == "failed"
    assert (only(shop).detail or "").startswith("it cannot be addressed")


def test_a_domain_in_other_letters_is_written_in_ascii(shop: Shop, box: Mailbox) -> None:
    shop.stocked(MUG=3)
    order_id = buys(shop)
    with shop.database.writing() as session:
        session.get_one(OrderRow, order_id).email = "ada@bücher.example"

    deliver(shop, box.url)

    assert box.recipients == ["ada@xn--bcher-kva.example"]


def test_a_recipient_that_the_server_knows_not_is_not_tried_again(shop: Shop, box: Mailbox) -> None:
    shop.stocked(MUG=3)
    buys(shop)
    box.refusal = "550 no such mailbox"

    deliver(shop, box.url)

    assert (only(shop).status, only(shop).detail) == ("failed", "550 no such mailbox")


def test_a_server_that_is_busy_or_away_is_tried_again(shop: Shop, box: Mailbox) -> None:
    shop.stocked(MUG=3)
    buys(shop)
    box.refusal = "451 later"
    deliver(shop, box.url)
    assert (only(shop).status, only(shop).detail) == ("waiting", "451 later")

    shop.clock.forward(6)
    deliver(shop, f"smtp://127.0.0.1:{free_port()}")
    assert only(shop).status == "waiting"
    assert (only(shop).detail or "").startswith("no answer: ConnectionRefusedError")

    box.refusal = ""
    shop.clock.forward(400)
    deliver(shop, box.url)
    assert only(shop).status == "sent"
    assert only(shop).attempts == 3


def test_without_a_mail_server_what_waits_is_given_up(shop: Shop) -> None:
    shop.stocked(MUG=3)
    buys(shop)
    at_work = Postman(shop.runtime)

    while at_work.round():
        pass
    at_work.leave()

    assert (only(shop).status, only(shop).detail) == ("failed", "not sent: SMTP_URL is not set")


def test_a_password_is_sent_encrypted_or_to_this_machine_only() -> None:
    with mailbox(hostname="127.0.0.2") as box:
        with pytest.raises(Unencrypted):
            Smtp(box.url.replace("smtp://", "smtp://me:secret@")).check()
        Smtp(box.url).check()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    own, key = folder / "own.pem", folder / "key.pem"
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names)
    subprocess.run([*command, "-keyout", str(key), "-out", str(own)], check=True, capture_output=True)
    return own, key


def contexts(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server that has the certificate, and of a client that trusts it."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(*certificate)
    return server, ssl.create_default_context(cafile=certificate[0])


def test_starttls_is_used_where_it_is_offered(certificate: tuple[Path, Path]) -> None:
    server, trusted = contexts(certificate)
    with mailbox(tls_context=server, require_starttls=True) as box:
        reply = Smtp(box.url, trusted=trusted).send(letter())
        refused = Smtp(box.url).send(letter())

    assert (reply.sent, len(box.got)) == (True, 1)
    assert (refused.sent, refused.final) == (False, False)
    assert "SSLCertVerificationError" in refused.text


def test_user_and_password_are_those_of_the_url(certificate: tuple[Path, Path]) -> None:
    server, trusted = contexts(certificate)
    seen = []

    def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        seen.append((given.login, given.password))
        return AuthResult(success=given.password == b"pass@word", handled=False)

    with mailbox(tls_context=server, require_starttls=True, auth_required=True, authenticator=knows) as box:
        good = Smtp(box.url.replace("smtp://", "smtp://me%40shop:pass%40word@"), trusted=trusted).send(letter())
        bad = Smtp(box.url.replace("smtp://", "smtp://me:wrong@"), trusted=trusted).send(letter())

    assert (good.sent, len(box.got)) == (True, 1)
    assert seen[0] == (b"me@shop", b"pass@word")
    assert (bad.sent, bad.code, bad.final) == (False, 535, False)


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "orders@shop.test", "ada@example.com", "Hello"
    message.set_content("Hello")
    return message
