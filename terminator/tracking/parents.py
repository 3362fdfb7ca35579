"""A run in MLflow for each sweep: the parent of its training runs, with its report as artifacts."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from terminator.ledger import Ledger, RunState, Status, Sweep, files
from terminator.text import counted, file_name
from terminator.tracking.store import LONGEST_TAG, PARENT, Store, StoredRun, status_of

NOTE = "mlflow.note.content"
REPORT = "report.json"  # beside sweep.json
# Of its runs' statuses the first that there is becomes the sweep's.
WORST_FIRST = ("RUNNING", "SCHEDULED", "KILLED", "FAILED", "FINISHED")


class Report(NamedTuple):
    """A report's folder, and a hash of its page: another sweep's may come to stand there later."""

    folder: Path
    digest: str

    @property
    def page(self) -> Path:
        """The file that is written last."""
        return self.folder / "report.html"

    def is_there(self) -> bool:
        """Whether the folder still holds this report."""
        return self.page.exists() and _digest(self.page.read_bytes()) == self.digest


def record_report(root: Path, sweep: Sweep, page: Path) -> None:
    """Remember where the sweep's report is, for the next sync."""
    plain = {"page": str(page.absolute().relative_to(root.absolute())), "digest": _digest(page.read_bytes())}
    files.write(Ledger(root).sweep_folder(sweep) / REPORT, files.dumps(plain))


def reported(ledger: Ledger, sweep: Sweep) -> Report | None:
    """The sweep's newest report, None where there is none yet."""
    path = ledger.sweep_folder(sweep) / REPORT
    return files.read(path, lambda plain: Report((ledger.root / plain["page"]).parent, plain["digest"]))


def home(sweep: Sweep) -> str:
    """The experiment that the sweep's run is in: of its first ablation that is no tuning."""
    return next((each.name for each in sweep.ablations if not each.is_tuning), sweep.ablations[0].name)


def membership(sweep: Sweep) -> str:
    """The name of the tag that all of the sweep's runs have, those that belong to other sweeps as well included."""
    return f"sweep.{re.sub(r'[^-/. a-zA-Z0-9_]', '.', sweep.id)}"


def source_tags(sweep: Sweep) -> dict[str, str]:
    """What MLflow shows as a run's source: the command and the commit."""
    commit = {"mlflow.source.git.commit": sweep.code.commit} if sweep.code.commit else {}
    return {"mlflow.source.name": shlex.join(sweep.command)[:LONGEST_TAG], "mlflow.source.type": "LOCAL", **commit}


def create(store: Store, sweep: Sweep) -> StoredRun:
    """The sweep's run, made anew."""
    question = next((each.question for each in sweep.ablations if each.name == home(sweep)), "")
    tags = {**PARENT, "sweep": sweep.id, membership(sweep): "true", **source_tags(sweep)}
    return store.create(home(sweep), sweep.id, tags, question, int(1000 * sweep.created))


def is_current(ledger: Ledger, sweep: Sweep, states: Iterable[Status], mine: StoredRun) -> bool:
    """Whether there is nothing to write about the sweep itself, or the user has deleted its run."""
    report = reported(ledger, sweep)
    told = report is None or mine.tags.get("report") == report.digest or not report.is_there()
    tags = {**source_tags(sweep), "dataset": ", ".join(sweep.data)}
    return mine.deleted or (
        told and NOTE in mine.tags and tags.items() <= mine.tags.items() and mine.status == _status(states)
    )


def write(store: Store, ledger: Ledger, sweep: Sweep, states: Iterable[Status], mine: StoredRun) -> None:
    """Write the sweep's report, its description and how it stands."""
    statuses, report = list(states), reported(ledger, sweep)
    tags = {**source_tags(sweep), "dataset": ", ".join(sweep.data)}
    if report is not None and report.is_there() and mine.tags.get("report") != report.digest:
        store.replace_folder(mine.run_id, report.folder, "report")
        tags |= {"report": report.digest, NOTE: _note(sweep, mine.experiment_id, report)}
    elif NOTE not in mine.tags:
        tags[NOTE] = _note(sweep, mine.experiment_id, None)
    store.log(mine.run_id, [], tags)
    ended = max((each.updated for each in statuses if each.updated is not None), default=None)
    store.set_status(mine.run_id, _status(statuses), None if ended is None else int(1000 * ended))


def _status(states: Iterable[Status]) -> str:
    found = {"SCHEDULED" if each.state is RunState.pending else status_of(each) for each in states}
    return next((each for each in WORST_FIRST if each in found), "SCHEDULED")


def _note(sweep: Sweep, experiment_id: str, report: Report | None) -> str:
    """The description, as Markdown: the questions, how to find all runs, and the tables where they fit."""
    search = f'tags."{membership(sweep)}" = "true"'
    link = f"#/experiments/{experiment_id}?searchFilter={quote(search, safe='')}"
    asked = [f"**{each.name}**: {each.question}" for each in sweep.ablations if each.question]
    runs = (
        f"[All of its {counted(len(sweep.keys()), 'run')}]({link}), those that a newer sweep has as its children "
        f"included: `{search}`."
    )
    parts = [*asked, runs]
    if report is not None:
        parts.append("The report, `report/report.html`, its tables and figures are among the artifacts.")
        tables = (report.folder / "tables" / file_name(f"{each.name}.md") for each in sweep.ablations)
        parts += [table.read_text("utf-8") for table in tables if table.exists()]
    while len("\n\n".join(parts)) > LONGEST_TAG:
        parts.pop()
    return "\n\n".join(parts)


def _digest(page: bytes) -> str:
    return hashlib.sha256(page).hexdigest()[:16]
