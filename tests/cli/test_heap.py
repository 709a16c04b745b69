"""The heaps of the C library while many threads allocate."""

import platform
import subprocess
import sys

import pytest

_PROBE = """
import ctypes, os, sys, tempfile, threading
from envcap.cli.heap import share_one_heap

share_one_heap()
meet = threading.Barrier(8)
kept = []

def work():
    meet.wait()
    kept.append([bytes(2000) for _ in range(100)])
    meet.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
with tempfile.TemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fdopen(os.dup(file.fileno()), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    file.seek(0)
    print(file.read().count(b"<heap nr="))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives threads heaps of their own")
def test_many_threads_share_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
