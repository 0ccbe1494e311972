"""Several people at once: each try on a thread and a database connection of its own."""

from collections.abc import Callable
from threading import Barrier, Thread

from django.db import connection

from constitution.errors import Refused


def at_once(*tries: Callable[[], object]) -> list[object]:
    """Start all together, each on its own connection; what each returned, or the refusal that it met."""
    barrier = Barrier(len(tries))
    results: list[object] = [None] * len(tries)

    def run(place: int) -> None:
        barrier.wait()
        try:
            results[place] = tries[place]()
        except Refused as refused:
            results[place] = refused
        finally:
            connection.close()

    threads = [Thread(target=run, args=(place,)) for place in range(len(tries))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive(), "they wait for each other"
    return results
