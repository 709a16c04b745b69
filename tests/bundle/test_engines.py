"""Other tools carry a bundle: through a registry and back, and its image into podman."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.bundle.read import open_bundle
from tests.acceptance.engines import Podman, need, output, registry
from tests.bundle.tiny import BLOBS, bundle_bytes, tiny_bundle, tiny_lock
from tests.oci.images import make_image, tar

pytestmark = pytest.mark.engine


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "registry").mkdir()
    with registry(tmp_path / "registry") as found:
        yield found


def test_a_bundle_survives_a_registry(address: str, tmp_path: Path) -> None:
    """skopeo copies the lock's artifact with all its layers; what it writes is a bundle again."""
    there, back = tmp_path / "there.envcap", tmp_path / "back.envcap"
    there.write_bytes(bundle_bytes(tiny_bundle()))
    remote = f"docker://{address}/lab/small:2026-11"
    output(need("skopeo"), "copy", "--dest-tls-verify=false", f"oci-archive:{there}:lock", remote)
    output(need("skopeo"), "copy", "--src-tls-verify=false", remote, f"oci-archive:{back}")
    folder = open_bundle(back)
    assert folder.lockfile == tiny_lock()
    assert folder.bundle is not None
    assert all(folder.bundle.reader(digest.hex) for digest in BLOBS.blobs)


def test_podman_loads_the_image_of_a_bundle(tmp_path: Path) -> None:
    path, image = tmp_path / "small.envcap", make_image(tar())
    path.write_bytes(bundle_bytes(replace(tiny_bundle(), image=image, tag="small:envcap")))
    (tmp_path / "podman").mkdir()
    podman = Podman(tmp_path / "podman")
    podman("pull", f"oci-archive:{path}:envcap")
    assert podman.ids(image.image_id.hex)[0] in {image.image_id.hex, str(image.image_id)}
    found = json.loads(output(need("skopeo"), "inspect", "--config", "--raw", f"oci-archive:{path}:envcap"))
    assert found == json.loads(image.config)
