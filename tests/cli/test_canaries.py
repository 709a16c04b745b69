"""No secret that envcap meets reaches anything that it writes or says (notes/security.md, T20)."""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from envcap.blobs import LOCK_NAME, open_lock, rewrite_lock
from tests.cli.canaries import (
    CANARIES,
    HOME_NAME,
    PLACES,
    WHEELS,
    GuardedIndex,
    find_leaks,
    leaks_below,
    plant,
    unpacked,
)
from tests.flow import Answer, Flow, make_flow
from tests.registry import fake_registry
from tests.registry.fake_registry import FakeRegistry
from tests.sources.index_server import Fault, serve


def said(*answers: Answer) -> list[str]:
    return find_leaks("".join(answer.out + answer.err for answer in answers).encode())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Flow, GuardedIndex]]:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # servers that fail are asked again after pauses
    flow = make_flow(tmp_path / HOME_NAME)
    with serve(GuardedIndex()) as server:
        assert isinstance(server, GuardedIndex)
        yield plant(flow, server), server


def command_line_index(server: GuardedIndex) -> str:
    return server.url.replace("://", f"://{CANARIES['CliIndex']}@") + "/cliindex/simple"


def signed(name: str) -> str:
    return f"/files/{WHEELS[name].file}?X-Amz-Signature={CANARIES['SignedFile']}"


def test_there_are_many_different_canaries() -> None:
    assert len(set(CANARIES.values())) == len(PLACES) >= 30
    assert find_leaks("".join(CANARIES.values()).encode()) == list(PLACES)


def test_a_leak_is_found_in_archives_and_in_base64() -> None:
    wheel = replace(WHEELS["netrc"], files={"a.txt": f"password: {CANARIES['Netrc']}".encode()}).build()
    assert not find_leaks(wheel)
    assert [leak for text in unpacked(wheel) for leak in find_leaks(text)] == ["Netrc"]
    for user in ("a", "ab", "abc"):
        assert find_leaks(base64.b64encode(f"{user}:{CANARIES['UvEnv']}".encode())) == ["UvEnv"]


def test_no_secret_reaches_lock_blobs_exports_image_store_or_output(world: tuple[Flow, GuardedIndex]) -> None:
    flow, server = world
    index = command_line_index(server)
    exports = ("--export", "pylock", "--export", "requirements")
    taken = flow.snapshot("--index", index, *exports)
    assert taken.status == 0, taken.err
    again = flow.snapshot("--index", index, "--json", "--refresh-system")
    packages = {row["name"]: row for row in json.loads(flow.run("show", flow.lock, "--json").out)["packages"]}
    # Otherwise the canaries of the indexes would prove nothing: each was used.
    for name in ("pipconf", "uvtoml", "cliindex", "netrc", "condatoken", "findlinks", "hexpath"):
        assert packages[name]["artifacts"][0]["source"] != "captured", name
    shutil.rmtree(flow.store)
    answers = [
        taken,
        again,
        flow.run("rebuild", flow.lock, "--index", index, "--output", "image.tar", "--record"),
        flow.run("rebuild", flow.lock, "--index", index, "--output", "layout", "--rootfs", "root", "--json"),
        flow.run("verify", flow.lock, "image.tar", "--index", index),
        flow.run("verify", flow.lock, "layout", "--index", index, "--json"),
        flow.run("show", flow.lock),
        flow.run("show", flow.lock, "--json"),
        *(flow.run("export", flow.lock, "--format", form, "--index", index) for form in ("pylock", "requirements")),
        flow.run("store", "fsck"),
        flow.run("store", "gc"),
    ]
    assert [answer.status for answer in answers] == [0] * len(answers), [answer.err for answer in answers]
    assert said(*answers) == []
    for place in (flow.locks, flow.root / "image.tar", flow.root / "layout", flow.root / "root", flow.store):
        assert leaks_below(place) == {}, place
    for path in (*flow.locks.rglob("*"), *(flow.root / "layout").rglob("*")):
        if path.is_file():
            home = HOME_NAME.encode()
            assert not any(home in text for text in unpacked(path.read_bytes())), path


def test_no_secret_reaches_a_registry_that_a_lock_is_published_to(world: tuple[Flow, GuardedIndex]) -> None:
    flow, server = world
    index = command_line_index(server)
    assert flow.snapshot("--index", index).status == 0
    login = f"ada:{CANARIES['Docker']}"
    with fake_registry.serve(FakeRegistry(login=login, tokens=True)) as registry:
        auths = {"auths": {registry.host: {"auth": base64.b64encode(login.encode()).decode()}}}
        (flow.home / ".docker/config.json").write_text(json.dumps(auths))
        ref = f"{registry.host}/lab/ml:1"
        answers = [
            flow.run("publish", flow.lock, ref, "--with-sources", "--index", index),
            flow.run("publish", flow.lock, ref, "--json", "--index", index),
            flow.run("pull", ref, "--output", flow.root / "pulled"),
            flow.run("history", ref),
            flow.run("show", ref),
        ]
        assert [answer.status for answer in answers] == [0] * len(answers), [answer.err for answer in answers]
        assert any(asked.authorization.startswith("Bearer ") for asked in registry.asked)  # the login was used
        registry.always.append(("GET", "/manifests/", fake_registry.Fault(status=403)))
        answers.append(flow.run("pull", ref))
        assert answers[-1].status == 1
        stored = [*registry.blobs["lab/ml"].values(), *(data for _, data in registry.manifests.values())]
    assert said(*answers) == []
    assert leaks_below(flow.root / "pulled") == {}
    for data in stored:
        texts = list(unpacked(data))
        assert [leak for text in texts for leak in find_leaks(text)] == []
        assert not any(HOME_NAME.encode() in text for text in texts)


