"""Publishing, pulling, listing and using locks by the command line, against a registry in this process."""

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envcap.blobs import open_lock
from envcap.cli.locks import is_one_registry
from envcap.cli.machine import this_machine
from envcap.cli.push import open_registries
from envcap.cli.registries import PLAIN_HTTP_VARIABLE, open_registry
from tests.cli.refusals import check_refusal, state
from tests.flow import Flow
from tests.registry.fake_registry import FakeRegistry, Fault, serve
from tests.trust.people import ALICE, CAROL, MALLORY, ed25519_key, openssh, policy_text

BOTH = "[require.signature]\nthreshold = 1\nkeys = ['alice']\n[require.rebuild]\nthreshold = 1\nkeys = ['carol']"
SECRET = "hunter2-C4n4ry-registry"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with serve(FakeRegistry()) as registry:
        yield registry


@pytest.fixture
def flow(locked: Flow, tmp_path: Path) -> Flow:
    """The world's lock copied, so that it can be signed; keys beside it."""
    shutil.copytree(locked.lock, tmp_path / "lock")
    for name in ("alice", "carol"):
        path = tmp_path / name
        path.write_bytes(openssh(ed25519_key(name)))
        path.chmod(0o600)
    return locked


@pytest.fixture
def ref(registry: FakeRegistry) -> str:
    return f"{registry.host}/lab/ml:2026-11"


def publish(flow: Flow, tmp_path: Path, ref: str, *options: object) -> dict[str, Any]:
    done = flow.run("publish", tmp_path / "lock", ref, "--json", *options)
    assert done.status == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_published_lock_is_pulled_to_the_same_folder(flow: Flow, tmp_path: Path, ref: str) -> None:
    assert flow.run("sign", tmp_path / "lock", "--key", tmp_path / "alice").status == 0
    done = flow.run("publish", tmp_path / "lock", ref)
    assert done.status == 0, done.err
    pulled = flow.run("pull", ref, "--output", tmp_path / "got", "--name", "lock")
    assert pulled.status == 0, pulled.err
    assert state(tmp_path / "got" / "lock") == state(tmp_path / "lock")
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert lines["published"] == ref
    assert f"{ref} is {lines['image']} now, its lock {lines['lock']}\n" in pulled.err
    assert f"envcap rebuild {ref.rpartition(':')[0]}@{lines['lock']}" in done.err


def test_publishing_again_sends_nothing(flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry) -> None:
    first = publish(flow, tmp_path, ref)
    registry.asked.clear()
    again = publish(flow, tmp_path, ref)
    assert (first["moved_tag"], again["moved_tag"], again["sent"]) == (True, False, 0)
    assert {row.method for row in registry.asked} <= {"GET", "HEAD"}


def test_every_command_that_takes_a_lock_takes_its_reference(flow: Flow, tmp_path: Path, ref: str) -> None:
    publish(flow, tmp_path, ref)
    shown = flow.run("show", ref)
    assert shown.status == 0, shown.err
    assert shown.out == flow.run("show", tmp_path / "lock").out
    assert flow.run("diff", tmp_path / "lock", ref).out.startswith("No difference")
    exported = flow.run("export", ref, "--format", "requirements")
    assert exported.out == flow.run("export", tmp_path / "lock", "--format", "requirements").out
    built = flow.run("rebuild", ref, "--output", tmp_path / "image.tar", "--store", tmp_path / "store", "--json")
    expected = open_lock(tmp_path / "lock").lockfile.expected[0].image_id
    assert json.loads(built.out)["image_id"] == expected
    assert flow.run("verify", ref, tmp_path / "image.tar").status == 0
    assert flow.run("check", ref, "--machine").status == 0
    assert flow.run("gpu", "where", ref).status == flow.run("gpu", "where", tmp_path / "lock").status


