"""Images in and out of a docker engine, through the `docker` package.

The engine is found as docker's own tools find it: `DOCKER_HOST`, the context, the default socket.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from envcap.digest import CHUNK_SIZE, Digest
from envcap.errors import EnvcapError, SinkError
from envcap.oci.image import Image
from envcap.oci.layout import Progress, stream_tar

_NO_ENGINE = "start docker, or write a file with `--output image.oci.tar` and load it where docker runs"


def load_image(image: Image, *, tag: str, progress: Progress) -> Digest:
    """Load an image into docker and check that docker names it by the same image ID.

    Raises:
        SinkError: No engine answers, it refuses the image, or it reports another ID.
        StoreError: A blob of the store is damaged.
    """
    import docker  # noqa: PLC0415  # slow to import, and only needed here

    client = _connect()
    failure: list[EnvcapError] = []
    try:
        with closing(client):
            loaded = client.images.load(_chunks(image, tag, progress, failure))
    except (docker.errors.DockerException, docker.errors.ImageLoadError, OSError) as error:
        if failure:
            raise failure[0] from None
        raise SinkError(f"Docker did not load the image: {_reason(error)}") from None
    found = {str(item.id) for item in loaded}
    # docker's containerd image store names an image by its manifest (docker/cli#5526).
    if not found & {str(image.image_id), str(image.descriptor.digest)}:
        raise SinkError(
            f"Docker names the image otherwise (expected {image.image_id}, found {', '.join(sorted(found)) or 'none'})"
        )
    return image.image_id


def save_image(reference: str, file: BinaryIO) -> None:
    """Write docker's archive of an image to an open file.

    Raises:
        SinkError: No engine answers, or it has no such image.
    """
    import docker  # noqa: PLC0415  # slow to import, and only needed here

    client = _connect()
    try:
        with closing(client):
            file.writelines(client.images.get(reference).save(chunk_size=CHUNK_SIZE, named=False))
    except (docker.errors.DockerException, OSError) as error:
        raise SinkError(
            f"Docker does not give the image {reference!r}: {_reason(error)}",
            hint="list the images with `docker images`",
        ) from None


def _connect() -> "docker.DockerClient":  # type: ignore[name-defined]  # noqa: F821  # imported late
    import docker  # noqa: PLC0415  # slow to import, and only needed here

    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except (docker.errors.DockerException, OSError) as error:
        raise SinkError(f"No docker engine answers: {_reason(error)}", hint=_NO_ENGINE) from None
    return client


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _chunks(image: Image, tag: str, progress: Progress, failure: list[EnvcapError]) -> Iterator[bytes]:
    """Stream the archive through a pipe, so that it never lies on the disk twice."""
    reading, writing = os.pipe()

    def produce() -> None:
        try:
            with os.fdopen(writing, "wb") as file:
                stream_tar(image, file, tag=tag, progress=progress)
        except EnvcapError as error:
            failure.append(error)
        except BrokenPipeError:
            pass  # docker stopped reading; it says why itself

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    with os.fdopen(reading, "rb") as file:
        while chunk := file.read(CHUNK_SIZE):
            yield chunk
    thread.join()
    if failure:
        # A clean end here would let docker take a truncated archive for a whole one.
        raise OSError(failure[0].message)


def docker_reference(text: str) -> str:
    """Give the reference of `docker:REF`, or an empty string for anything else (paths may hold colons too)."""
    return text.removeprefix("docker:") if text.startswith("docker:") and not Path(text).exists() else ""
