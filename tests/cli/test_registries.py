"""`rebuild --push`, `rebuild --from` and `verify LOCK REF`, against a registry in this process."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from envcap.oci.image import MEDIA_TYPE_MANIFEST
from tests.flow import Answer, Flow
from tests.registry.fake_registry import FakeRegistry, Fault, serve


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serve(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def lock(locked: Flow, tmp_path: Path) -> Path:
    """A lock that knows the manifest of its image."""
    copy = shutil.copytree(locked.lock, tmp_path / "small")
    assert locked.run("rebuild", copy, "--record").status == 0
    return copy


@pytest.fixture
def elsewhere(locked: Flow, tmp_path: Path) -> Flow:
    """Another machine: an empty store, and nobody who has what the lock pins."""
    settings = {
        "ENVCAP_STORE": str(tmp_path / "other-store"),
        "ENVCAP_DEBIAN_MIRROR": (tmp_path / "nothing").as_uri(),
        "PIP_FIND_LINKS": str(tmp_path),
    }
    return Flow(root=locked.root, settings=settings)


def table(answer: Answer) -> dict[str, object]:
    assert answer.status == 0, answer.err
    value = json.loads(answer.out)
    assert isinstance(value, dict)
    return value


def sent(registry: FakeRegistry) -> int:
    return sum(asked.size for asked in registry.asked if asked.method in {"PUT", "PATCH"})


def digests(row: object) -> list[str]:
    assert isinstance(row, list)
    return [layer["digest"] for layer in row]


def test_a_push_sends_layers_and_puts_the_tag_last(locked: Flow, registry: FakeRegistry) -> None:
    found = table(locked.run("rebuild", locked.lock, "--push", f"{registry.host}/lab/ml:1", "--json"))

    layers = digests(found["layers"])
    assert found["push"] == {
        "reference": f"{registry.host}/lab/ml:1@{found['manifest']}",
        "manifest": "sent",
        "present": [],
        "mounted": [],
        "sent": layers,
    }
    assert found["built"] is True
    puts = [asked.path for asked in registry.requests("PUT", "/manifests/")]
    assert puts == [f"/v2/lab/ml/manifests/{found['manifest']}", "/v2/lab/ml/manifests/1"]
    assert {*layers, found["image_id"]} == set(registry.blobs["lab/ml"])


def test_layers_are_sent_while_others_are_built(locked: Flow, tmp_path: Path, registry: FakeRegistry) -> None:
    """The first layer is on its way before the last one is in the store; small ones may be quicker than a thread."""

    def overlaps(number: int) -> bool:
        store = tmp_path / f"new-store{number}"
        seen: list[int] = []
        registry.before = lambda _asked: seen.append(sum(path.is_file() for path in (store / "blobs").rglob("*")))
        reference = f"{registry.host}/lab/ml{number}"
        answer = locked.run("rebuild", locked.lock, "--push", reference, "--store", store)
        assert answer.status == 0, answer.err
        assert (f"lab/ml{number}", "latest") in registry.manifests
        return seen[0] < seen[-1]

    assert any(overlaps(number) for number in range(20))


def test_what_the_registry_has_is_neither_built_nor_sent(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry
) -> None:
    assert locked.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:1").status == 0
    registry.asked.clear()

    again = table(elsewhere.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:2", "--json"))

    assert (again["built"], again["level"]) == (False, "manifest")
    assert again["push"]["manifest"] == "present"  # type: ignore[index]
    assert {asked.path for asked in registry.asked if asked.method == "PUT"} == {"/v2/lab/ml/manifests/2"}
    assert not registry.requests("POST")
    spoken = elsewhere.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:2")
    assert spoken.out.endswith(f"pushed    {registry.host}/lab/ml:2: the registry had it\n")
    assert "Nothing had to be built: a registry has the image that the lock expects" in spoken.err


def test_a_lock_without_a_manifest_is_pushed_again_without_a_byte(locked: Flow, registry: FakeRegistry) -> None:
    reference = f"{registry.host}/lab/ml:1"
    first = table(locked.run("rebuild", locked.lock, "--push", reference, "--json"))
    registry.asked.clear()

    again = table(locked.run("rebuild", locked.lock, "--push", reference, "--json"))

    assert again["push"]["present"] == digests(first["layers"])  # type: ignore[index]
    assert not registry.requests("POST")
    assert not registry.requests("PATCH")


def test_layers_are_mounted_from_where_they_were_pushed_before(locked: Flow, registry: FakeRegistry) -> None:
    assert locked.run("rebuild", locked.lock, "--push", f"{registry.host}/lab/ml:1").status == 0
    found = table(locked.run("rebuild", locked.lock, "--push", f"{registry.host}/team/ml:1", "--json"))
    assert found["push"]["mounted"] == digests(found["layers"])  # type: ignore[index]


def test_a_repository_that_lost_its_blobs_is_no_obstacle(locked: Flow, registry: FakeRegistry) -> None:
    assert locked.run("rebuild", locked.lock, "--push", f"{registry.host}/lab/ml:1").status == 0
    registry.blobs.clear()
    found = table(locked.run("rebuild", locked.lock, "--push", f"{registry.host}/team/ml:1", "--json"))
    assert found["push"]["sent"] == digests(found["layers"])  # type: ignore[index]


def test_an_image_is_taken_from_a_registry(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry, tmp_path: Path
) -> None:
    assert locked.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:1").status == 0
    taken = elsewhere.run("rebuild", lock, "--from", f"{registry.host}/lab/ml:1", "--output", tmp_path / "layout")

    assert taken.status == 0, taken.err
    assert "level     manifest: the same blobs as expected\n" in taken.out
    assert f"from {registry.host}/lab/ml:1" in taken.out
    files = {path.name: path.read_bytes() for path in (locked.root / "layout").rglob("*") if path.is_file()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "layout").rglob("*") if path.is_file()} == files


def test_what_was_taken_stays_known(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry, tmp_path: Path
) -> None:
    reference = f"{registry.host}/lab/ml:1"
    assert locked.run("rebuild", lock, "--push", reference).status == 0
    assert table(elsewhere.run("rebuild", lock, "--from", reference, "--json"))["level"] == "manifest"
    registry.always.append(("GET", "/", Fault(status=500)))

    assert table(elsewhere.run("rebuild", lock, "--json", "--offline"))["level"] == "manifest"
    built = elsewhere.run("rebuild", lock, "--record", "--offline")
    assert built.status == 1  # what is recorded must have been built here
    assert "No source has " in built.err


def test_a_lock_that_knows_no_manifest_takes_layers_by_their_tars(
    locked: Flow, elsewhere: Flow, registry: FakeRegistry
) -> None:
    reference = f"{registry.host}/lab/ml:1"
    assert locked.run("rebuild", locked.lock, "--push", reference).status == 0
    found = table(elsewhere.run("rebuild", locked.lock, "--from", reference, "--json"))
    assert found["level"] == "config"
    assert found["from"] == {"reference": reference, "taken": digests(found["layers"]), "problems": []}


def test_an_image_moves_between_repositories_without_being_built(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry
) -> None:
    source = f"{registry.host}/lab/ml:1"
    assert locked.run("rebuild", lock, "--push", source).status == 0
    registry.asked.clear()
    found = table(elsewhere.run("rebuild", lock, "--from", source, "--push", f"{registry.host}/b/ml:1", "--json"))

    assert found["built"] is False
    assert found["push"]["mounted"] == digests(found["layers"])  # type: ignore[index]
    assert len(registry.requests("GET", "/blobs/")) == 1  # the config


def test_an_image_moves_between_registries_without_being_built(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry
) -> None:
    source = f"{registry.host}/lab/ml:1"
    assert locked.run("rebuild", lock, "--push", source).status == 0
    with serve(FakeRegistry()) as other:
        found = table(elsewhere.run("rebuild", lock, "--from", source, "--push", f"{other.host}/ml:1", "--json"))
        assert found["built"] is False
        assert other.blobs["ml"] == registry.blobs["lab/ml"]
        assert other.manifests["ml", "1"] == registry.manifests["lab/ml", "1"]


@pytest.mark.parametrize("harm", ["lost", "other"])
def test_a_source_that_fails_on_the_way_costs_a_build(
    locked: Flow, lock: Path, registry: FakeRegistry, tmp_path: Path, harm: str
) -> None:
    source = f"{registry.host}/lab/ml:1"
    pushed = table(locked.run("rebuild", lock, "--push", source, "--json"))
    digest = digests(pushed["layers"])[2]
    blob = registry.blobs["lab/ml"].pop(digest)
    if harm == "other":
        registry.blobs["lab/ml"][digest] = bytes(len(blob))
    with serve(FakeRegistry()) as other:
        target = f"{other.host}/ml:1"
        answer = locked.run("rebuild", lock, "--from", source, "--push", target, "--store", tmp_path / "s", "--json")
        found = table(answer)
        assert (found["built"], found["level"]) == (True, "manifest")
        assert other.manifests["ml", "1"][1] == registry.manifests["lab/ml", "1"][1]
    assert registry.host in answer.err
    assert "built" in answer.err


def test_a_registry_without_the_image_costs_a_build(locked: Flow, lock: Path, registry: FakeRegistry) -> None:
    answer = locked.run("rebuild", lock, "--from", f"{registry.host}/lab/ml:1")
    assert answer.status == 0
    assert f"warning: {registry.host}/lab/ml doesn't have the image that the lock expects; it is built" in answer.err


def test_a_source_that_does_not_answer_costs_a_build(locked: Flow, lock: Path, registry: FakeRegistry) -> None:
    registry.always.append(("GET", "/manifests/", Fault(status=403)))
    answer = locked.run("rebuild", lock, "--from", f"{registry.host}/lab/ml:1")
    assert answer.status == 0
    assert f"warning: {registry.host} answered 403" in answer.err


def test_a_lock_that_expects_nothing_is_built_and_pushed(lock: Path, locked: Flow, registry: FakeRegistry) -> None:
    file = lock / "envcap.lock"
    file.write_text(file.read_text().partition("[expected")[0])
    reference = f"{registry.host}/lab/ml:1"
    answer = locked.run("rebuild", lock, "--push", reference, "--from", reference, "--json")
    assert table(answer)["level"] is None
    assert f"The lock expects nothing on linux/amd64, so {reference} is not asked" in answer.err
    assert ("lab/ml", "1") in registry.manifests


def test_an_image_that_is_not_the_expected_one_gets_no_tag(lock: Path, locked: Flow, registry: FakeRegistry) -> None:
    file = lock / "envcap.lock"
    image_id = json.loads(locked.run("rebuild", lock, "--json").out)["image_id"]
    file.write_text(file.read_text().replace(image_id, f"sha256:{'0' * 64}"))

    answer = locked.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:1")

    assert answer.status == 3
    assert f"Nothing is pushed to {registry.host}/lab/ml:1" in answer.err
    assert registry.manifests == {}


def test_a_wish_that_the_manifest_were_another_s_is_not_believed(
    lock: Path, locked: Flow, registry: FakeRegistry
) -> None:
    """A lock may name the manifest of some other image; its config doesn't follow from the lock."""
    foreign = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    config = registry.add_blob("lab/ml", foreign)
    row = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": len(foreign)}
    body = {"schemaVersion": 2, "mediaType": MEDIA_TYPE_MANIFEST, "config": row, "layers": []}
    manifest = registry.add_manifest("lab/ml", "1", json.dumps(body).encode(), MEDIA_TYPE_MANIFEST)
    made = json.loads(locked.run("rebuild", lock, "--json").out)
    file = lock / "envcap.lock"
    text = file.read_text().replace(made["image_id"], config).replace(made["manifest"], manifest)
    file.write_text(text)

    answer = locked.run("rebuild", lock, "--push", f"{registry.host}/lab/ml:2")

    assert answer.status == 3
    assert ("lab/ml", "2") not in registry.manifests


