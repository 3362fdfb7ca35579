"""One golden file: its tensors by role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn


@dataclass(frozen=True)
class GoldenFile:
    """Tensors by the name behind `in.`, `param.`, …; `gradients` keep their `in.` or `param.`."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]

    @property
    def inputs(self) -> dict[str, Tensor]:
        return self._behind("in.")

    @property
    def parameters(self) -> dict[str, Tensor]:
        return self._behind("param.")

    @property
    def outputs(self) -> dict[str, Tensor]:
        return self._behind("out.")

    @property
    def probes(self) -> dict[str, Tensor]:
        return self._behind("probe.")

    @property
    def gradients(self) -> dict[str, Tensor]:
        return self._behind("grad.")

    def load_into(self, module: nn.Module) -> None:
        """Give `module` this file's parameters. Raises RuntimeError where a name or a shape differs."""
        module.double().load_state_dict(self.parameters)

    def _behind(self, prefix: str) -> dict[str, Tensor]:
        return {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}


def read_golden_file(path: Path) -> GoldenFile:
    """Raises safetensors' or the system's error where `path` cannot be read."""
    with safe_open(path, framework="pt") as file:
        return GoldenFile({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {})  # noqa: SIM118
