"""Config and manifest, byte for byte: they are the identity of an image."""

from envcap.digest import Digest
from envcap.oci.image import ConfigSettings, image_config
from tests.oci.images import SMALL, make_image, tar

ONE, TWO = Digest("1" * 64), Digest("2" * 64)


def test_a_config_is_sorted_compact_json_with_the_epoch_as_its_time() -> None:
    settings = ConfigSettings(
        environment={"PATH": "/opt/env/bin", "LANG": "C.UTF-8"},
        user="65532",
        workdir="/work",
        entrypoint=("/bin/env",),
        cmd=("python", "-c", "1"),
        labels={"b": "2", "a": "é"},
    )
    assert image_config("linux/arm64", [ONE, TWO], settings, epoch=1_700_000_000).decode() == (
        '{"architecture":"arm64","config":{"Cmd":["python","-c","1"],"Entrypoint":["/bin/env"],'
        '"Env":["PATH=/opt/env/bin","LANG=C.UTF-8"],"Labels":{"a":"é","b":"2"},"User":"65532","WorkingDir":"/work"},'
        '"created":"2023-11-14T22:13:20Z","os":"linux","rootfs":{"diff_ids":["sha256:' + "1" * 64 + '","sha256:'
        "" + "2" * 64 + '"],"type":"layers"}}'
    )


def test_settings_that_are_empty_are_left_out() -> None:
    settings = ConfigSettings(environment={}, labels={})
    assert image_config("linux/amd64", [], settings, epoch=0) == (
        b'{"architecture":"amd64","config":{},"created":"1970-01-01T00:00:00Z","os":"linux",'
        b'"rootfs":{"diff_ids":[],"type":"layers"}}'
    )


def test_a_manifest_names_config_and_layers_by_their_blobs() -> None:
    image = make_image(tar())
    layer = image.layers[0]
    assert image.manifest.decode() == (
        '{"config":{"digest":"' + str(Digest.of(image.config)) + '",'
        '"mediaType":"application/vnd.oci.image.config.v1+json","size":' + str(len(image.config)) + "},"
        '"layers":[{"digest":"' + str(layer.digest) + '",'
        '"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":' + str(layer.size) + "}],"
        '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
    )


def test_ids_are_derived_from_the_bytes() -> None:
    assert SMALL.image_id == Digest.of(SMALL.config)
    assert SMALL.descriptor.digest == Digest.of(SMALL.manifest)
    assert SMALL.descriptor.size == len(SMALL.manifest)
    assert str(SMALL.image_id) == "sha256:ebf1cc73e3dfb71d1aa447c2975a1c67f14ceae66c4f888ff10f1a006f8eed19"


def test_the_order_of_variables_is_kept_and_that_of_labels_does_not_matter() -> None:
    def config(**labels: str) -> bytes:
        return image_config("linux/amd64", [], ConfigSettings(environment={"B": "1", "A": "2"}, labels=labels), epoch=0)

    assert config(a="1", b="2") == config(b="2", a="1")
    assert b'"Env":["B=1","A=2"]' in config()
