"""`envcap history`: parse, list what was published, and say who vouches for it: checked by a policy's keys, or not."""

import json
from pathlib import Path

from envcap.cli.machine import this_machine
from envcap.cli.registries import open_registry
from envcap.cli.talk import Talk, print_data, visible_lines
from envcap.cli.trust import load_policy
from envcap.errors import RegistryError
from envcap.lockfile.document import environment_digest
from envcap.registry.reference import Reference
from envcap.render import columns, counted
from envcap.sharing.artifact import Claim
from envcap.sharing.history import Entry, Said, list_history
from envcap.trust.claims import MATCH
from envcap.trust.judge import Finding, Judgement, judge
from envcap.trust.policy import Policy

_SHORT = 16


def history_command(text: str, *, policy: Path | None, plain_http: bool, as_json: bool) -> None:
    """List what was published.

    Raises:
        EnvcapError: The reference, the policy or the registry's answers can't be read.
    """
    talk = Talk()
    reference = Reference.parse(text)
    trusted = load_policy(policy) if policy else None
    with (
        open_registry(reference.host, this_machine(store=None), plain_http=plain_http) as connection,
        talk.step("Reading") as step,
    ):
        entries = list_history(connection, reference, progress=step)
    judged = [_judge(trusted, entry) for entry in entries]
    rows = list(zip(entries, judged, strict=True))
    if as_json:
        print_data(json.dumps({"repository": reference.name, "entries": [_as_json(*row) for row in rows]}))
        return
    if not entries:
        raise RegistryError(
            f"{reference.host} has nothing in {reference.repository}", hint="publish to it with `envcap publish`"
        )
    print_data(visible_lines(f"{reference.name}\n" + "\n".join(_entry_text(*row) for row in rows)))
    if trusted is None and any(entry.said for entry in entries):
        talk.say("Signatures are not checked: anybody who may push here can write them (`--policy FILE` checks them)")


def _judge(policy: Policy | None, entry: Entry) -> Judgement | None:
    if policy is None or entry.facts is None:
        return None
    return judge(policy, [row.attestation for row in entry.said], entry.facts)


def _entry_text(entry: Entry, judgement: Judgement | None) -> str:
    """Write what some tags name, and what is said of it, below."""
    lines = [f"\n{', '.join(entry.tags) or ('@' + str(entry.root) if entry.root else '...')}"]
    if lock := entry.lock:
        rows = [
            ("image", str(lock.root.digest)) if lock.has_image else ("image", "none: the lock alone"),
            ("lock", str(lock.artifact.digest)),
            ("environment", f"{environment_digest(lock.lockfile)} ({lock.lockfile.name})"),
        ]
        lines += [f"  {name:13}{value}" for name, value in rows]
        agreeing = len({row.claim.key for row in entry.said if row.claim and _is_match(row.claim)})
        if agreeing and judgement is None:
            lines.append(f"  {'rebuilt':13}to the same image by {counted(agreeing, 'key')}, not checked")
    if entry.refusal:
        lines.append(f"  {entry.refusal}")
    if judgement is None:
        said = [_unchecked(row) for row in entry.said]
    else:
        said = [_checked(row, finding) for row, finding in zip(entry.said, judgement.findings, strict=True)]
        lines += [f"  {'policy':13}{text}: met" for text in judgement.met]
        lines += [f"  {'policy':13}{text}: unmet" for text in judgement.unmet]
    if said:
        lines.append(columns([("    " + row[0], *row[1:]) for row in said]))
    return "\n".join(lines)


def _is_match(claim: Claim) -> bool:
    return claim.rebuild is not None and claim.rebuild.level == MATCH


def _unchecked(row: Said) -> tuple[str, str, str]:
    if row.claim is None:
        return "refused", "", row.refusal
    return row.claim.kind, f"key {row.claim.key[:_SHORT]}", f"{_says(row)}(not checked)"


def _checked(row: Said, finding: Finding) -> tuple[str, str, str]:
    if finding.refusal:
        key = f"key {row.claim.key[:_SHORT]}" if row.claim else ""
        return "refused", key, finding.refusal
    return finding.kind, finding.key, f"{_says(row)}(checked)"


def _says(row: Said) -> str:
    rebuild = row.claim.rebuild if row.claim else None
    if rebuild is None:
        return ""
    got = "" if rebuild.level == MATCH else f", got {rebuild.got}"
    return f"{rebuild.level} on {rebuild.platform} with envcap {rebuild.envcap}{got} "


def _as_json(entry: Entry, judgement: Judgement | None) -> dict[str, object]:
    lock = entry.lock
    findings: list[Finding | None] = list(judgement.findings) if judgement else [None] * len(entry.said)
    return {
        "tags": list(entry.tags),
        "digest": str(entry.root) if entry.root else None,
        "image": str(lock.root.digest) if lock and lock.has_image else None,
        "lock": str(lock.artifact.digest) if lock else None,
        "environment": str(environment_digest(lock.lockfile)) if lock else None,
        "name": lock.lockfile.name if lock else None,
        "refusal": entry.refusal,
        "checked": judgement is not None,
        "met": list(judgement.met) if judgement else [],
        "unmet": list(judgement.unmet) if judgement else [],
        "attestations": [_said_table(row, finding) for row, finding in zip(entry.said, findings, strict=True)],
    }


def _said_table(row: Said, finding: Finding | None) -> dict[str, object]:
    claim = row.claim
    rebuild = claim.rebuild if claim else None
    return {
        "kind": claim.kind if claim else None,
        "key": claim.key if claim else None,
        "name": finding.key if finding else "",
        "platform": rebuild.platform if rebuild else "",
        "level": rebuild.level if rebuild else "",
        "refusal": (finding.refusal if finding else "") or row.refusal,
    }
