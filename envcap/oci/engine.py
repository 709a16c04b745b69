"""A container engine by its own program, `docker` or `podman`: what it has, how it takes an image, how it runs one.

Both programs find their engine themselves (contexts, `DOCKER_HOST`, sockets), take the same options here, and pass a
terminal through, which no library does as well.
"""

import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.engine_facts import EngineFacts, parse_info
from envcap.oci.image import Image
from envcap.oci.layout import Progress, stream_tar

ENGINES = ("docker", "podman")
"""In the order in which they are tried."""

_TIMEOUT = 60.0
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a program ended and what it wrote."""

    status: int
    out: str = ""
    err: str = ""

    @property
    def reason(self) -> str:
        """Its last line, which says why it failed."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1][:_LONGEST] if lines else f"exit status {self.status}"


class Programs(Protocol):
    """Starts programs."""

    def find(self, name: str) -> str:
        """Give the path of a program, or an empty string."""

    def ask(self, argv: Sequence[str]) -> Answer:
        """Run a program to its end, for at most a minute."""

    def feed(self, argv: Sequence[str], produce: Callable[[BinaryIO], None]) -> Answer:
        """Run a program that reads what `produce` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """An engine that answers.

    Attributes:
        name: `docker` or `podman`.
        path: Its program.
        facts: What it says of itself.
    """

    name: str
    path: str
    facts: EngineFacts


def find_engine(wanted: str, programs: Programs) -> Engine:
    """Find an engine that answers.

    Args:
        wanted: `docker` or `podman`; empty for the first that answers.
        programs: Starts them.

    Raises:
        SinkError: None does; the message says why, for each.
    """
    reasons: list[str] = []
    for name in (wanted,) if wanted else ENGINES:
        path = programs.find(name)
        if not path:
            reasons.append(f"{name} is not installed")
            continue
        answer = programs.ask([path, "info", "--format", "{{json .}}"])
        facts = parse_info(answer.out) if answer.status == 0 else None
        if facts is not None:
            return Engine(name=name, path=path, facts=facts)
        reasons.append(f"{name}: {answer.reason if answer.status else 'no daemon answers'}")
    raise SinkError(
        f"No container engine answers ({'; '.join(reasons)})",
        hint="start docker, install podman, or write the files with `envcap rebuild LOCK --rootfs DIR`",
    )


def find_image(engine: Engine, digests: Sequence[str], programs: Programs) -> str:
    """Give the name under which an engine has an image, or an empty string.

    Args:
        engine: The engine.
        digests: The image ID, and the manifest's digest, by which docker's containerd store names images.
        programs: Starts its program.
    """
    for digest in digests:
        answer = programs.ask([engine.path, "image", "inspect", "--format", "{{.Id}}", digest])
        if answer.status == 0 and _same(answer.out.strip(), digest):
            return digest
    return ""


def load_into(engine: Engine, image: Image, *, tag: str, programs: Programs, progress: Progress) -> str:
    """Load an image and give the name to run it by: a digest that follows from its bytes.

    Raises:
        SinkError: The engine refuses it, or has another image after it.
        StoreError: A blob of the store is damaged.
    """

    def produce(file: BinaryIO) -> None:
        stream_tar(image, file, tag=tag, progress=progress)

    answer = programs.feed([engine.path, "load", "--quiet"], produce)
    if answer.status != 0:
        raise SinkError(f"{engine.name} did not load the image: {answer.reason}")
    found = find_image(engine, (str(image.image_id), str(image.descriptor.digest)), programs)
    if not found:
        raise SinkError(f"{engine.name} names the image otherwise (expected {image.image_id})")
    return found


def _same(found: str, digest: str) -> bool:
    """Compare names of an image; podman writes no algorithm."""
    return found.removeprefix("sha256:") == Digest.parse(digest).hex


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPrograms:
    """Starts real programs.

    Attributes:
        environ: The variables that they get.
        search: Finds a program by its name, as `shutil.which` does.
    """

    environ: Mapping[str, str]
    search: Callable[[str], str | None]

    def find(self, name: str) -> str:
        """Give the path of a program, or an empty string."""
        return self.search(name) or ""

    def ask(self, argv: Sequence[str]) -> Answer:
        """Run a program to its end, for at most a minute."""
        try:
            done = subprocess.run(  # a fixed program and our own arguments, without a shell
                argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, env=self.environ, check=False
            )
        except subprocess.TimeoutExpired:
            return Answer(status=1, err=f"no answer within {_TIMEOUT:.0f} s")
        except OSError as error:
            return Answer(status=1, err=error.strerror or type(error).__name__)
        return Answer(status=done.returncode, out=done.stdout.decode("utf-8", "replace"), err=_text(done.stderr))

    def feed(self, argv: Sequence[str], produce: Callable[[BinaryIO], None]) -> Answer:
        """Run a program that reads what `produce` writes; cut short, it is killed and never sees a clean end."""
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(  # a fixed program and our own arguments, without a shell
                    argv, stdin=subprocess.PIPE, stdout=said, stderr=said, env=self.environ
                )
            except OSError as error:
                return Answer(status=1, err=error.strerror or type(error).__name__)
            with process:
                pipe = cast("BinaryIO", process.stdin)
                try:
                    produce(pipe)
                    pipe.close()
                except BrokenPipeError:
                    pass  # it stopped reading, and its last line says why
                except BaseException:
                    process.kill()  # a clean end of the input would let it take a part for the whole
                    raise
                finally:
                    with suppress(BrokenPipeError):
                        pipe.close()
                status = process.wait()
            said.seek(0)
            return Answer(status=status, err=_text(said.read(1 << 16)))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
