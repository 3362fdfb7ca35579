"""Makes sweeps/ (group `ablation`), slurm/ (group `cluster`) and the groups' schemas part of Hydra's search path."""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from terminator.config import shipped


class SuiteSearchPath(SearchPathPlugin):
    """Appends the suite's own folders, so a user's --config-dir comes first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in ("sweeps", "slurm"):
            search_path.append(provider="terminator", path=f"file://{shipped(folder)}")
        search_path.append(provider="terminator", path="schema://")