def test_a_refused_upload_is_one_line_and_leaves_no_tag(locked: Flow, registry: FakeRegistry) -> None:
    registry.always.append(("POST", "/blobs/uploads/", Fault(status=403)))
    answer = locked.run("rebuild", locked.lock, "--push", f"{registry.host}/lab/ml:1")
    assert answer.status == 1
    assert answer.err.startswith(f"error: {registry.host} answered 403")
    assert "docker login" in answer.err
    assert registry.manifests == {}


def test_a_damaged_layer_is_made_anew_and_sent(locked: Flow, registry: FakeRegistry, tmp_path: Path) -> None:
    store = tmp_path / "store"
    made = table(locked.run("rebuild", locked.lock, "--store", store, "--json"))
    digest = digests(made["layers"])[1].removeprefix("sha256:")
    path = store / "blobs" / "sha256" / digest[:2] / digest
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    answer = locked.run("rebuild", locked.lock, "--store", store, "--push", f"{registry.host}/lab/ml:1", "--json")

    assert table(answer)["manifest"] == made["manifest"]
    assert "it is made anew" in answer.err
    assert f"sha256:{digest}" in registry.blobs["lab/ml"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--push", "ml:1"), "names no registry"),
        (("--push", "https://registry.example.org/ml"), "expected no scheme"),
        (("--from", "registry.example.org/ML"), "Unexpected repository"),
        (("--push", "registry.example.org/ml:1", "--offline"), "`--offline` asks nobody"),
        (("--from", "registry.example.org/ml:1", "--record"), "`--from` takes what the lock expects"),
    ],
)
def test_options_that_make_no_sense_are_refused(locked: Flow, options: tuple[str, ...], said: str) -> None:
    answer = locked.run("rebuild", locked.lock, *options)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err


