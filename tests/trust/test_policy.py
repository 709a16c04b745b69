"""Policies: read whole or refused, never read as something weaker than what was meant."""

import pytest

from envcap.errors import TrustError
from envcap.trust.policy import MAX_POLICY, Policy, Requirement, read_policy
from tests.trust.people import ALICE, BOB, ed25519_key, no_files, policy, policy_text, public_pem

SIGNED = "[require.signature]\nthreshold = 1"


def read(text: str) -> Policy:
    return read_policy(text.encode(), read_key=no_files)


def test_a_policy_names_keys_and_what_they_must_say() -> None:
    both = frozenset({"alice", "bob"})
    require = '[require.signature]\nthreshold = 1\nkeys = ["alice"]\n\n[require.rebuild]\nthreshold = 2'
    assert policy(require, ALICE, BOB) == Policy(
        keys={"alice": ALICE.public, "bob": BOB.public},
        requirements=(
            Requirement(kind="rebuild", threshold=2, keys=both),
            Requirement(kind="signature", threshold=1, keys=frozenset({"alice"})),
        ),
    )


def test_a_key_may_stand_in_a_file_or_as_pem() -> None:
    files = {"keys/alice.pub": f"{ALICE.public.line} alice@example.org\n"}
    pem = public_pem(ed25519_key("carol"))
    text = f"""policy-version = "1.0"
[[keys]]
name = "alice"
file = "keys/alice.pub"
[[keys]]
name = "carol"
key = '''
{pem}'''
{SIGNED}
"""
    found = read_policy(text.encode(), read_key=files.__getitem__)
    assert found.keys["alice"] == ALICE.public
    assert set(found.keys) == {"alice", "carol"}


PLAIN = policy_text(SIGNED, ALICE, BOB)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (PLAIN, "", "Missing 'policy-version' in the policy"),
        (PLAIN, "not = [toml", "The policy is not valid TOML"),
        (PLAIN, "x" * (MAX_POLICY + 1), "The policy is too long"),
        (PLAIN, "a = " + "[" * 50_000, "nested too deeply|not valid TOML"),
        (PLAIN, ".".join("a" * 1000) + " = 1", "too many dots"),
        ('"1.0"', '"2.0"', r"Unexpected policy-version '2.0' \(expected '1.0'\)"),
        ('"1.0"', "1.0", "Unexpected float"),
        ("[require.signature]", "[requires.signature]", "Unknown 'requires' in the policy"),
        ("[require.signature]", "[require.signatures]", "Unknown 'signatures' in the policy's requirements"),
        (SIGNED, "[require]", "The policy requires nothing"),
        (SIGNED, "", "Missing 'require' in the policy"),
        (SIGNED, "require = []", "Unexpected list|Unknown 'require' in the key"),
        ("threshold = 1", "", "Missing 'threshold'"),
        ("threshold = 1", "treshold = 1", "Unknown 'treshold'"),
        ("threshold = 1", "threshold = 0", r"Unexpected threshold 0 .* \(expected 1 to 2, its keys\)"),
        ("threshold = 1", "threshold = -1", "Unexpected threshold -1"),
        ("threshold = 1", "threshold = 3", "Unexpected threshold 3"),
        ("threshold = 1", "threshold = true", "Unexpected bool"),
        ("threshold = 1", 'threshold = "1"', "Unexpected str"),
        ("threshold = 1", "threshold = 1\nkeys = []", r"Unexpected threshold 1 .* \(expected 1 to 0"),
        ("threshold = 1", 'threshold = 1\nkeys = ["mallory"]', "Unknown key 'mallory'"),
        ("threshold = 1", 'threshold = 2\nkeys = ["bob", "bob"]', "A key is there twice"),
        ("threshold = 1", 'threshold = 1\nkeys = "bob"', "Unexpected str"),
        ("threshold = 1", "threshold = 1\nkeys = [1]", "Unexpected int"),
        ('name = "bob"', 'name = "alice"', "two keys of the name 'alice'"),
        ('name = "bob"', 'name = ""', "Unexpected name"),
        ('name = "bob"', r'name = "bo\u001bb"', "Unexpected name"),
        ('name = "bob"', "", "Missing 'name'"),
        ('name = "bob"', 'name = "bob"\ncolour = 1', "Unknown 'colour' in the key of the policy"),
        (BOB.public.line, ALICE.public.line, r"The key 'bob' of the policy is the key of 'alice'"),
        (BOB.public.line, f"{ALICE.public.line} another comment", r"is the key of 'alice'"),
        (BOB.public.line, "ssh-ed25519 AAAA", "The key 'bob' of the policy is no public key"),
        (f'key = "{BOB.public.line}"', "", "needs one of `key` and `file`"),
        (f'key = "{BOB.public.line}"', f'key = "{BOB.public.line}"\nfile = "x"', "needs one of `key` and `file`"),
        (f'key = "{BOB.public.line}"', "key = 1", "Unexpected int"),
        (f'key = "{BOB.public.line}"', "file = 1", "Unexpected int"),
    ],
)
def test_a_doubtful_policy_is_refused(old: str, new: str, message: str) -> None:
    assert old in PLAIN
    with pytest.raises(TrustError, match=message):
        read(PLAIN.replace(old, new))


def test_a_policy_without_keys_is_refused() -> None:
    with pytest.raises(TrustError, match="Missing 'keys'"):
        read(policy_text(SIGNED))
    with pytest.raises(TrustError, match=r"Unexpected number of keys in the policy \(0"):
        read(f'policy-version = "1.0"\nkeys = []\n{SIGNED}')


def test_a_policy_that_is_no_text_is_refused() -> None:
    with pytest.raises(TrustError, match="not valid TOML"):
        read_policy(b"\xff", read_key=no_files)


def test_a_policy_of_many_tables_is_refused_in_no_time() -> None:
    rows = "".join(f"[[keys]]\nname = '{number}'\n" for number in range(8000))
    with pytest.raises(TrustError, match=r"Unexpected number of keys in the policy \(8000"):
        read(f'policy-version = "1.0"\n{rows}{SIGNED}')
