"""Pictures made on all cores, handed back in order, never more than a few chunks in memory."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from data.pictures import Unusable, encode_png, mean_chroma
from data.sources import Job

Tag = TypeVar("Tag")


def make_pictures(jobs: Sequence[Job], size: int, min_chroma: float) -> list[bytes | str]:
    """For each job the PNG of its [size, size] picture, or the reason (str) to leave it out."""
    return [_make_picture(job, size, min_chroma) for job in jobs]


def _make_picture(job: Job, size: int, min_chroma: float) -> bytes | str:
    try:
        rgb = job.picture(size)
    except Unusable as error:
        return str(error)
    if min_chroma > 0 and (chroma := mean_chroma(rgb)) < min_chroma:
        return f"near-grey: mean chroma {chroma:.2f} < {min_chroma:g}"
    return encode_png(rgb)


def in_order(
    tasks: Iterable[tuple[Tag, Sequence[Job]]], size: int, min_chroma: float, workers: int
) -> Iterator[tuple[Tag, list[bytes | str]]]:
    """(tag, `make_pictures(jobs)`) for each (tag, jobs), in the order of `tasks`.

    At most 3 tasks a worker are in flight, so memory does not depend on how many there are. One worker means this
    process itself. Raises RuntimeError, one line, when a worker dies.
    """
    if workers == 1:
        for tag, jobs in tasks:
            yield tag, make_pictures(jobs, size, min_chroma)
        return
    # Not fork: TensorFlow's threads are running in this process. The children import no TensorFlow.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    pending: deque = deque()
    try:
        for tag, jobs in tasks:
            pending.append((tag, pool.submit(make_pictures, jobs, size, min_chroma)))
            if len(pending) >= 3 * workers:
                yield _next(pending)
        while pending:
            yield _next(pending)
    except BrokenProcessPool:
        raise RuntimeError("a worker process died (killed, or out of memory?)") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _next(pending: deque) -> tuple:
    tag, future = pending.popleft()
    return tag, future.result()


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, it ends the workers

    def watch() -> None:  # without this, workers whose parent was killed -9 would wait for work for ever
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
