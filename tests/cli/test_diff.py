"""What `envcap diff` says, and how it exits."""

import json
import shutil

from tests.cli.refusals import check_refusal
from tests.flow import Flow, Wheel, install_wheel


def test_a_lock_and_the_unchanged_environment_do_not_differ(flow: Flow) -> None:
    assert flow.snapshot().status == 0

    answer = flow.run("diff", flow.lock, flow.prefix)

    assert answer.status == 0, answer.err
    assert answer.out == "No difference: the same environment\n"


def test_what_changed_in_the_environment_is_told_with_status_3(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    (flow.site_packages / "beta.py").write_bytes(b"VALUE = 4\n")
    install_wheel(flow, Wheel(name="delta", version="4", files={"delta.py": b""}))

    answer = flow.run("diff", flow.lock, flow.prefix)

    site = flow.site_packages.relative_to(flow.prefix)
    assert "packages (1)\n  delta  4 added\n" in answer.out
    assert f"patched files (1)\n  beta: {site}/beta.py  edited " in answer.out
    assert " added\n" in answer.out
    assert answer.status == 3
    assert answer.err.endswith(" differ in 2 things that may matter\n")


def test_two_locks_are_compared_without_network_or_store(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    other = flow.root / "other"
    shutil.copytree(flow.lock.parent if flow.lock.is_file() else flow.lock, other)
    file = other / "envcap.lock"
    file.write_text(file.read_text(encoding="utf-8").replace('name = "', 'name = "other-', 1), encoding="utf-8")

    answer = flow.run("diff", flow.lock, other, "--json")

    assert answer.status == 0, answer.err
    table = json.loads(answer.out)
    assert table["same"] is True
    assert table["before"] == table["after"]
    assert [(row["topic"], row["name"], row["matters"]) for row in table["differences"]] == [
        ("cosmetic", "name", False)
    ]


def test_what_is_neither_lock_nor_environment_is_one_line(flow: Flow) -> None:
    assert flow.snapshot().status == 0
    check_refusal(flow.run("diff", flow.lock, flow.root / "nothing"), 1, r"nothing can't be read")