def test_a_lock_with_its_sources_rebuilds_where_no_index_is(flow: Flow, tmp_path: Path, ref: str) -> None:
    found = publish(flow, tmp_path, ref, "--with-sources")
    nowhere = {"PIP_FIND_LINKS": str(tmp_path / "none"), "ENVCAP_DEBIAN_MIRROR": (tmp_path / "none").as_uri()}
    far = replace(flow, settings=nowhere)
    pinned = f"{ref.rpartition(':')[0]}@{found['lock']}"
    built = far.run("rebuild", pinned, "--store", tmp_path / "far", "--json")
    assert built.status == 0, built.err
    assert json.loads(built.out)["manifest"] == found["image"]
    pulled = far.run("pull", ref, "--with-sources", "--output", tmp_path / "got", "--store", tmp_path / "far2")
    assert pulled.status == 0, pulled.err
    built = far.run("rebuild", tmp_path / "got" / "small", "--store", tmp_path / "far3", "--json")
    assert json.loads(built.out)["manifest"] == found["image"]


def test_who_rebuilt_it_is_attached_and_listed_and_checked(flow: Flow, tmp_path: Path, ref: str) -> None:
    assert flow.run("sign", tmp_path / "lock", "--key", tmp_path / "alice").status == 0
    publish(flow, tmp_path, ref)
    carol = flow.run("rebuild", ref, "--attest", "--key", tmp_path / "carol")
    assert carol.status == 0, carol.err
    assert f"Attested: {ref.rpartition(':')[0]}@sha256:" in carol.err
    (tmp_path / "policy.toml").write_text(policy_text(BOTH.replace("'", '"'), ALICE, CAROL))
    listed = flow.run("history", ref)
    assert "to the same image by 1 key, not checked" in listed.out
    assert listed.out.count("(not checked)") == 2
    assert "anybody who may push here can write them" in listed.err
    checked = flow.run("history", ref, "--policy", tmp_path / "policy.toml")
    assert checked.out.count("(checked)") == 2
    assert "signature by alice (1 needed): met" in checked.out
    assert "rebuild on linux/amd64 by carol (1 needed): met" in checked.out
    assert flow.run("verify", ref, "--policy", tmp_path / "policy.toml").status == 0
    shown = flow.run("show", ref)
    assert "Attestations, not checked here" in shown.out


def test_a_signature_that_names_another_s_key_replaces_nothing(
    flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry
) -> None:
    assert flow.run("sign", tmp_path / "lock", "--key", tmp_path / "alice").status == 0
    good = next((tmp_path / "lock" / "attestations").iterdir())
    publish(flow, tmp_path, ref)
    table = json.loads(good.read_bytes())
    table["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    true = good.read_bytes()
    good.write_text(json.dumps(table))
    publish(flow, tmp_path, ref)
    pulled = flow.run("pull", ref, "--output", tmp_path / "got")
    assert pulled.status == 0, pulled.err
    kept = list((tmp_path / "got" / "small" / "attestations").iterdir())
    assert len(kept) == 2
    assert true in {path.read_bytes() for path in kept}
    (tmp_path / "policy.toml").write_text(policy_text("[require.signature]\nthreshold = 1", ALICE))
    held = flow.run("verify", tmp_path / "got" / "small", "--policy", tmp_path / "policy.toml")
    assert held.status == 0
    assert "The signature is not one of the key 'alice'" in held.out


def test_another_lock_is_not_replaced_unless_that_is_said(flow: Flow, tmp_path: Path, ref: str) -> None:
    publish(flow, tmp_path, ref)
    assert flow.run("pull", ref, "--output", tmp_path / "got").status == 0
    text = (tmp_path / "got" / "small" / "envcap.lock").read_text()
    (tmp_path / "got" / "small" / "envcap.lock").write_text(text.replace('name = "small"', 'name = "mine"'))
    before = state(tmp_path / "got")
    refused = flow.run("pull", ref, "--output", tmp_path / "got")
    assert refused.status == 3
    assert "holds another lock than" in refused.err
    assert state(tmp_path / "got") == before
    assert flow.run("pull", ref, "--output", tmp_path / "got", "--force").status == 0
    assert (tmp_path / "got" / "small" / "envcap.lock").read_text() == text


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "x\n", "é"])
def test_a_name_that_is_no_name_of_a_lock_is_refused(name: str, flow: Flow, tmp_path: Path, ref: str) -> None:
    check_refusal(flow.run("pull", ref, "--output", tmp_path / "got", "--name", name), 2, "Unexpected name")
    assert not (tmp_path / "got").exists()


