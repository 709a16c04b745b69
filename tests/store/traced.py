"""A process that forks one child per request, each of which runs a module as `python -m` would, under watch.

Started as `python -B -m tests.store.traced SOCKET LOADED MODULE`: it loads a package with all its modules once, so
that a child need not, and then takes requests from the socket, each a datagram of JSON. A child has the kernel ask
before each of the system calls that the request lists (seccomp's user notification), and sends the descriptor on which
it asks; when the child has ended, its exit status follows.
"""

import ctypes
import importlib
import json
import os
import pkgutil
import runpy
import socket
import struct
import sys
from pathlib import Path

_SECCOMP, _INSTALL_FILTER, _GIVE_LISTENER = 317, 1, 1 << 3
_NO_NEW_PRIVILEGES = 38
_LOAD_NUMBER, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ASK, _ALLOW = 0x7FC00000, 0x7FFF0000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def watch_own_calls(numbers: list[int]) -> int:
    """Have the kernel ask before each of some system calls of this process and of all that it will start.

    Returns:
        The descriptor on which it asks (seccomp_unotify(2)).

    Raises:
        OSError: The kernel doesn't do that, or not for us.
    """
    count = len(numbers)
    code = [(_LOAD_NUMBER, 0, 0, 0)]
    # If equal, skip the comparisons that follow and the answer "allow".
    code += [(_IF_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)]
    code += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ASK)]
    raw = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    instructions = ctypes.create_string_buffer(raw, len(raw))
    program = _Program(len(code), ctypes.cast(instructions, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:  # without it only root may install filters
        listener: int = libc.syscall(_SECCOMP, _INSTALL_FILTER, _GIVE_LISTENER, ctypes.byref(program))
        if listener >= 0:
            return listener
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def load_all(name: str) -> None:
    """Import a module; of a package all its modules, but for programs: those run when they are imported."""
    root = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{name}."):
        if not module.name.endswith(("__main__", "_script")):
            importlib.import_module(module.name)
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RuntimeError(f"{name} starts threads when it is imported, so this process can't be forked")


def serve(requests: socket.socket) -> list[str]:
    """Answer requests until there are no more; in a child, return the arguments that it is to run with."""
    while message := requests.recv(1 << 20):
        request = json.loads(message)
        child = os.fork()
        if child == 0:
            _become(request, requests)
            arguments: list[str] = request["arguments"]
            return arguments
        _, status = os.waitpid(child, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())
    sys.exit(0)


def _become(request: dict[str, object], requests: socket.socket) -> None:
    os.setsid()  # so that it can be killed together with all that it started
    for descriptor, name in enumerate(("in", "out", "err")):
        opened = os.open(f"{request['folder']}/{name}", os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    listener = watch_own_calls(request["calls"])  # type: ignore[arg-type]
    socket.send_fds(requests, [str(os.getpid()).encode()], [listener])
    os.close(listener)
    requests.close()


if __name__ == "__main__":
    number, loaded, module = sys.argv[1:]
    load_all(loaded)
    sys.argv[1:] = serve(socket.socket(fileno=int(number)))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
