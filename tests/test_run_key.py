"""What changes a run's key, and what does not."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from terminator import run_key as module
from terminator.config import Device, MachineConfig, OptimizerConfig, RunConfig, SourceSeeds
from terminator.data.config import DataConfig, Mnist1dConfig, PixelOrder
from terminator.ledger import digest
from terminator.model.networks.custom import CustomConfig
from terminator.model.networks.resnet import ResNetConfig
from terminator.run_key import code_hash, run_key, source_files
from terminator.text import done_already

FOLDERS = ("model", "data", "training", "ledger", "tracking", "analysis")
CACHES = (module._hash, module._closure, module._is_installed, module._find)


@dataclass
class Place:
    """A copy of the package, and a user's folder with a network and images of his own."""

    package: Path
    home: Path
    config: RunConfig = field(default_factory=RunConfig)
    edited: dict[Path, str | None] = field(default_factory=dict)  # files, with what stood there
    keys: dict[str, str] = field(default_factory=dict)  # of configurations, before any file is edited

    def before(self) -> str:
        """The key of `config` while no file is edited."""
        name = str(self.config)
        if name not in self.keys:
            self.keys[name] = run_key(self.config)
        return self.keys[name]

    def key(self) -> str:
        """Of `config` now."""
        return run_key(self.config)

    def write(self, path: str, text: str) -> None:
        """Replace or make a file of the package, or of the user's folder."""
        file = self.package.parent / path
        self.edited.setdefault(file, file.read_text("utf-8") if file.exists() else None)
        file.write_text(text, "utf-8")
        forget()

    def append(self, path: str, text: str) -> None:
        """Add to such a file, or make it."""
        file = self.package.parent / path
        self.write(path, (file.read_text("utf-8") if file.exists() else "") + text)

    def change(self, **fields: Any) -> None:
        """Other fields of the run's configuration."""
        self.config = replace(self.config, **fields)

    def restore(self) -> None:
        """As it was made."""
        for file, text in self.edited.items():
            if text is None:
                file.unlink()
            else:
                file.write_text(text, "utf-8")
        if self.edited:
            forget()
        self.edited, self.config = {}, RunConfig()


def forget() -> None:
    """Have the files looked for anew."""
    for cached in CACHES:
        cached.cache_clear()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Made once, as copying and reading all files takes longer than the tests."""
    folder = tmp_path_factory.mktemp("place")
    package, home = folder / "terminator", folder / "home"
    for name in FOLDERS:
        shutil.copytree(module.PACKAGE / name, package / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in module.PACKAGE.glob("*.py"):
        shutil.copy(file, package)
    (home / "nets" / "parts").mkdir(parents=True)
    (home / "nets" / "__init__.py").write_text("")
    (home / "nets" / "mine.py").write_text("import torch\nimport width\ndef build():\n    from .parts import deep\n")
    (home / "nets" / "parts" / "deep.py").write_text("depth = 3\n")
    (home / "width.py").write_text("width = 8\n")
    parse = module._read.__wrapped__
    parsed = functools.cache(lambda path, content: parse(path))  # one file is edited at a time, of some thirty
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_read", lambda path: parsed(path, path.read_bytes()))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(module, "PACKAGE", package)
        patch.syspath_prepend(home)
        forget()
        yield Place(package, home)
    forget()


@pytest.fixture
def place(made: Place) -> Iterator[Place]:
    yield made
    made.restore()


def edit(path: str, text: str = "\nedited = 1\n") -> Callable[[Place], None]:
    return lambda place: place.append(path, text)


def with_fields(**fields: Any) -> Callable[[Place], None]:
    return lambda place: place.change(**fields)


def reworded(place: Place) -> None:
    path = "terminator/training/optimizer.py"
    code = (place.package.parent / path).read_text("utf-8")
    code = code[code.index('"""', 3) + 3 :].replace("\n\n\n", "\n\n\n# A comment.\n\n")
    place.write(path, f'"""Other words."""{code}')


