"""A provider that does not answer is left alone, and found again when it is back."""

from __future__ import annotations

from tasks.breaker import FIRST_REST_MS, LONGEST_REST_MS, TOLERATED, Breaker


def silenced(times: int = TOLERATED, now: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.was_silent(now)
    return breaker


def test_a_few_silences_are_tolerated() -> None:
    assert silenced(TOLERATED - 1).lets_through(0)


def test_an_answer_in_between_forgives_them() -> None:
    breaker = silenced(TOLERATED - 1)
    breaker.answered()
    breaker.was_silent(0)

    assert breaker.lets_through(0)


def test_it_lets_nothing_through_during_a_rest_and_one_call_after_it() -> None:
    breaker = silenced()

    assert [breaker.lets_through(at) for at in (0, FIRST_REST_MS - 1)] == [False, False]
    assert [breaker.lets_through(FIRST_REST_MS) for _ in range(3)] == [True, False, False]


def test_an_answer_to_that_call_closes_it() -> None:
    breaker = silenced()
    breaker.lets_through(FIRST_REST_MS)

    breaker.answered()

    assert all(breaker.lets_through(FIRST_REST_MS) for _ in range(TOLERATED))


def test_each_silence_after_a_rest_doubles_the_next_up_to_half_a_minute() -> None:
    breaker, now, rests = silenced(), 0, []
    for _ in range(7):
        rest = next(ms for ms in range(0, LONGEST_REST_MS + 1, 500) if breaker.lets_through(now + ms))
        rests.append(rest)
        now += rest
        breaker.was_silent(now)

    assert rests == [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]


def test_the_silences_of_calls_that_were_under_way_do_not_prolong_the_rest() -> None:
    breaker = silenced(TOLERATED + 27, now=0)

    assert breaker.lets_through(FIRST_REST_MS)


def test_a_trial_whose_answer_is_never_heard_does_not_close_the_door_for_ever() -> None:
    breaker = silenced()
    breaker.lets_through(FIRST_REST_MS)

    assert not breaker.lets_through(2 * FIRST_REST_MS - 1)
    assert breaker.lets_through(2 * FIRST_REST_MS)