def test_a_pull_that_fails_leaves_nothing(flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry) -> None:
    publish(flow, tmp_path, ref, "--with-sources")
    sha256 = open_lock(tmp_path / "lock").lockfile.packages[0].artifacts[0].sha256
    data = registry.blobs["lab/ml"][f"sha256:{sha256}"]
    registry.always.append(("GET", f"/blobs/sha256:{sha256}", Fault(body=bytes(len(data)))))
    options = ("--with-sources", "--output", tmp_path / "got", "--store", tmp_path / "store")
    refused = flow.run("pull", ref, *options)
    assert (refused.status, refused.out) == (1, "")
    assert f"error: {registry.host} sent other bytes for a blob of lab/ml" in refused.err
    assert not (tmp_path / "got").exists()


def test_an_image_that_is_built_is_published_as_it_is(flow: Flow, tmp_path: Path, registry: FakeRegistry) -> None:
    one = publish(flow, tmp_path, f"{registry.host}/a:1", "--image", flow.root / "layout")
    two = publish(flow, tmp_path, f"{registry.host}/b:1", "--image", flow.root / "image.tar")
    three = publish(flow, tmp_path, f"{registry.host}/c:1")
    assert one["image"] == two["image"] == three["image"]
    assert one["lock"] == three["lock"]
    lone = publish(flow, tmp_path, f"{registry.host}/d:1", "--no-image")
    assert lone["image"] is None
    assert lone["digest"] == lone["lock"]
    assert flow.run("pull", f"{registry.host}/d:1", "--output", tmp_path / "got").status == 0


@pytest.mark.parametrize("what", ["layer", "wheel"])
def test_what_is_damaged_in_the_store_is_made_anew_and_never_published(
    what: str, flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry
) -> None:
    store = ("--store", tmp_path / "store")
    built = json.loads(flow.run("rebuild", tmp_path / "lock", "--json", *store).out)
    lockfile = open_lock(tmp_path / "lock").lockfile
    layers = sorted(built["layers"], key=lambda row: row["size"])
    name = layers[-1]["digest"][7:] if what == "layer" else lockfile.packages[-1].artifacts[0].sha256
    damaged = tmp_path / "store" / "blobs" / "sha256" / name[:2] / name
    damaged.chmod(0o600)
    damaged.write_bytes(damaged.read_bytes()[::-1])
    done = flow.run("publish", tmp_path / "lock", ref, "--with-sources", "--json", *store)
    assert done.status == 0, done.err
    assert "it is made anew" in done.err
    assert json.loads(done.out)["image"] == built["manifest"]
    for digest, data in registry.blobs["lab/ml"].items():
        assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_another_repository_s_blobs_are_mounted(flow: Flow, tmp_path: Path, registry: FakeRegistry) -> None:
    store = ("--store", tmp_path / "store")
    first = publish(flow, tmp_path, f"{registry.host}/a:1", "--with-sources", *store)
    again = publish(flow, tmp_path, f"{registry.host}/b:1", "--with-sources", *store)
    assert (first["mounted"], again["lock"]) == (0, first["lock"])
    assert again["mounted"] > again["sent"]


