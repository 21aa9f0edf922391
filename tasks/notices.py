"""The postman: tells shoppers and endpoints what has become of orders, at least once, each by a message of its own.

A thread of the worker process of the payments queue, so that notices cost no process and no job. It takes what is
due in one transaction, sends it outside any, many at once, and writes down what came of it together with what it
takes next. Killed anywhere, whatever was not written down is sent again, under the same id.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, zip_longest
from typing import Final, Protocol

import structlog
from sqlalchemy.orm import Session

from db import endpoints, notices
from db.models import EndpointRow
from db.notices import Result, Work
from shop.errors import Unavailable
from shop.notices import MAIL, Reply, again_in_ms
from tasks import letters
from tasks.failpoints import failpoint
from tasks.hooks import Hooks
from tasks.letters import Told
from tasks.runtime import Runtime

EVERY_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.1
"""How often it looks for more while messages are on their way."""
LINGER_SECONDS: Final = 0.03
"""How long a first answer waits for company before it is written down."""
AT_ONCE: Final = 16
EACH: Final = 4
"""Of them for one target; for one that did not take the last only 1, so that nobody waits long for who is hung."""
RENEW_SECONDS: Final = 1.5
HOUSE_SECONDS: Final = 60.0
STRANDED_MS: Final = 60_000
KEPT_MS: Final = 30 * 24 * 3_600_000
"""So long a notice is kept that waits no more, with the log of its attempts."""
PRUNED_AT_ONCE: Final = 500
LAST_SECONDS: Final = 0.7
"""How long a worker that is told to stop waits for answers that may still come."""
NO_MAIL: Final = Reply(False, None, "not sent: SMTP_URL is not set", final=True)

log = structlog.get_logger()


class Mailing(Protocol):
    """Whoever sends mail: tasks.mail.Mail."""

    def send(self, work: Work, told: Told) -> Reply: ...


class Postman:
    """One round after the other; `run` repeats them until the process is told to stop."""

    def __init__(self, runtime: Runtime, mail: Mailing | None = None, hooks: Hooks | None = None) -> None:
        self._runtime = runtime
        self._database = runtime.database
        self._mail = mail
        self._hooks = hooks or Hooks()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="notice")
        self._flying: dict[Future[Result], Work] = {}
        self._results: list[Result] = []
        self._ailing: set[str] = set()
        """Targets that did not take the last message we sent them."""
        self._away = False
        self._renewed = time.monotonic()
        self._house_at = 0.0

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self.step():
                stop.wait(EVERY_SECONDS)
        self.leave()

    def step(self) -> bool:
        """A round that survives anything; True while messages are on their way."""
        try:
            flies = self.round()
        except Unavailable as error:
            if not self._away:
                log.warning("notices.away", error=str(error))
            self._away = True
            return False
        except Exception:
            log.exception("notices.threw")
            return False
        self._away = False
        return flies

    def leave(self) -> None:
        """Write down what has been answered until now; whatever is not, another postman sends again."""
        try:
            if self._flying:
                self._collect(LAST_SECONDS)
            if self._results:
                self._write([])
        except Unavailable:
            log.info("notices.left_silently")
        self._pool.shutdown(wait=False, cancel_futures=True)

    def round(self) -> bool:
        """Write down what was answered, take what is due, send it; True while messages are on their way."""
        if self._flying:
            self._collect(LOOK_SECONDS)
        targets, found, told = self._look()
        renews = bool(self._flying) and time.monotonic() - self._renewed > RENEW_SECONDS
        works = self._write(found) if found or self._results or renews else []
        if works:
            failpoint("notices.claimed")
        for work in works:
            sent = self._pool.submit(self._deliver, work, targets.get(work.target), told.get(work.order_id or ""))
            self._flying[sent] = work
        self._keep_house(targets)
        return bool(self._flying)

    # ------------------------------------------------------------ taking and writing down

    def _look(self) -> tuple[dict[str, EndpointRow], list[str], dict[str, Told]]:
        """The active endpoints, the notices to be taken next, and the orders they tell of."""
        with self._database.reading() as session:
            targets = {row.id: row for row in endpoints.every(session) if row.is_active}
            free = AT_ONCE - len(self._flying)
            if free <= 0:
                return targets, [], {}
            due = notices.due(session, self._room([*targets, MAIL]), self._runtime.now())
            # One of each target after the other, whoever has the longest line.
            lines = [[each for each in due if each.target == target] for target in dict.fromkeys(d.target for d in due)]
            random.shuffle(lines)
            taken = [each for each in chain.from_iterable(zip_longest(*lines)) if each is not None][:free]
            told = letters.read(session, {each.order_id for each in taken if each.order_id})
        return targets, [each.id for each in taken], told

    def _room(self, targets: Sequence[str]) -> dict[str, int]:
        """How many more each target may be sent now."""
        flying = Counter(work.target for work in self._flying.values())
        room = {target: (1 if target in self._ailing else EACH) - flying[target] for target in targets}
        return {target: most for target, most in room.items() if most > 0}

    def _write(self, ids: Sequence[str]) -> list[Work]:
        """One transaction: what was answered, and what is taken next. Raises Unavailable: then nothing is lost."""
        results, now, off = self._results, self._runtime.now(), []
        renews = time.monotonic() - self._renewed > RENEW_SECONDS
        with self._database.writing() as session:
            if results:
                notices.record(session, results, now)
                off = self._note_health(results, session, now)
            if renews:
                notices.renew(session, self._flying.values(), now)
            works = notices.claim(session, ids, now)
            failpoint("notices.writing")
        self._results = []
        failpoint("notices.written")
        if renews:
            self._renewed = time.monotonic()
        if off:
            self._database.audience.forget()
            log.warning("notices.switched_off", endpoints=off)
        return works

    def _note_health(self, results: Sequence[Result], session: Session, now: int) -> list[str]:
        """Who took something, and who did not; answers the endpoints that are switched off by it."""
        took = {each.work.target for each in results if each.sent} - {MAIL}
        refused = {each.work.target for each in results if not each.sent} - took - {MAIL}
        if took:
            endpoints.took(session, took)
        gone = {each.work.target for each in results if each.gone}
        return endpoints.refused(session, refused, gone, now) if refused or gone else []

    def _collect(self, patience_seconds: float) -> None:
        """Wait for answers, a first one and those that come with it."""
        done, _ = wait(self._flying, timeout=patience_seconds, return_when=FIRST_COMPLETED)
        if done and len(done) < len(self._flying):
            wait(self._flying.keys() - done, timeout=LINGER_SECONDS)
            done = {future for future in self._flying if future.done()}
        for future in done:
            work = self._flying.pop(future)
            result = future.result()
            (self._ailing.discard if result.sent else self._ailing.add)(work.target)
            self._results.append(result)
        if done:
            failpoint("notices.answered")

    # ------------------------------------------------------------ sending

    def _deliver(self, work: Work, to: EndpointRow | None, told: Told | None) -> Result:
        """Send one message and say what came of it. Never raises: whatever goes wrong is a try that failed."""
        at, started = self._runtime.now(), time.perf_counter()
        failpoint("notices.sending")
        try:
            reply = self._tell(work, to, told)
        except Exception as error:
            log.exception("notice.threw", notice=work.id)
            reply = Reply(False, None, f"it could not be written: {type(error).__name__}")
        failpoint("notices.sent")
        ms = round((time.perf_counter() - started) * 1000)
        chance = random.random()  # noqa: S311 - nobody gains by guessing it
        again = None if reply.sent or reply.final else again_in_ms(work.tries, chance, reply.retry_after_ms)
        said = log.info if reply.sent else log.warning
        said("notice.answered", notice=work.id, attempt=work.attempt, sent=reply.sent, answer=reply.text[:80], ms=ms)
        return Result(work, at, ms, reply.sent, reply.code, reply.text, again, reply.gone)

    def _tell(self, work: Work, to: EndpointRow | None, told: Told | None) -> Reply:
        if work.target == MAIL:
            return self._mail.send(work, told) if self._mail and told else NO_MAIL
        if to is None:
            raise LookupError(work.target)
        now = self._runtime.now()
        old = [to.old_secret] if to.old_secret and (to.old_secret_until or 0) > now else []
        return self._hooks.send(to.url, [to.secret, *old], work.id, letters.body(work, told), now)

    # ------------------------------------------------------------ keeping house

    def _keep_house(self, targets: Mapping[str, EndpointRow]) -> None:
        """Now and then: give up what waits for nobody, and forget what is long over, a little at a time."""
        if time.monotonic() < self._house_at:
            return
        now = self._runtime.now()
        # Due for a while: an endpoint that was made or switched on a moment ago may not be among ours yet.
        listening, before = [*targets, MAIL], now - STRANDED_MS
        with self._database.reading() as session:
            oldest = notices.oldest(session)
            stranded = notices.stranded(session, listening, before)
        pruned = 0
        if stranded or (oldest is not None and oldest < now - KEPT_MS):
            with self._database.writing() as session:
                if stranded:
                    known = [row.id for row in endpoints.every(session)]
                    notices.strand(session, listening, known, before, now)
                pruned = notices.prune(session, now - KEPT_MS, PRUNED_AT_ONCE)
                failpoint("notices.tidying")
            failpoint("notices.tidied")
        self._house_at = 0.0 if pruned == PRUNED_AT_ONCE else time.monotonic() + HOUSE_SECONDS
