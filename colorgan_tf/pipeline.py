"""Many photos at once: threads that decode and encode while others compute, within a bound on memory."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any


class Budget:
    """Lets threads in as long as their costs fit together. What is over the whole budget waits to be alone."""

    def __init__(self, total: int):
        self._total = self._free = total
        self._changed = threading.Condition()

    def acquire(self, cost: int) -> int:
        """Waits for room, and gives back what `release` must be told."""
        cost = min(cost, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= cost)
            self._free -= cost
        return cost

    def release(self, cost: int) -> None:
        with self._changed:
            self._free += cost
            self._changed.notify_all()


def run(
    jobs: Iterable[Any], work: Callable[[Any], None], cost: Callable[[Any], int], workers: int, budget: int
) -> Iterator[tuple[Any, str | None]]:
    """Does `work(job)` for every job in `workers` threads; yields (job, None or why it failed) as they end.

    cost: bytes a job will need; the jobs under way stay within `budget` together. A failing job stops no other.
    """
    room = Budget(budget)

    def one(job):
        taken = room.acquire(cost(job))
        try:
            work(job)
        except Exception as error:  # the closing list names it; the other photos go on
            reason = str(error).strip().splitlines()
            if isinstance(error, ValueError | OSError) and reason:
                return job, reason[0]
            return job, ": ".join([type(error).__name__, *reason[:1]])
        finally:
            room.release(taken)
        return job, None

    pool = ThreadPoolExecutor(workers)
    try:
        remaining, pending = iter(jobs), set()
        while True:
            pending |= {pool.submit(one, job) for job in itertools.islice(remaining, 2 * workers - len(pending))}
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