def test_a_published_image_s_layers_are_taken_and_not_built(flow: Flow, tmp_path: Path, ref: str) -> None:
    assert flow.run("rebuild", tmp_path / "lock", "--record").status == 0
    found = publish(flow, tmp_path, ref)
    nowhere = {"PIP_FIND_LINKS": str(tmp_path / "none"), "ENVCAP_DEBIAN_MIRROR": (tmp_path / "none").as_uri()}
    far = replace(flow, settings=nowhere)
    built = far.run("rebuild", ref, "--json", "--store", tmp_path / "far", "--output", tmp_path / "image.tar")
    assert built.status == 0, built.err
    table = json.loads(built.out)
    assert (table["manifest"], table["level"]) == (found["image"], "manifest")
    assert len(table["from"]["taken"]) == len(table["layers"])
    # Whoever attests must build: then the sources are asked for, and missed.
    attested = far.run("rebuild", ref, "--attest", "--key", tmp_path / "carol", "--store", tmp_path / "far2")
    assert attested.status == 1
    assert "No source has" in attested.err


def test_a_tag_that_is_moved_says_what_it_named(flow: Flow, tmp_path: Path, ref: str) -> None:
    first = publish(flow, tmp_path, ref)
    moved = flow.run("publish", tmp_path / "lock", ref, "--no-image")
    assert f"the tag, which named {first['image']}, is moved" in moved.err
    assert (first["before"], publish(flow, tmp_path, ref)["moved_tag"]) == (None, True)


def test_a_tag_that_named_another_platform_s_image_is_moved_with_a_warning(
    flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry
) -> None:
    publish(flow, tmp_path, ref)
    kind, manifest = registry.manifests["lab/ml", "2026-11"]
    digest = json.loads(manifest)["config"]["digest"]
    config = registry.blobs["lab/ml"][digest].replace(b'"amd64"', b'"arm64"')
    other = manifest.replace(digest.encode(), registry.add_blob("lab/ml", config).encode())
    registry.add_manifest("lab/ml", "2026-11", other, kind)
    done = flow.run("publish", tmp_path / "lock", ref)
    assert done.status == 0
    assert (
        f"warning: {ref} named an image for linux/arm64 and does not any more: a tag names one platform's." in done.err
    )
    assert f"{ref}-arm64" in done.err


def test_what_is_published_is_kept_by_publishing_its_sources(flow: Flow, tmp_path: Path, ref: str) -> None:
    publish(flow, tmp_path, ref)
    keep = "everything in one file with `envcap bundle`, or in a registry with `envcap publish --with-sources`\n"
    for options in ((), ("--fix",)):  # what lies in a registry can't be mended there
        found = flow.run("doctor", ref, *options)
        assert (found.status, found.err.endswith(f"\n\nhint: keep {keep}")) == (2 if options else 3, True), found.err
    publish(flow, tmp_path, ref, "--with-sources")
    assert flow.run("doctor", ref).status == 0
    publish(flow, tmp_path, ref)  # it takes nothing away
    assert flow.run("doctor", ref).status == 0


def test_a_published_lock_is_published_elsewhere(flow: Flow, tmp_path: Path, ref: str) -> None:
    assert flow.run("sign", tmp_path / "lock", "--key", tmp_path / "alice").status == 0
    found = publish(flow, tmp_path, ref, "--with-sources")
    with serve(FakeRegistry(referrers=True)) as other:
        nowhere = {"PIP_FIND_LINKS": str(tmp_path / "none"), "ENVCAP_DEBIAN_MIRROR": (tmp_path / "none").as_uri()}
        far = replace(flow, settings=nowhere)
        target = f"{other.host}/copy:1"
        copied = far.run("publish", ref, target, "--with-sources", "--store", tmp_path / "far", "--json")
        assert copied.status == 0, copied.err
        again = json.loads(copied.out)
        assert [again[name] for name in ("image", "lock", "attestations")] == [found["image"], found["lock"], 1]


