"""The small judgements around a rebuild."""

from dataclasses import replace

import pytest

from envcap.errors import BuildError, UsageError
from envcap.lockfile.model import Expected
from envcap.rebuild import choose_platform, reached_level, recorded
from envcap.verify import Level
from tests.lockfile.small import SMALL
from tests.oci.images import SMALL as IMAGE

ARM = replace(SMALL.system[0], platform="linux/arm64", architecture="arm64")


def test_the_only_platform_of_a_lock_is_chosen() -> None:
    assert choose_platform(SMALL, "") == "linux/amd64"


def test_of_several_platforms_one_must_be_named() -> None:
    both = replace(SMALL, system=(*SMALL.system, ARM))
    with pytest.raises(UsageError, match="The lock covers linux/amd64, linux/arm64"):
        choose_platform(both, "")
    assert choose_platform(both, "linux/arm64") == "linux/arm64"


def test_a_lock_without_os_packages_covers_no_platform() -> None:
    with pytest.raises(BuildError, match="covers no platform"):
        choose_platform(replace(SMALL, system=()), "")


def test_levels_follow_from_the_digests() -> None:
    row = recorded(IMAGE)
    assert reached_level(IMAGE, row) is Level.MANIFEST
    assert reached_level(IMAGE, replace(row, manifest="")) is Level.CONFIG
    assert reached_level(IMAGE, replace(row, manifest=f"sha256:{'0' * 64}")) is Level.CONFIG
    assert reached_level(IMAGE, replace(row, image_id=f"sha256:{'0' * 64}")) is Level.NONE


def test_what_is_recorded_says_everything() -> None:
    assert recorded(IMAGE) == Expected(
        platform="linux/amd64",
        image_id=str(IMAGE.image_id),
        manifest=str(IMAGE.descriptor.digest),
        compressor="splice+libdeflate-6",
        diff_ids=tuple(str(layer.diff_id) for layer in IMAGE.layers),
    )
