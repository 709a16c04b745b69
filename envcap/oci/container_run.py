"""The command line that runs a container; docker and podman take the same. Pure.

Source: docker-run(1), podman-run(1).
"""

from dataclasses import dataclass, replace
from pathlib import Path

from envcap.errors import UsageError

_OF_THE_IMAGE = frozenset(
    "bin boot dev etc lib lib32 lib64 libx32 opt proc run sbin sys usr var".split()  # noqa: SIM905  # one line
)
_HOLDS_USERS = ("/var/home/", "/opt/", "/run/media/", "/var/lib/", "/var/mnt/")
"""Places of users' folders below the top ones: of ostree systems, of sites, of removable media."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerRun:
    """A container to run, removed when its command ends.

    Attributes:
        image: A digest that the engine knows.
        command: What to run; empty for what the image says.
        terminal: Whether input and output are one.
        volumes: `SOURCE:PATH[:OPTIONS]`.
        variables: `NAME=VALUE`, or `NAME` for the caller's own value.
        workdir: Where the command starts, or empty for what the image says.
        user: `UID:GID`, or empty.
        memory: Bytes of the machine's memory, 0 if unknown.
        options: More options, such as those that give it a GPU.
    """

    image: str
    command: tuple[str, ...] = ()
    terminal: bool = False
    volumes: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    memory: int = 0
    options: tuple[str, ...] = ()


def run_arguments(run: ContainerRun) -> list[str]:
    """Write the arguments that follow the program's name."""
    return [
        "run",
        "--rm",
        "--interactive",
        *(["--tty"] if run.terminal else []),
        # What is in the engine by its digest need not be asked for anywhere.
        "--pull=never",
        # As on a machine of one's own, where Linux gives /dev/shm half of the memory (tmpfs(5)). The engines' 64 MB
        # kill PyTorch's data loaders with a bus error.
        *([f"--shm-size={run.memory // 2}"] if run.memory else []),
        *(f"--volume={volume}" for volume in run.volumes),
        *([f"--workdir={run.workdir}"] if run.workdir else []),
        *([f"--user={run.user}"] if run.user else []),
        *(f"--env={variable}" for variable in run.variables),
        *run.options,
        run.image,
        *run.command,
    ]


def mount_of(cwd: Path, *, root: str) -> str:
    """Give the volume that shows a folder in the container at its own path.

    Args:
        cwd: The folder.
        root: Where the environment lies in the image.

    Raises:
        UsageError: Its path is one of the image's own, which it would hide, or can't be written as a volume.
    """
    path = str(cwd)
    top = path.split("/")[1] if len(cwd.parts) > 1 else ""
    in_image = top in _OF_THE_IMAGE and not path.startswith(_HOLDS_USERS)
    if not top or in_image or f"/{root}/".startswith(f"{path}/") or f"{path}/".startswith(f"/{root}/"):
        raise UsageError(
            f"{path} can't be mounted at its own path: the image has files there",
            hint=f"mount it elsewhere: `--volume {path}:/work --workdir /work`",
        )
    if ":" in path or not path.isprintable():
        raise UsageError(f"{path!r} can't be written as a volume (expected a path without `:`)")
    return f"{path}:{path}"


def absolute_volume(volume: str, cwd: Path) -> str:
    """Make a source that is relative to the current folder absolute, as older engines want it.

    A bare name is that of the file or folder there, if there is one: an engine would make an empty volume of that name
    and mount that, without a word. Any other is the name of a volume of the engine's, or absolute already.
    """
    source, colon, rest = volume.partition(":")
    is_path = source in {".", ".."} or ("/" in source and not source.startswith("/"))
    if colon and source and (is_path or (cwd / source).exists()):
        source = str(cwd / source)
    return source + colon + rest


def as_caller(run: ContainerRun, user: tuple[int, int], *, engine: str, rootless: bool) -> ContainerRun:
    """Let a container work in a folder of its caller's, so that what it writes there is the caller's.

    Root in a rootless engine is the caller already. Anybody else has no home in the image, and programs want one.

    Args:
        run: The container.
        user: The caller's uid and gid.
        engine: `docker` or `podman`. podman, used where SELinux is, would not let the container read the folder; to
            label it anew would change it for everybody.
        rootless: Whether the engine runs without root.
    """
    options = run.options
    if engine == "podman":
        options = tuple(dict.fromkeys((*options, "--security-opt=label=disable")))
    if rootless or user[0] == 0:
        return replace(run, options=options)
    variables = ("HOME=/tmp", *run.variables)
    return replace(run, options=options, user=f"{user[0]}:{user[1]}", variables=variables)