def test_only_registries_that_are_named_are_asked_over_http(tmp_path: Path) -> None:
    machine = replace(this_machine(store=tmp_path), environ={PLAIN_HTTP_VARIABLE: "a.example.org:5000,b.example.org"})
    for host, scheme in (("a.example.org:5000", "http"), ("b.example.org", "http"), ("c.example.org", "https")):
        with open_registry(host, machine) as connection:
            assert connection.base == f"{scheme}://{host}"


def test_plain_http_is_said_of_a_lock_s_registry_too(flow: Flow, tmp_path: Path, ref: str) -> None:
    publish(flow, tmp_path, ref)
    far = ref.replace("127.0.0.1", "127.1")  # for the system the same machine, for envcap any other
    refused = flow.run("show", far)
    assert (refused.status, "ENVCAP_PLAIN_HTTP=127.1:" in refused.err) == (1, True), refused.err
    for command in (
        ("rebuild", far, "--store", tmp_path / "new"),
        ("verify", far, far),
        ("publish", far, far.replace("lab/ml", "lab/copy")),
    ):
        assert flow.run(*command).status == 1
        done = flow.run(*command, "--plain-http")
        assert done.status == 0, done.err


@pytest.mark.parametrize(
    ("lock", "others", "expected"),
    [
        ("a.example.org/ml:1", (), True),
        ("a.example.org/ml:1", ("", ""), True),
        ("a.example.org/ml:1", ("A.example.org/other:2",), True),
        ("a.example.org/ml:1", ("b.example.org/ml:1",), False),
        ("a.example.org/ml:1", ("a.example.org:5000/ml:1",), False),
        ("a.example.org/ml:1", ("a.example.org/ml:1", "b.example.org/ml:1"), False),
    ],
)
def test_plain_http_is_said_of_no_other_registry(lock: str, others: tuple[str, ...], *, expected: bool) -> None:
    assert is_one_registry(Path(lock), *others) is expected


def test_a_source_elsewhere_is_not_asked_over_http(tmp_path: Path) -> None:
    machine = this_machine(store=tmp_path)
    push, source = "a.example.org/ml:1", "b.example.org/ml:1"
    with open_registries(push, source, machine, plain_http=True) as found:
        assert [row[1].base for row in (found.push, found.source) if row] == [
            "http://a.example.org",
            "https://b.example.org",
        ]
    with open_registries("", source, machine, plain_http=True) as found:
        assert [row[1].base for row in (found.push, found.source) if row] == ["http://b.example.org"]


def test_an_image_of_another_lock_is_refused(flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry) -> None:
    text = (tmp_path / "lock" / "envcap.lock").read_text()
    image_id = open_lock(tmp_path / "lock").lockfile.expected[0].image_id
    (tmp_path / "lock" / "envcap.lock").write_text(text.replace(image_id, f"sha256:{'0' * 64}"))
    for options in (("--image", flow.root / "layout"), ()):
        refused = flow.run("publish", tmp_path / "lock", ref, *options)
        assert refused.status == 3, refused.err
        assert "not the" in refused.err
    assert not registry.manifests


def test_what_is_said_of_another_lock_is_not_published(flow: Flow, tmp_path: Path, ref: str) -> None:
    folder = tmp_path / "lock" / "attestations"
    folder.mkdir()
    (folder / "signature-x.json").write_bytes(MALLORY.signs().data)
    (folder / "notes.json").write_text("{}")
    done = flow.run("publish", tmp_path / "lock", ref)
    assert done.status == 0
    assert "signature-x.json is not published: It is about something else" in done.err
    assert "notes.json is not published" in done.err
    assert "attested  0 attestations" in done.out


