"""SURVIVES.md names a test for each case: every one of them exists."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_test_that_is_named_exists():
    text, file, named = (TESTS / "SURVIVES.md").read_text(encoding="utf-8"), None, 0
    for name in re.findall(r"`(test_[\w.:]+)`", text):
        where, _, function = name.rpartition("::") if "::" in name else ("", "", name)
        if name.endswith(".py"):
            where, function = name, ""
        file = TESTS / where if where else file
        assert file.is_file(), name
        if function:
            assert f"def {function}(" in file.read_text(encoding="utf-8"), f"{file.name}: {name}"
        named += 1
    assert named > 50