def test_an_image_in_a_registry_is_verified_by_its_manifest(
    locked: Flow, lock: Path, elsewhere: Flow, registry: FakeRegistry
) -> None:
    reference = f"{registry.host}/lab/ml:1"
    pushed = table(locked.run("rebuild", lock, "--push", reference, "--json"))
    registry.asked.clear()

    found = elsewhere.run("verify", lock, reference)

    assert found.status == 0
    assert found.out == f"level     manifest: the same blobs as the lock expects\nimage ID  {pushed['image_id']}\n"
    assert found.err == "No layer was read: the manifest's digest names them all\n"
    read = {asked.path for asked in registry.requests("GET", "/blobs/")}
    assert read == {f"/v2/lab/ml/blobs/{pushed['image_id']}"}


def test_without_a_manifest_in_the_lock_the_layers_are_read(
    locked: Flow, elsewhere: Flow, registry: FakeRegistry
) -> None:
    reference = f"{registry.host}/lab/ml:1"
    pushed = table(locked.run("rebuild", locked.lock, "--push", reference, "--json"))
    registry.asked.clear()

    found = table(elsewhere.run("verify", locked.lock, reference, "--json"))
    assert found["level"] == "config"
    assert len(registry.requests("GET", "/blobs/")) == len(digests(pushed["layers"])) + 1

    digest = digests(pushed["layers"])[0]
    registry.blobs["lab/ml"][digest] = bytes(len(registry.blobs["lab/ml"][digest]))
    refused = elsewhere.run("verify", locked.lock, reference)
    assert refused.status == 1
    assert refused.err.startswith("error: layer 1")


