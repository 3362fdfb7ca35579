from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from terminator.errors import UserError
from terminator.ledger import Decision, Interval, Look, LookPlan, Looks, Verdict
from tests.ledger.processes import together

PLAN = LookPlan((3, 5), (0.4, 0.6), reserve=0.2)
DECIDED = Decision(Verdict.worse, 1, (0, 1, 2), -0.1 - 0.2, Interval(-1 / 3, -0.1, 1 - 0.016), 1e-17 / 3, 1.0)
OPEN = Decision(Verdict.undecided, 2, (0, 1, 2, 4), 5e-324, None, None, 2 / 3)
FIRST = Look(1, (0, 1, 2), 0.016, True, {"a": DECIDED, "b": Decision(look=1)})
SECOND = Look(2, (0, 1, 2, 3, 4), 0.05 * 0.8 * 0.6, True, {"a": DECIDED, "b": OPEN})


@pytest.fixture
def looks(tmp_path: Path) -> Looks:
    """Of a question that nobody has looked at."""
    return Looks(tmp_path / "looks" / "some-01234567")


@pytest.fixture
def two(looks: Looks) -> Looks:
    """Of a question that was looked at twice."""
    looks.freeze(PLAN)
    assert [looks.record(look) for look in (FIRST, SECOND)] == [FIRST, SECOND]
    return looks


def test_there_is_nothing_before_the_first_look(looks: Looks) -> None:
    assert (looks.plan(), looks.made()) == (None, [])
    assert not looks.folder.exists()


def test_a_plan_is_frozen_once(looks: Looks) -> None:
    assert looks.freeze(PLAN) == PLAN
    assert looks.freeze(LookPlan()) == looks.plan() == PLAN


def test_looks_come_back_to_the_bit(two: Looks) -> None:
    assert two.made() == [FIRST, SECOND]
    assert two.made()[1].undecided == ("b",)
    assert [path.name for path in sorted(two.folder.iterdir())] == ["0001.json", "0002.json", "plan.json"]
    plain = json.loads((two.folder / "0001.json").read_text("utf-8"))
    assert plain["decisions"]["a"]["difference"] == -0.30000000000000004  # a float64 in all its digits


def test_the_looks_of_a_question_are_its_own(two: Looks) -> None:
    assert Looks(two.folder.parent / "some-fedcba98").made() == []


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("damage", ["", "{", '{"schema": 1, "number": 1}'])
def test_a_damaged_look_is_refused_as_often_as_it_is_read(two: Looks, number: int, damage: str) -> None:
    (two.folder / f"000{number}.json").write_text(damage)
    message = (
        f"{two.folder}: look {number} is missing or damaged, so what its tests have spent is not known: "
        "restore the file, or delete the folder to begin the question anew"
    )
    for _ in range(2):  # the damaged file is set aside by the first
        with pytest.raises(UserError, match=f"^{re.escape(message)}$"):
            two.made()
    with pytest.raises(UserError, match=f"look {number} is missing or damaged"):
        two.record(Look(3, tuple(range(8)), 0.001, False))
    (two.folder / "0003.json").unlink()
    two.record((FIRST, SECOND)[number - 1])  # restored
    assert two.made() == [FIRST, SECOND]


def test_a_look_that_is_missing_between_others_is_refused(two: Looks) -> None:
    (two.folder / "0001.json").unlink()
    with pytest.raises(UserError, match="look 1 is missing or damaged"):
        two.made()


def test_a_look_under_another_number_is_refused(two: Looks) -> None:
    (two.folder / "0002.json").write_text((two.folder / "0001.json").read_text())
    with pytest.raises(UserError, match="look 2 is missing or damaged"):
        two.made()


def test_a_damaged_plan_is_refused_with_its_looks(two: Looks) -> None:
    (two.folder / "plan.json").write_text("{")
    assert two.plan() is None
    with pytest.raises(UserError, match="missing or damaged"):
        two.made()


def test_the_first_to_record_a_look_is_believed(two: Looks) -> None:
    other = Look(2, (0, 1, 2, 3), 0.01, False)
    assert two.record(other) == SECOND
    assert two.made() == [FIRST, SECOND]


def test_of_many_writers_one_records_a_look_and_one_its_plan(looks: Looks) -> None:
    prepare = (
        "import os; from pathlib import Path; from terminator.ledger import Look, LookPlan, Looks\n"
        f"looks = Looks(Path({str(looks.folder)!r}))"
    )
    act = (
        "plan = looks.freeze(LookPlan((3 + os.getpid(),), (1.0,)))\n"
        "print(plan.seeds, looks.record(Look(1, (os.getpid(),), 0.01, True)).seeds)"
    )
    assert len(set(together(prepare, act, 4))) == 1
    assert len(looks.made()) == 1
