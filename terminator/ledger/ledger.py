"""The root folder: all runs and sweeps in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from terminator.errors import UserError
from terminator.ledger import files
from terminator.ledger.key import run_key
from terminator.ledger.origin import Provenance
from terminator.ledger.run import Run
from terminator.ledger.sweep import Sweep


def default_root(given: str | None = None) -> Path:
    """The output root: what was given, else $TERMINATOR_ROOT, else ./outputs. Absolute."""
    return Path(given or os.environ.get("TERMINATOR_ROOT") or "outputs").expanduser().absolute()


class Ledger:
    """The runs and sweeps under `root`. Folders are made when something is written."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    def freeze(self, config: dict[str, Any], *, key_config: dict[str, Any], provenance: Provenance) -> Run:
        """The run of `config` (`to_plain(config)`), frozen unless it is already. An intact spec.json never changes.

        `key_config`: `to_plain(config, key_only=True)`. Raises UserError if the root can't be written.
        """
        key = run_key(key_config, provenance.code.hash)
        run = self.run(key)
        if run.frozen():
            return run
        plain = {
            "schema": files.SCHEMA,
            "key": key,
            "config": config,
            "code": asdict(provenance.code),
            "environment": provenance.environment,
            "created": time.time(),
        }
        self._folder(run.folder)
        if provenance.diff:
            files.write(run.folder / "diff.patch", provenance.diff)
        files.write_once(run.folder / "spec.json", files.dumps(plain))
        return run

    def run(self, key: str) -> Run:
        """The run of that key, frozen or not."""
        return Run(self.root / "runs" / key)

    def runs(self) -> Iterator[Run]:
        """Every run there is, by key."""
        return (Run(folder) for folder in _folders(self.root / "runs"))

    def write_sweep(self, sweep: Sweep) -> Path:
        """Write the plan, over one of the same id, which it continues: it keeps the time of its first call.

        Returns the file. Raises UserError if the root can't be written.
        """
        path = self._folder(self.sweep_folder(sweep)) / "sweep.json"
        if (before := files.read(path, Sweep.parse)) is not None:
            sweep = replace(sweep, created=before.created, called=sweep.last_called)
        files.write(path, files.dumps(sweep.plain()))
        return path

    def sweep_folder(self, sweep: Sweep) -> Path:
        """Where the sweep's own files are."""
        return self.root / "sweeps" / sweep.id

    def sweeps(self) -> list[Sweep]:
        """Every sweep, the last called first."""
        read = (files.read(folder / "sweep.json", Sweep.parse) for folder in _folders(self.root / "sweeps"))
        return sorted((sweep for sweep in read if sweep is not None), key=lambda sweep: -sweep.last_called)

    def sweep(self, word: str) -> Sweep:
        """The sweep of that id, else the newest with an ablation of that name, else the one whose id begins so.

        Raises UserError, listing the sweeps, where `word` means none or several.
        """
        sweeps = self.sweeps()
        by_id = [sweep for sweep in sweeps if sweep.id == word]
        by_ablation = [sweep for sweep in sweeps if any(ablation.name == word for ablation in sweep.ablations)]
        if by_id or by_ablation:
            return (by_id or by_ablation)[0]
        by_prefix = [sweep for sweep in sweeps if sweep.id.startswith(word)]
        if len(by_prefix) == 1:
            return by_prefix[0]
        choices = ", ".join(sweep.id for sweep in by_prefix or sweeps) or "none"
        rule = "means several sweeps" if by_prefix else "no such sweep"
        raise UserError(f"sweep={word}: {rule} in {self.root}; there are: {choices}")

    def _folder(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(0, "Permission denied")
        except OSError as error:
            raise UserError(f"root={self.root}: cannot be written ({error.strerror})") from None
        return folder


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
