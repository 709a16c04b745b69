"""Threads that work on many files at a time, and that nobody waits for once the user has interrupted.

`concurrent.futures` waits for what is running, which may be the download of gigabytes. What such a thread writes lies
in the store under a temporary name, and gets its own only when it is whole: it may be left alone at any time.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def worker_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool of at most `count` threads, and wait for them at the end.

    After an error no further work begins, and what is running is waited for; after an interrupt it is not.
    """
    pool = ThreadPoolExecutor(max_workers=count)
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()