def test_another_image_in_a_registry_is_compared_file_by_file(
    locked: Flow, flow: Flow, registry: FakeRegistry, tmp_path: Path
) -> None:
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 3\n")
    assert flow.snapshot().status == 0
    reference = f"{registry.host}/lab/ml:1"
    assert flow.run("rebuild", flow.lock, "--push", reference).status == 0

    found = locked.run("verify", locked.lock, reference, "--json")

    assert found.status == 3
    assert {row["path"].rpartition("/")[2] for row in json.loads(found.out)["differences"]} >= {"beta.py"}


def test_what_lies_on_the_disk_is_meant_before_a_registry(locked: Flow, tmp_path: Path) -> None:
    place = locked.root / "registry.example.org"
    place.mkdir()
    shutil.copytree(locked.root / "layout", place / "ml")
    assert locked.run("verify", locked.lock, "registry.example.org/ml").status == 0
    shutil.rmtree(place)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_what_a_registry_answers_is_said_with_its_name(locked: Flow, registry: FakeRegistry, status: int) -> None:
    registry.always.append(("GET", "/manifests/", Fault(status=status)))
    answer = locked.run("verify", locked.lock, f"{registry.host}/lab/ml:1")
    assert answer.status == 1
    assert answer.err.startswith(f"error: {registry.host} answered {status}")
    assert "Traceback" not in answer.err