def test_a_login_is_used_and_reaches_nothing_else(flow: Flow, tmp_path: Path) -> None:
    with serve(FakeRegistry(login=f"ada:{SECRET}", tokens=True)) as registry:
        auth = base64.b64encode(f"ada:{SECRET}".encode()).decode()
        file = tmp_path / "auth.json"
        file.write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        home = replace(flow, settings={"REGISTRY_AUTH_FILE": str(file)})
        ref = f"{registry.host}/lab/ml:1"
        answers = [
            home.run("publish", tmp_path / "lock", ref, "--with-sources"),
            home.run("pull", ref, "--output", tmp_path / "got"),
            home.run("history", ref),
            home.run("rebuild", ref, "--store", tmp_path / "store"),
            flow.run("pull", ref, "--output", tmp_path / "no"),
        ]
        assert [answer.status for answer in answers] == [0, 0, 0, 0, 1], answers
        assert f"{registry.host} answered 401" in answers[-1].err
        stored = b"".join([*registry.blobs["lab/ml"].values(), *(data for _, data in registry.manifests.values())])
        written = b"".join(path.read_bytes() for path in (tmp_path / "got").rglob("*") if path.is_file())
        said = "".join(answer.out + answer.err for answer in answers).encode()
        for secret in (SECRET, auth, "token-"):
            assert secret.encode() not in written + said
            assert secret == "token-" or secret.encode() not in stored
        # Nor does what is published say where it was made, or for which registry.
        for place in (registry.host, str(flow.root), str(tmp_path)):
            assert all(place.encode() not in data for _, data in registry.manifests.values())


def test_history_tells_tags_that_hold_no_lock(flow: Flow, tmp_path: Path, ref: str, registry: FakeRegistry) -> None:
    found = publish(flow, tmp_path, ref)
    media_type, data = registry.manifests["lab/ml", "2026-11"]
    registry.add_manifest("lab/ml", "alone", data.replace(b'"schemaVersion":2', b'"schemaVersion": 2'), media_type)
    publish(flow, tmp_path, ref.replace("2026-11", "again"))
    listed = flow.run("history", ref.rpartition(":")[0], "--json")
    entries = {tuple(row["tags"]): row for row in json.loads(listed.out)["entries"]}
    assert set(entries) == {("2026-11", "again"), ("alone",)}
    assert entries["2026-11", "again"]["lock"] == found["lock"]
    assert "an image without a lock" in entries["alone",]["refusal"]
    check_refusal(flow.run("history", f"{registry.host}/none"), 1, "has nothing in none")


CASES = {
    "no reference": (("publish", "LOCK", "lab"), 2, "names no registry"),
    "a digest": (("publish", "LOCK", f"registry.example.org/ml@sha256:{'0' * 64}"), 2, "names a digest"),
    "both": (("publish", "LOCK", "localhost:1/ml:1", "--image", "x", "--no-image"), 2, "`--no-image` excludes"),
    "nobody": (("publish", "LOCK", "127.0.0.1:1/ml:1", "--no-image"), 1, "127.0.0.1:1 can't be reached"),
    "offline": (("show", "127.0.0.1:1/ml:1", "--offline"), 1, "127.0.0.1:1 was not asked (offline)"),
    "no tag": (("show", "no.folder/ml"), 1, "No such file or directory"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_makes_no_sense_is_refused(case: str, flow: Flow, tmp_path: Path) -> None:
    arguments, status, message = CASES[case]
    answer = flow.run(*[tmp_path / "lock" if word == "LOCK" else word for word in arguments])
    assert answer.status == status, answer.err
    assert message in answer.err
    assert answer.out == ""


@pytest.mark.parametrize("command", [("rebuild", "--record"), ("doctor", "--fix")])
def test_a_published_lock_is_never_changed(command: tuple[str, str], flow: Flow, tmp_path: Path, ref: str) -> None:
    publish(flow, tmp_path, ref)
    refused = flow.run(command[0], ref, *command[1:])
    assert refused.status == 2
    assert "lies in a registry" in refused.err


def test_a_bundle_is_not_signed(flow: Flow, tmp_path: Path) -> None:
    assert flow.run("bundle", tmp_path / "lock", "-o", tmp_path / "x.envcap").status == 0
    check_refusal(flow.run("sign", tmp_path / "x.envcap", "--key", tmp_path / "alice"), 1, "is a bundle")