def test_no_failure_of_a_snapshot_shows_a_secret(world: tuple[Flow, GuardedIndex]) -> None:
    flow, server = world
    index = command_line_index(server)
    answers = []

    def fail(*arguments: str, **settings: str) -> None:
        shutil.rmtree(flow.store, ignore_errors=True)
        shutil.rmtree(flow.locks, ignore_errors=True)
        other = replace(flow, settings={**flow.settings, **settings})
        answers.append(other.snapshot("--index", index, *arguments))
        assert leaks_below(flow.store) == leaks_below(flow.locks) == {}, settings

    server.always |= {
        signed("pipconf"): Fault(redirect=f"http://169.254.169.254/x?token={CANARIES['Redirect']}"),
        signed("uvtoml"): Fault(body=f"PK {CANARIES['Body']}".encode()),
        "/cliindex/simple/cliindex/": Fault(body=f'{{"{CANARIES["Body"]}": '.encode()),
        "/netrc/simple/netrc/": Fault(status=403),
    }
    fail()
    assert "Refused 'http://169.254.169.254/x'" in answers[-1].err
    server.always.clear()
    server.passwords = dict.fromkeys(server.passwords, "ada:changed")
    fail("--json")
    assert answers[-1].out.count("answered 401") > 9
    mirror = server.url.replace("://", f"://ada:{CANARIES['DebianMirror']}@") + "/debian"
    fail(ENVCAP_DEBIAN_MIRROR=mirror)
    assert answers[-1].status == 1
    nowhere = f"http://ada:{CANARIES['PythonMirror']}@127.0.0.1:9/t/{CANARIES['CondaToken']}"
    fail(ENVCAP_DEBIAN_MIRROR=nowhere, ENVCAP_PYTHON_MIRROR=nowhere, ENVCAP_DEBIAN_SNAPSHOT=nowhere)
    assert answers[-1].status == 1
    (flow.home / ".config/pip/pip.conf").write_text(f"[global\nindex-url = {CANARIES['Broken']}\n")
    (flow.home / ".config/uv/uv.toml").write_text(f'index-url = "{CANARIES["Broken"]}\n')
    (flow.home / ".netrc").write_text(f"machine {CANARIES['Broken']} login password\n")
    fail()
    answers.append(flow.snapshot("--index", f"ftp://ada:{CANARIES['Scheme']}@example.org/simple", "--json"))
    assert answers[-1].status == 2
    answers.append(flow.snapshot("--index", f"http://[{CANARIES['Scheme']}", "--json"))
    answers.append(flow.snapshot("--env", "HF_TOKEN"))
    answers.append(flow.snapshot("--env", f"X={CANARIES['HfToken']}"))
    assert said(*answers) == []


def test_no_failure_of_a_rebuild_shows_a_secret(world: tuple[Flow, GuardedIndex]) -> None:
    flow, server = world
    index = command_line_index(server)
    assert flow.snapshot("--index", index).status == 0
    answers = []

    def fail(*arguments: object, **settings: str) -> None:
        shutil.rmtree(flow.store, ignore_errors=True)
        other = replace(flow, settings={**flow.settings, **settings})
        answers.append(other.run("rebuild", flow.lock, "--index", index, "--output", "failed.tar", *arguments))
        assert answers[-1].status == 1, answers[-1].err
        assert leaks_below(flow.store) == {}

    for fault in (
        Fault(body=f"PK {CANARIES['Body']}".encode()),
        Fault(redirect=f"http://169.254.169.254/x?token={CANARIES['Redirect']}"),
        Fault(redirect=f"http://ada:{CANARIES['Redirect']}@[bad/x"),
        Fault(status=403),
    ):
        server.always[signed("pipconf")] = fault
        fail()
    server.always.clear()
    passwords, server.passwords = server.passwords, dict.fromkeys(server.passwords, "ada:changed")
    fail()
    fail("--json")
    server.passwords = passwords
    fail("--offline")
    nowhere = f"http://ada:{CANARIES['DebianMirror']}@127.0.0.1:9/t/{CANARIES['CondaToken']}"
    fail(ENVCAP_DEBIAN_MIRROR=nowhere, ENVCAP_DEBIAN_SNAPSHOT=f"{nowhere}/@ARCHIVE@/@SNAPSHOTID@/")
    assert said(*answers) == []


def test_a_secret_in_a_lock_of_somebody_else_is_not_repeated(world: tuple[Flow, GuardedIndex]) -> None:
    flow, server = world
    assert flow.snapshot("--index", command_line_index(server)).status == 0
    text = (flow.lock / LOCK_NAME).read_text()
    secret = f"https://ada:{CANARIES['Lock']}@127.0.0.1:9/simple?token={CANARIES['Lock']}"
    folder = open_lock(flow.lock)
    sources = tuple(replace(row, url=secret) if row.url else row for row in folder.lockfile.sources)
    packages = tuple(
        replace(
            row,
            url=secret if row.url else "",
            artifacts=tuple(replace(one, url=secret if one.url else "") for one in row.artifacts),
        )
        for row in folder.lockfile.packages
    )
    rewrite_lock(folder, replace(folder.lockfile, sources=sources, packages=packages))
    assert secret in (flow.lock / LOCK_NAME).read_text() != text
    shutil.rmtree(flow.store)
    bare = replace(flow, settings={})
    answers = [
        bare.run("rebuild", flow.lock),
        bare.run("show", flow.lock),
        bare.run("export", flow.lock, "--format", "pylock"),
        bare.run("export", flow.lock, "--format", "requirements"),
    ]
    assert answers[0].status == 1
    assert said(*answers) == []
