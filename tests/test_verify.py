"""Comparing an image with what its lock gives: the level that holds, and each file that differs with its cause."""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.errors import SinkError
from envcap.oci.contents import FoundImage, open_image
from envcap.oci.image import ConfigSettings, Image
from envcap.oci.layers import FileFacts, FoundLayer, read_files
from envcap.oci.layout_folder import write_layout
from envcap.verify import Level, Verdict, check_integrity, compare_images, expected_level
from tests.archives.tar_builder import file
from tests.oci.images import SETTINGS, directory, hardlink, make_image, silent, symlink, tar

ENV = b"opt/env/lib/"
BASE = tar(
    directory(b"opt/"),
    directory(b"opt/env/"),
    directory(ENV),
    file(ENV + b"a.py", b"A = 1\n"),
    file(ENV + b"b.py", b"B = 1\n"),
    symlink(ENV + b"link", b"a.py"),
)
OWNERS = {"opt/env/lib/a.py": "numpy 1.0", "opt/env/lib/b.py": "numpy 1.0"}


def found_of(image: Image) -> FoundImage:
    return FoundImage(
        config=image.config,
        manifest=image.descriptor.digest,
        diff_ids=tuple(layer.diff_id for layer in image.layers),
        layers=tuple(
            FoundLayer(digest=layer.digest, size=layer.size, open=lambda layer=layer: image.blobs.open(layer.digest))  # type: ignore[misc]
            for layer in image.layers
        ),
    )


def compare(image: Image, reference: Image, owners: Mapping[str, str] = OWNERS) -> Verdict:
    found = found_of(image)
    return compare_images(
        found, check_integrity(found, jobs=2), reference, check_integrity(found_of(reference), jobs=2), owners
    )


def differences(*tars: bytes) -> list[tuple[str, str, str]]:
    verdict = compare(make_image(*tars), make_image(BASE))
    assert verdict.level is (Level.NONE if verdict.differences else Level.CONTENT)
    return [(row.path, row.what, row.cause) for row in verdict.differences]


def test_equal_manifests_are_the_strongest_level() -> None:
    image = make_image(BASE)
    verdict = expected_level(found_of(image), image_id=image.image_id, manifest=image.descriptor.digest)
    assert verdict == Verdict(level=Level.MANIFEST, image_id=image.image_id, expected=image.image_id)


@pytest.mark.parametrize(
    ("found_manifest", "manifest", "reason"),
    [
        (None, Digest("1" * 64), "this form of image has no manifest to compare (docker keeps uncompressed layers)"),
        (Digest("1" * 64), None, "the lock names no manifest digest (record one with `envcap rebuild --record`)"),
        (
            Digest("1" * 64),
            Digest("2" * 64),
            "the layers are compressed otherwise: same tars, other compressor or level",
        ),
    ],
)
def test_an_equal_image_id_alone_is_level_config_and_says_why(
    found_manifest: Digest | None, manifest: Digest | None, reason: str
) -> None:
    image = make_image(BASE)
    found = FoundImage(config=image.config, manifest=found_manifest, diff_ids=(), layers=())
    verdict = expected_level(found, image_id=image.image_id, manifest=manifest)
    assert verdict is not None
    assert (verdict.level, verdict.reasons) == (Level.CONFIG, (reason,))


def test_another_image_id_needs_a_look_at_the_files() -> None:
    assert expected_level(found_of(make_image(BASE)), image_id=Digest("1" * 64), manifest=None) is None


def test_layers_cut_otherwise_are_level_content() -> None:
    image = make_image(tar(directory(b"opt/"), directory(b"opt/env/")), BASE)
    verdict = compare(image, make_image(BASE))
    assert verdict.level is Level.CONTENT
    assert verdict.differences == ()
    assert "how layers are cut" in verdict.reasons[0]
    assert (verdict.image_id, verdict.expected) == (image.image_id, make_image(BASE).image_id)


def test_another_config_over_equal_layers_is_level_content_and_says_so() -> None:
    changed = ConfigSettings(environment={"PATH": "/elsewhere"}, labels=SETTINGS.labels)
    verdict = compare(make_image(BASE, settings=changed), make_image(BASE))
    assert verdict.level is Level.CONTENT
    assert verdict.reasons == (
        "every layer is equal; only the config differs (variables, command, labels or creation time)",
    )


def test_an_edited_file_is_named_with_its_package() -> None:
    assert differences(BASE, tar(file(ENV + b"a.py", b"A = 22\n"))) == [
        ("opt/env/lib/a.py", "content", "file of numpy 1.0: edited, or of another version (7 bytes instead of 6)")
    ]


def test_an_edit_of_equal_length_is_content_too() -> None:
    assert [row[:2] for row in differences(BASE, tar(file(ENV + b"a.py", b"A = 2\n")))] == [
        ("opt/env/lib/a.py", "content")
    ]


