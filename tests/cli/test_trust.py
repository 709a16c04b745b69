"""Signing, attesting and holding a lock against a policy, on the command line."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from envcap import __version__
from envcap.blobs import open_lock, rewrite_lock
from envcap.trust.bundle import read_bundle
from envcap.trust.claims import lock_facts, read_rebuild
from envcap.trust.statement import read_statement
from tests.cli.refusals import Arguments, check_refusal, state
from tests.flow import ROOT, Flow
from tests.trust.people import ALICE, BOB, ecdsa_key, ed25519_key, openssh, pem, policy_text

ALICE_FILE = f"signature-{ALICE.public.digest.hex[:16]}.json"
SIGNED = "[require.signature]\nthreshold = 1"
REBUILT = "[require.rebuild]\nthreshold = 1"


@pytest.fixture
def signed(locked: Flow, tmp_path: Path) -> Flow:
    """A copy of the lock with two private keys and a policy beside it; nothing is signed yet."""
    flow = replace(locked, settings={})
    shutil.copytree(locked.lock, tmp_path / "lock")
    put(tmp_path / "alice", openssh(ed25519_key("alice")))
    put(tmp_path / "bob.pem", pem(ecdsa_key("bob"), "secret"))
    (tmp_path / "policy.toml").write_text(policy_text(SIGNED, ALICE, BOB))
    return flow


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


def test_a_lock_is_signed_and_the_policy_met(signed: Flow, tmp_path: Path) -> None:
    lock, file = tmp_path / "lock", tmp_path / "lock" / "attestations" / ALICE_FILE
    facts = lock_facts(open_lock(lock).lockfile)
    answer = signed.run("sign", lock, "--key", tmp_path / "alice")
    (platform, image_id) = next(iter(facts.expected.items()))
    assert answer.status == 0
    assert answer.out == (
        f"lock               {facts.text}\n"
        f"image {platform}  {image_id}\n"
        f"signature          {file}\n"
        f"key                {ALICE.public.digest.hex}\n"
        f"public key         {ALICE.public.line}\n"
    )
    assert answer.err == (
        "Signed. Next: commit it with the lock; others name the public key in the policy of `envcap verify`\n"
    )
    assert file.read_bytes() == ALICE.signs(facts).data
    answer = signed.run("verify", lock, "--policy", tmp_path / "policy.toml")
    assert (answer.status, answer.out, answer.err) == (0, "met       signature by alice (1 needed)\n", "")


def test_the_hash_that_is_signed_is_the_one_of_the_file(signed: Flow, tmp_path: Path) -> None:
    found = json.loads(signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice", "--json").out)
    done = subprocess.run(["sha256sum", tmp_path / "lock" / "envcap.lock"], capture_output=True, check=True)
    assert found == {
        "lock": f"sha256:{done.stdout.decode().split()[0]}",
        "signature": str(tmp_path / "lock" / "attestations" / ALICE_FILE),
        "key": ALICE.public.digest.hex,
        "public_key": ALICE.public.line,
    }


def test_signing_again_changes_nothing(signed: Flow, tmp_path: Path) -> None:
    signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice")
    before = state(tmp_path)
    assert signed.run("sign", tmp_path / "lock" / "envcap.lock", "--key", tmp_path / "alice").status == 0
    assert state(tmp_path) == before


def test_a_policy_that_is_not_met_is_a_difference(signed: Flow, tmp_path: Path) -> None:
    answer = signed.run("verify", tmp_path / "lock", "--policy", tmp_path / "policy.toml")
    assert (answer.status, answer.out) == (3, "unmet     signature by nobody (1 needed)\n")
    assert answer.err == (
        f"error: {tmp_path}/lock/envcap.lock does not meet the policy {tmp_path}/policy.toml: "
        "signature by nobody (1 needed)\n\n"
        "hint: get attestations by the keys it names (`envcap sign`, `envcap rebuild --attest`), or leave the lock\n"
    )


def test_a_lock_that_changed_since_is_not_signed(signed: Flow, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    signed.run("sign", lock, "--key", tmp_path / "alice")
    folder = open_lock(lock)
    rewrite_lock(folder, replace(folder.lockfile, expected=()))
    answer = signed.run("verify", lock, "--policy", tmp_path / "policy.toml")
    assert answer.status == 3
    assert answer.out == (
        "unmet     signature by nobody (1 needed)\n\n"
        f"refused  {ALICE_FILE}  'alice' said it of something else, not of this lock (expected the subject "
        f"{lock_facts(open_lock(lock).lockfile).text})\n"
    )


def test_an_image_is_looked_at_only_if_the_policy_is_met(signed: Flow, tmp_path: Path) -> None:
    image, options = signed.root / "image.tar", ("--policy", tmp_path / "policy.toml")
    answer = signed.run("verify", tmp_path / "lock", tmp_path / "no-such-image", *options)
    assert (answer.status, answer.out) == (3, "unmet     signature by nobody (1 needed)\n")
    signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice")
    answer = signed.run("verify", tmp_path / "lock", image, *options)
    assert answer.status == 0
    assert answer.out.splitlines()[:2] == [
        "met       signature by alice (1 needed)",
        "level     config: the same image ID as the lock expects",
    ]
    answer = signed.run("verify", tmp_path / "lock", image, *options, "--json")
    table = json.loads(answer.out)
    assert (table["level"], table["policy"]["holds"]) == ("config", True)


def test_json_says_what_each_attestation_is_worth(signed: Flow, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    signed.run("sign", lock, "--key", tmp_path / "alice")
    (lock / "attestations" / "zzz.json").write_text("{}")
    answer = signed.run("verify", lock, "--policy", tmp_path / "policy.toml", "--json")
    assert answer.status == 0
    plain = {"key": "", "kind": "", "platform": "", "matches": False, "refusal": ""}
    assert json.loads(answer.out) == {
        "policy": {
            "holds": True,
            "met": ["signature by alice (1 needed)"],
            "unmet": [],
            "attestations": [
                plain | {"file": ALICE_FILE, "key": "alice", "kind": "signature", "matches": True},
                plain | {"file": "zzz.json", "refusal": "Missing 'mediaType' in the bundle"},
            ],
        }
    }


def test_a_policy_finds_its_key_files_beside_itself(signed: Flow, tmp_path: Path) -> None:
    signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice")
    folder = tmp_path / "team"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys" / "alice.pub").write_text(f"{ALICE.public.line} alice@example.org\n")
    text = policy_text(SIGNED, ALICE).replace(f'key = "{ALICE.public.line}"', 'file = "keys/alice.pub"')
    (folder / "policy.toml").write_text(text)
    assert signed.run("verify", tmp_path / "lock", "--policy", folder / "policy.toml").status == 0


def test_a_rebuild_is_attested_and_counts(signed: Flow, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    facts = lock_facts(open_lock(lock).lockfile)
    ((platform, image_id),) = facts.expected.items()
    answer = signed.run("rebuild", lock, "--attest", "--key", tmp_path / "alice", "--json")
    assert answer.status == 0, answer
    table = json.loads(answer.out)
    file = Path(table["attestation"])
    assert file.name == f"rebuild-{platform.replace('/', '-')}-{ALICE.public.digest.hex[:16]}.json"
    rebuild = read_rebuild(read_statement(read_bundle(file.read_bytes()).payload).predicate)
    assert (rebuild.level, rebuild.got, rebuild.expected) == ("match", image_id, table["image_id"])
    assert (rebuild.manifest, rebuild.envcap, rebuild.lock) == (table["manifest"], __version__, facts.environment)
    (tmp_path / "policy.toml").write_text(policy_text(REBUILT, ALICE, BOB))
    answer = signed.run("verify", lock, "--policy", tmp_path / "policy.toml")
    assert (answer.status, answer.out) == (0, f"met       rebuild on {platform} by alice (1 needed)\n")


def test_a_rebuild_that_differs_is_attested_as_such(signed: Flow, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    folder = open_lock(lock)
    (row,) = folder.lockfile.expected
    rewrite_lock(folder, replace(folder.lockfile, expected=(replace(row, image_id=f"sha256:{'0' * 64}"),)))
    answer = signed.run("rebuild", lock, "--attest", "--key", tmp_path / "alice")
    assert answer.status == 3
    assert "Attested: " in answer.err
    assert "The image is not the one that the lock expects" in answer.err
    (tmp_path / "policy.toml").write_text(policy_text(REBUILT, ALICE, BOB))
    answer = signed.run("verify", lock, "--policy", tmp_path / "policy.toml")
    (file,) = (lock / "attestations").iterdir()
    assert answer.status == 3
    assert answer.out == (
        f"unmet     rebuild on {row.platform} by nobody (1 needed)\n\n"
        f"differs  {file.name}  'alice' got another image on {row.platform}\n"
    )


def test_show_lists_what_is_said_without_believing_it(signed: Flow, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert "Attestations" not in signed.run("show", lock).out
    assert "attestations" not in json.loads(signed.run("show", lock, "--json").out)
    signed.run("sign", lock, "--key", tmp_path / "alice")
    facts = lock_facts(open_lock(lock).lockfile)
    (lock / "attestations" / "other.json").write_bytes(BOB.signs().data)
    (lock / "attestations" / "zzz.json").write_text("{}")
    (platform,) = facts.expected
    (lock / "attestations" / "rebuild.json").write_bytes(BOB.rebuilds(facts=facts, platform=platform).data)
    alice, bob = (person.public.digest.hex[:16] for person in (ALICE, BOB))
    answer = signed.run("show", lock)
    assert answer.status == 0
    assert answer.out.split("\n\n")[-1] == (
        "Attestations, not checked here (`envcap verify --policy` does):\n"
        f"signature  {bob}  of another lock\n"
        f"rebuild    {bob}  differ on {platform}\n"
        f"signature  {alice}\n"
        "?                            Missing 'mediaType' in the bundle\n"
    )
    assert json.loads(signed.run("show", lock, "--json").out)["attestations"][0] == {
        "file": "other.json", "kind": "signature", "key": bob, "says": "of another lock",
    }  # fmt: skip


def test_what_is_shown_of_a_stranger_moves_no_terminal(signed: Flow, tmp_path: Path) -> None:
    folder = tmp_path / "lock" / "attestations"
    folder.mkdir()
    (folder / "evil\x1b[2J.json").write_text('{"mediaType": "\\u001b[31mred\\u202e"}')
    shown = signed.run("show", tmp_path / "lock").out
    held = signed.run("verify", tmp_path / "lock", "--policy", tmp_path / "policy.toml").out
    assert "Unexpected bundle of type" in shown
    assert "Unexpected bundle of type" in held
    assert not {"\x1b", "\u202e"} & set(shown + held)


def test_a_passphrase_comes_from_the_environment(signed: Flow, tmp_path: Path) -> None:
    secret = replace(signed, settings={"ENVCAP_KEY_PASSWORD": "secret"})
    answer = secret.run("sign", tmp_path / "lock", "--key", tmp_path / "bob.pem")
    assert answer.status == 0, answer
    assert "secret" not in answer.out + answer.err


def test_a_passphrase_is_asked_for_on_a_terminal(signed: Flow, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "envcap", "sign", str(tmp_path / "lock"), "--key", str(tmp_path / "bob.pem")]
    answer = b""
    terminal, inner = pty.openpty()
    done = subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
        cwd=tmp_path, env=signed.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(inner)
    while b"Passphrase of" not in answer:
        answer += os.read(terminal, 1000)
    os.write(terminal, b"secret\n")
    try:
        while part := os.read(terminal, 1000):
            answer += part
    except OSError:  # how Linux says that the other side of a terminal is gone
        pass
    os.close(terminal)
    assert done.wait(timeout=60) == 0, answer
    assert b"Signed. Next" in answer
    assert b"secret" not in answer


def test_a_private_key_that_others_can_read_is_warned_of(signed: Flow, tmp_path: Path) -> None:
    (tmp_path / "alice").chmod(0o644)
    answer = signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice")
    assert answer.status == 0
    assert answer.err.startswith(f"warning: Others can read the private key {tmp_path}/alice: `chmod 600` it\n")


def case(*arguments: object, prepare: Callable[[Path], object] = lambda _folder: None) -> Callable[[Path], Arguments]:
    def made(folder: Path) -> Arguments:
        prepare(folder)
        return [str(word).replace("HERE", str(folder)) for word in arguments]

    return made


def touched(folder: Path) -> None:
    with (folder / "lock" / "envcap.lock").open("a") as file:
        file.write("# my note\n")


def expecting_nothing(folder: Path) -> None:
    opened = open_lock(folder / "lock")
    rewrite_lock(opened, replace(opened.lockfile, expected=()))


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


SIGN = ("sign", "HERE/lock", "--key")
VERIFY = ("verify", "HERE/lock", "--policy")
ATTEST = ("rebuild", "HERE/lock", "--attest")
NEEDS_FILE = policy_text(SIGNED, ALICE).replace(f'key = "{ALICE.public.line}"', 'file = "gone.pub"')
REFUSALS: dict[str, tuple[Callable[[Path], Arguments], int, str]] = {
    "no key named": (case("sign", "HERE/lock"), 2, r"Missing option '--key'"),
    "missing key": (case(*SIGN, "HERE/gone"), 1, r"/gone can't be read: No such file"),
    "key is a folder": (case(*SIGN, "HERE/lock"), 1, r"/lock is no regular file"),
    "key is a fifo": (
        case(*SIGN, "HERE/fifo", prepare=lambda folder: os.mkfifo(folder / "fifo")), 1, r"/fifo is no regular file",
    ),
    "key is endless": (case(*SIGN, "/dev/zero"), 1, r"/dev/zero is no regular file"),
    "key is long": (
        case(*SIGN, "HERE/long", prepare=write("long", "x" * 70_000)), 1, r"/long is too long \(at most 65536 bytes\)",
    ),
    "key is public": (
        case(*SIGN, "HERE/a.pub", prepare=write("a.pub", ALICE.public.line)), 1, r"/a.pub holds no private key",
    ),
    "no passphrase": (case(*SIGN, "HERE/bob.pem"), 1, r"/bob.pem is encrypted"),
    "edited lock": (case(*SIGN, "HERE/alice", prepare=touched), 1, r"is not laid out as envcap writes it"),
    "missing lock": (case("sign", "HERE/gone", "--key", "HERE/alice"), 1, r"gone can't be read"),
    "place is taken": (
        case(*SIGN, "HERE/alice", prepare=write("lock/attestations", "")), 1, r"can't be written: File exists",
    ),
    "nothing to verify": (case("verify", "HERE/lock"), 2, r"Nothing to verify: name an IMAGE"),
    "missing policy": (case(*VERIFY, "HERE/gone.toml"), 1, r"gone.toml can't be read: No such file"),
    "policy is a folder": (case(*VERIFY, "HERE/lock"), 1, r"/lock is no regular file"),
    "empty policy": (
        case(*VERIFY, "HERE/p.toml", prepare=write("p.toml", "")), 1, r"p.toml: Missing 'policy-version' in the policy",
    ),
    "misspelt policy": (
        case(*VERIFY, "HERE/p.toml", prepare=write("p.toml", policy_text("[require.signatur]\nthreshold = 1", ALICE))),
        1, r"p.toml: Unknown 'signatur' in the policy's requirements",
    ),
    "missing key file": (
        case(*VERIFY, "HERE/p.toml", prepare=write("p.toml", NEEDS_FILE)), 1, r"gone.pub can't be read: No such file",
    ),
    "attest without a key": (case(*ATTEST), 2, r"`--attest` and `--key KEY` go together"),
    "key without attest": (case("rebuild", "HERE/lock", "--key", "HERE/alice"), 2, r"go together"),
    "attest what is recorded": (
        case(*ATTEST, "--key", "HERE/alice", "--record"), 2, r"`--attest` says whether the image is the expected one",
    ),
    "attest against nothing": (
        case(*ATTEST, "--key", "HERE/alice", prepare=expecting_nothing), 2, r"expects no image on linux/",
    ),
    "attest without a passphrase": (case(*ATTEST, "--key", "HERE/bob.pem"), 1, r"/bob.pem is encrypted"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_bad_input_gets_one_line_and_changes_nothing(name: str, signed: Flow, tmp_path: Path) -> None:
    make, status, message = REFUSALS[name]
    arguments = make(tmp_path)
    before = state(tmp_path)
    check_refusal(signed.run(*arguments), status, message)
    assert state(tmp_path) == before


def test_a_strange_file_among_attestations_passes_nothing(signed: Flow, tmp_path: Path) -> None:
    signed.run("sign", tmp_path / "lock", "--key", tmp_path / "alice")
    (tmp_path / "lock" / "attestations" / "a.json").symlink_to("/etc/passwd")
    answer = signed.run("verify", tmp_path / "lock", "--policy", tmp_path / "policy.toml")
    check_refusal(answer, 1, r"a.json can't be read: Too many levels of symbolic links")


def test_another_snapshot_leaves_what_was_said(flow: Flow, tmp_path: Path) -> None:
    put(tmp_path / "alice", openssh(ed25519_key("alice")))
    flow.snapshot()
    assert flow.run("sign", flow.lock, "--key", tmp_path / "alice").status == 0
    assert flow.snapshot().status == 0
    (tmp_path / "policy.toml").write_text(policy_text(SIGNED, ALICE))
    assert flow.run("verify", flow.lock, "--policy", tmp_path / "policy.toml").status == 0
