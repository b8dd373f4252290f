"""Workers come with the queue and go when it is empty."""

from midwatch.services.crew import Crew, reconsider


def looks(crew: Crew, *queue: tuple[int, int], most: int = 3, rest: int = 4) -> Crew:
    for waiting, busy in queue:
        crew = reconsider(crew, waiting=waiting, busy=busy, most=most, rest=rest)
    return crew


def test_a_queue_that_stays_takes_on_one_after_another_up_to_the_most() -> None:
    assert looks(Crew(), (5, 10)).size == 1, "a moment's queue is no reason"
    assert looks(Crew(), (5, 10), (5, 10)).size == 2
    assert looks(Crew(), *[(5, 10)] * 20).size == 3
    assert looks(Crew(), *[(5, 10)] * 20, most=1).size == 1


def test_a_queue_that_comes_and_goes_takes_on_nobody() -> None:
    assert looks(Crew(), *[(1, 1), (0, 1)] * 20).size == 1


def test_who_has_nothing_to_do_for_long_goes_and_one_stays() -> None:
    assert looks(Crew(3), *[(0, 0)] * 3).size == 3
    assert looks(Crew(3), *[(0, 0)] * 4).size == 2
    assert looks(Crew(3), *[(0, 0)] * 50).size == 1
    assert looks(Crew(3), *[(0, 0), (0, 0), (0, 1)] * 20).size == 3, "somebody is at work"


def test_a_smaller_house_is_kept_to() -> None:
    assert looks(Crew(5), (1, 1), most=2).size == 2