SAME, OTHER = True, False


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(lambda place: None, SAME, id="nothing"),
        pytest.param(edit("terminator/model/networks/convmixer.py"), SAME, id="a new network"),
        pytest.param(edit("terminator/model/networks/resnet.py"), SAME, id="another network"),
        pytest.param(edit("terminator/progress.py"), SAME, id="the progress bar"),
        pytest.param(edit("terminator/analysis/figures/style.py"), SAME, id="a figure"),
        pytest.param(edit("terminator/analysis/tables/table.py"), SAME, id="a table"),
        pytest.param(edit("terminator/ledger/files.py"), SAME, id="the ledger"),
        pytest.param(edit("terminator/tracking/sync.py"), SAME, id="tracking"),
        pytest.param(edit("terminator/config.py"), SAME, id="what could be configured"),
        pytest.param(edit("terminator/data/hub.py"), SAME, id="another data format"),
        pytest.param(edit("terminator/training/optimizer.py", "\n# A comment.\n"), SAME, id="a comment"),
        pytest.param(reworded, SAME, id="a docstring and blank lines"),
        pytest.param(edit("terminator/training/optimizer.py"), OTHER, id="the optimizer"),
        pytest.param(edit("terminator/training/loop.py"), OTHER, id="the loop"),
        pytest.param(edit("terminator/model/branches.py"), OTHER, id="a branch of the block"),
        pytest.param(edit("terminator/model/networks/terminator.py"), OTHER, id="the network"),
        pytest.param(edit("terminator/model/kernels.py"), OTHER, id="the kernels"),
        pytest.param(edit("terminator/model/build.py"), OTHER, id="how networks are built"),
        pytest.param(edit("terminator/data/digits.py"), OTHER, id="its data format"),
        pytest.param(with_fields(seed=1), OTHER, id="the seed"),
        pytest.param(with_fields(seed_of=SourceSeeds(split=None)), OTHER, id="what the seed draws"),
        pytest.param(with_fields(optimizer=OptimizerConfig(lr=0.5)), OTHER, id="the learning rate"),
        pytest.param(with_fields(data=DataConfig(sequence=PixelOrder.rows)), OTHER, id="pixels as a sequence"),
        pytest.param(with_fields(data=DataConfig(name="other")), OTHER, id="the name in tables"),
        pytest.param(with_fields(machine=MachineConfig(threads=2)), OTHER, id="threads"),
        pytest.param(with_fields(machine=MachineConfig(device=Device.cuda)), SAME, id="the device"),
    ],
)  # fmt: skip
def test_a_terminator_on_digits(place: Place, change: Callable[[Place], None], same: bool) -> None:
    before = place.before()
    change(place)
    assert (place.key() == before) is same


@pytest.mark.parametrize(
    ("path", "same"), [("branches.py", SAME), ("networks/terminator.py", SAME), ("networks/resnet.py", OTHER)]
)
def test_a_resnet_does_not_depend_on_the_terminators_files(place: Place, path: str, same: bool) -> None:
    place.change(model=ResNetConfig())
    before = place.before()
    place.append(f"terminator/model/{path}", "\nedited = 1\n")
    assert (place.key() == before) is same


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("home/nets/mine.py", OTHER),
        ("home/width.py", OTHER),  # imported by it
        ("home/nets/parts/deep.py", OTHER),  # imported inside a function, from a folder without __init__.py
        ("home/nets/__init__.py", OTHER),
        ("home/nets/beside.py", SAME),
        ("home/beside.py", SAME),
        ("terminator/training/optimizer.py", OTHER),
    ],
)
def test_a_network_of_the_users_own(place: Place, path: str, same: bool) -> None:
    place.change(model=CustomConfig(target="nets.mine:build"))
    before = place.before()
    files = source_files(place.config)
    assert files["nets.mine"] == place.home / "nets" / "mine.py"
    assert not any(name.startswith("torch") for name in files)
    place.append(path, "\nedited = 1\n")
    assert (place.key() == before) is same


NOISY = Mnist1dConfig(num_samples=200, test_images=20)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param(edit("terminator/data/mnist1d.py"), OTHER, id="its data format"),
        pytest.param(edit("terminator/data/pathfinder.py"), SAME, id="another data format"),
        pytest.param(with_fields(data=replace(NOISY, corr_noise_scale=0.5)), OTHER, id="noise"),
        pytest.param(with_fields(data=replace(NOISY, generator_seed=1)), OTHER, id="the generator's seed"),
        pytest.param(with_fields(data=replace(NOISY, test_images=30)), OTHER, id="the split"),
    ],
)
def test_generated_data(place: Place, change: Callable[[Place], None], same: bool) -> None:
    place.change(data=NOISY)
    before = place.before()
    change(place)
    assert (place.key() == before) is same


def images(folder: Path, *, first: int = 0, label: int = 0) -> DataConfig:
    """A set of two images a split; `first` byte of the first image, its `label`."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        cells = [{"bytes": bytes([number, 1, 2]), "path": None} for number in (first, 7)]
        pq.write_table(pa.table({"image": cells, "label": [label, 1]}), folder / f"{split}-0.parquet")
    return DataConfig(name="mine", format="hub", folder=str(folder))


def test_images_and_labels_count_and_not_their_folder(place: Place) -> None:
    here, there = place.home / "here", place.home / "there"

    def key(data: DataConfig) -> str:
        return run_key(RunConfig(data=data))

    original = key(images(here))
    assert key(images(there)) == original
    assert key(replace(images(there), repository="somebody/mine")) == original
    assert key(images(here, first=1)) != original
    assert key(images(here, label=1)) != original
    assert key(images(here)) == original


def test_a_key_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig(model=ResNetConfig())
    monkeypatch.setattr("terminator.data.load.fingerprint", lambda data: "f1")
    monkeypatch.setattr(module, "to_plain", lambda config, key_only: {"seed": 0} if key_only else {})
    assert run_key(config) == digest({"config": {"seed": 0}, "code": code_hash(config), "data": "f1"})


def test_when_it_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-1")
    time.tzset()
    try:
        assert done_already(0.0) == "done already, 1970-01-01 01:00"
    finally:
        monkeypatch.undo()
        time.tzset()