def test_modes_owners_kinds_and_targets_are_told_apart() -> None:
    assert differences(
        BASE,
        tar(
            file(ENV + b"a.py", b"A = 1\n", mode=b"0000755\0"),
            file(ENV + b"b.py", b"B = 1\n", uid=b"0001750\0"),
            symlink(ENV + b"link", b"b.py"),
        ),
    ) == [
        ("opt/env/lib/a.py", "mode", "file of numpy 1.0: mode 0755 instead of 0644"),
        ("opt/env/lib/b.py", "owner", "file of numpy 1.0: owned by 1000:0 instead of 0:0"),
        ("opt/env/lib/link", "target", "links to 'b.py' instead of 'a.py'"),
    ]


def test_another_kind_is_said_first() -> None:
    assert differences(BASE, tar(symlink(ENV + b"a.py", b"b.py"))) == [
        ("opt/env/lib/a.py", "kind", "file of numpy 1.0: a symlink in place of a file")
    ]
    assert differences(BASE, tar(hardlink(ENV + b"b.py", b"opt/env/lib/a.py"))) == [
        ("opt/env/lib/b.py", "kind", "file of numpy 1.0: a hardlink in place of a file")
    ]


def test_the_mode_of_a_symlink_means_nothing() -> None:
    one, other = (FileFacts(kind="symlink", mode=mode, target="a") for mode in (0o777, 0o755))
    image = make_image(tar())
    assert compare_images(found_of(image), [{"x": one}], image, [{"x": other}], {}).level is Level.CONTENT


def test_a_missing_file_is_told_also_where_a_whiteout_removed_it() -> None:
    assert differences(BASE, tar(file(ENV + b".wh.a.py", b""))) == [
        ("opt/env/lib/a.py", "missing", "file of numpy 1.0: removed after the build")
    ]
    assert [row[:2] for row in differences(BASE, tar(file(b"opt/env/.wh.lib", b"")))] == [
        ("opt/env/lib", "missing"),
        ("opt/env/lib/a.py", "missing"),
        ("opt/env/lib/b.py", "missing"),
        ("opt/env/lib/link", "missing"),
    ]


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        (b"opt/env/lib/__pycache__/a.cpython-311.pyc", "bytecode that Python wrote when the image ran"),
        (b"opt/env/lib/new.py", "installed or written after the build"),
        (b"etc/hostname", "not in the lock: another base, or written after the build"),
    ],
)
def test_an_unexpected_file_has_a_likely_cause(path: bytes, cause: str) -> None:
    assert differences(BASE, tar(file(path, b"x"))) == [(path.decode(), "unexpected", cause)]


def test_a_file_that_comes_and_goes_again_is_no_difference() -> None:
    assert differences(BASE, tar(file(b"opt/tmp", b"x")), tar(file(b"opt/.wh.tmp", b""))) == []


def test_an_image_of_our_own_is_whole(tmp_path: Path) -> None:
    image = make_image(BASE, tar(file(b"x", b"y")))
    write_layout(image, tmp_path / "layout", progress=silent)
    with open_image(tmp_path / "layout") as found:
        layers = check_integrity(found, jobs=2)
    assert [sorted(files) for files in layers][1] == ["x"]
    assert layers[0]["opt/env/lib/b.py"].size == 6


def test_a_layer_that_is_not_the_configs_is_refused() -> None:
    image, other = make_image(BASE), make_image(tar())
    swapped = FoundImage(
        config=image.config,
        manifest=None,
        diff_ids=found_of(image).diff_ids,
        layers=found_of(other).layers,
    )
    with pytest.raises(SinkError, match="layer 1 is not what the config names"):
        check_integrity(swapped, jobs=2)


def test_of_several_wrong_layers_the_lowest_is_told() -> None:
    image, other = make_image(BASE, tar(file(b"x", b"y")), tar()), make_image(BASE, tar(), tar(file(b"x", b"y")))
    swapped = FoundImage(
        config=image.config,
        manifest=None,
        diff_ids=found_of(image).diff_ids,
        layers=found_of(other).layers,
    )
    with pytest.raises(SinkError, match="layer 2 is not what the config names"):
        check_integrity(swapped, jobs=3)


@pytest.mark.parametrize("count", [0, 2])
def test_more_or_fewer_layers_than_the_config_names_are_refused(count: int) -> None:
    found = found_of(make_image(BASE))
    odd = FoundImage(config=found.config, manifest=None, diff_ids=found.diff_ids, layers=found.layers * count)
    with pytest.raises(SinkError, match=f"The image has {count} layers, its config names 1"):
        check_integrity(odd, jobs=2)


def test_a_size_that_is_not_the_blobs_is_refused() -> None:
    layer = FoundLayer(digest=None, size=1, open=lambda: BytesIO(BASE))
    with pytest.raises(SinkError, match="the manifest says 1 bytes"):
        read_files(layer, name="layer 1")


def test_differences_are_sorted_by_path() -> None:
    rows = differences(BASE, tar(file(b"z", b""), file(b"a", b""), file(b"opt/env/.wh.lib", b"")))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
