"""A network back from its run or from an exported file: what it predicts, and what is refused."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import terminator
from terminator import __main__ as command_line
from terminator.config import Device, Evaluation, MachineConfig, OptimizerConfig, RunConfig, TrainingConfig, to_plain
from terminator.data.config import DataConfig, FolderConfig, PixelOrder
from terminator.data.load import as_sequences, fingerprint
from terminator.data.load import load as load_data
from terminator.errors import UserError
from terminator.job import execute
from terminator.ledger import Code, Ledger, Provenance, Run, RunState
from terminator.loading import class_names
from terminator.model.config import TerminatorConfig
from terminator.model.networks.custom import CustomConfig
from terminator.run_key import code_hash
from terminator.trained import TrainedNetwork

MODEL = TerminatorConfig(depth=2, channels=[12], local_kernels=[3], global_hidden=4, local_hidden=4, channel_hidden=4)
TRAINING = TrainingConfig(epochs=2, warmup_epochs=0.0, batch_size=600, evaluation_batch_size=100)
OPTIMIZER = OptimizerConfig(lr=0.02)  # the first epoch is the better one
MACHINE = MachineConfig(device=Device.cpu, threads=1)
BATCH = RunConfig(model=MODEL, training=TRAINING, optimizer=OPTIMIZER, machine=MACHINE)
POPULATION = replace(BATCH, training=replace(TRAINING, evaluation=Evaluation.population))
NETS = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes):
        super().__init__(nn.Flatten(), nn.Linear(64, classes))
"""


def frozen(ledger: Ledger, key: str, config: RunConfig, code: str | None = None) -> Run:
    origin = Provenance(Code(code or code_hash(config), "1f2e", False), "", {"packages": {"torch": torch.__version__}})
    return ledger.freeze(key, to_plain(config), origin, fingerprint(config.data))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Runs 0123… (evaluated by batches) and 0456… (by the population)."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    ledger = Ledger(tmp_path_factory.mktemp("root"))
    for key, config in (("0123456789abcdef", BATCH), ("0456789abcdef012", POPULATION)):
        assert execute(frozen(ledger, key, config)) == 0
    yield ledger
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def by_batch(ledger: Ledger) -> TrainedNetwork:
    return load(ledger, "0123")


@pytest.fixture
def copy(ledger: Ledger, tmp_path: Path) -> Run:
    """Of the first run, to damage."""
    run = ledger.find_run("0123")
    return Run(Path(shutil.copytree(run.folder, tmp_path / "runs" / run.key)))


def load(ledger: Ledger, name: str, **options: Any) -> TrainedNetwork:
    network: TrainedNetwork = terminator.load(name, root=str(ledger.root), device="cpu", **options)
    return network


def correct(network: TrainedNetwork) -> torch.Tensor:
    test = load_data(network.config.data).test
    return network.predict(test.images) == test.labels


@pytest.mark.parametrize("key", ["0123", "0456"])
def test_the_test_images_are_classified_as_the_run_classified_them(ledger: Ledger, key: str, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    network = load(ledger, key)
    right = correct(network)
    assert torch.get_num_threads() == 2
    run = ledger.find_run(key)
    assert np.packbits(right.numpy()).tobytes() == run.test_correct()
    assert right.double().mean().item() == run.result().metrics["test_accuracy"] == network.metrics["test_accuracy"]
    assert 1 == run.result().metrics["best_epoch"] < run.result().metrics["epochs"]

    exported = terminator.load(network.save(tmp_path / "model.safetensors"), device="cpu")
    images = load_data(network.config.data).test.images
    assert torch.equal(exported(images), network(images))
    assert (exported.config, exported.key, exported.metrics) == (network.config, run.key, network.metrics)
    assert exported.classes == tuple("0123456789")
    assert not exported.training


def test_by_the_population_a_prediction_is_the_images_own(
    ledger: Ledger, by_batch: TrainedNetwork, tmp_path: Path
) -> None:
    images = load_data(BATCH.data).test.images[:20]
    by_population = load(ledger, "0123", evaluation="population")
    path = by_population.save(tmp_path / "model.safetensors")
    for network in (by_population, terminator.load(path, device="cpu")):
        together, alone = network(images), torch.cat([network(image) for image in images])
        assert torch.allclose(together, alone, atol=1e-4)
    with pytest.warns(UserWarning, match="1 image at once: standardised by their own statistics alone"):
        assert not torch.allclose(by_batch(images[0]), by_batch(images)[:1], atol=1e-4)
    with pytest.raises(UserError, match="evaluation=batch: exported with evaluation=population; export the run with"):
        terminator.load(path, evaluation="batch")


def test_statistics_move_with_the_network(ledger: Ledger) -> None:
    network = load(ledger, "0456").to("meta")
    assert {place.mean.device.type for place in network.places().values()} == {"meta"}


def test_kernels_are_those_of_the_network(by_batch: TrainedNetwork) -> None:
    network = by_batch
    assert [tuple(kernel.shape) for kernel in network.kernels()] == [(1, 8, 8), (12, 8, 8)]
    images = load_data(BATCH.data).test.images[:2]
    with torch.no_grad():
        assert torch.equal(network.kernels()[1], network.network(network.standardise(images)).kernels[1][0])


def test_raw_images_become_the_sequences_of_the_run(by_batch: TrainedNetwork) -> None:
    config = replace(BATCH, data=DataConfig(sequence=PixelOrder.permuted))

    class First(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
            return (pixels[:, 0, :10],)

    facts: dict[str, Any] = {"classes": "0123456789", "key": "k", "metrics": {}, "origin": {}}
    network = TrainedNetwork(
        First(), config, mean=by_batch.mean[:, :, 0], std=by_batch.std[:, :, 0], dtype=torch.uint8, **facts
    )
    images = load_data(BATCH.data).test.images[:20]
    sequences = as_sequences(images, PixelOrder.permuted)
    assert torch.equal(network(images), network(sequences))
    assert torch.equal(network(images.numpy()), network.standardise(sequences)[:, 0, :10])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "images of (3, 8, 8): must be (n, 1, 8, 8), as digits has them"),
        (
            torch.zeros(0, 1, 8, 8, dtype=torch.uint8),
            "images of (0, 1, 8, 8): must be (n, 1, 8, 8), as digits has them",
        ),
        (torch.zeros(3, 1, 8, 8), "images of float32: must be uint8, with the values that digits has"),
    ],
)
def test_other_images_are_refused(by_batch: TrainedNetwork, images: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError) as refused:
        by_batch.predict(images)
    assert str(refused.value) == message


def test_a_run_is_loaded_by_its_folder(copy: Run) -> None:
    assert terminator.load(copy.folder, device="cpu").key == copy.key


def test_classes_of_ones_own_images_have_their_folders_names(tmp_path: Path) -> None:
    for index, name in enumerate(("cat", "dog") * 4):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), index, dtype=np.uint8)).save(tmp_path / name / f"{index}.png")
    assert class_names(FolderConfig(folder=str(tmp_path))) == ["cat", "dog"]
    assert class_names(DataConfig()) == list("0123456789")


def no_result(run: Run) -> None:
    (run.folder / "result.json").unlink()


def no_checkpoint(run: Run) -> None:
    (run.attempt_folder(1) / "checkpoint.pt").unlink()


def damaged_checkpoint(run: Run) -> None:
    (run.attempt_folder(1) / "checkpoint.pt").write_bytes(pickle.dumps(print))


def older_checkpoint(run: Run) -> None:
    path = run.folder / "result.json"
    path.write_text(path.read_text().replace('"epochs": 2', '"epochs": 3'))


def other_data(run: Run) -> None:
    path = run.folder / "spec.json"
    path.write_text(re.sub('"data_fingerprint": ".', '"data_fingerprint": "x', path.read_text()))


def unknown_architecture(run: Run) -> None:
    path = run.folder / "spec.json"
    path.write_text(path.read_text().replace('"architecture": "terminator"', '"architecture": "mlp"'))


def older_configuration(run: Run) -> None:
    path = run.folder / "spec.json"
    path.write_text(path.read_text().replace('"depth"', '"layers"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_result, "has no result yet: pending, epoch 2 of 2"),
        (no_checkpoint, r"its weights were not kept: \S*attempts/0001 has no checkpoint"),
        (damaged_checkpoint, r"\S*checkpoint.pt cannot be read \(BadZipFile: File is not a zip file\)"),
        (older_checkpoint, r"its weights were not kept: .*checkpoint.pt is of epoch 2 of 3"),
        (other_data, "data.name=digits: holds other images than those it was trained on"),
        (unknown_architecture, "model.architecture=mlp: no such network; choose from .*"),
        (older_configuration, r"its configuration is of another version of the suite \(Key 'layers' not in .*\)"),
    ],
)
def test_what_a_run_lacks_is_said(copy: Run, damage: Callable[[Run], None], message: str) -> None:
    damage(copy)
    with pytest.raises(UserError, match=f"^run {copy.key}: {message}$"):
        terminator.load(copy.folder, device="cpu")


def test_an_attempt_that_had_only_the_test_left_has_its_weights_in_the_one_before(copy: Run) -> None:
    no_result(copy)
    copy.explain(1, RunState.preempted, None, "while it tested")  # type: ignore[arg-type]
    assert execute(copy) == 0
    assert (copy.result().attempt, copy.attempt_folder(2).joinpath("checkpoint.pt").exists()) == (2, False)
    right = correct(terminator.load(copy.folder, device="cpu"))
    assert np.packbits(right.numpy()).tobytes() == copy.test_correct()


def test_other_code_and_versions_are_told(copy: Run) -> None:
    path = copy.folder / "spec.json"
    plain = path.read_text().replace(code_hash(BATCH), "0" * 16).replace(f'"{torch.__version__}"', '"1.2.3"')
    path.write_text(plain)
    said = rf"run {copy.key}: was trained with other code or versions: code 0{{16}}, now {code_hash(BATCH)}; "
    with pytest.warns(UserWarning, match=rf"{said}commit 1f2e, now \w+; torch 1.2.3, now 2.*; predictions may differ"):
        terminator.load(copy.folder, device="cpu")
    path.write_text(plain.replace('"depth": 2', '"depth": 1'))
    with pytest.raises(
        UserError, match=r"its weights do not fit the network that this code builds \(code 0.*Unexpected"
    ):
        terminator.load(copy.folder, device="cpu")


def test_a_network_of_ones_own_is_imported_only_as_it_was_frozen_or_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_nets.py").write_text(NETS)
    monkeypatch.syspath_prepend(tmp_path)
    config = replace(BATCH, model=CustomConfig(target="own_nets:Net"))
    run = frozen(ledger := Ledger(tmp_path / "root"), "c0de", config)
    assert execute(run) == 0
    network = load(ledger, "c0de")
    assert np.packbits(correct(network).numpy()).tobytes() == run.test_correct()
    assert network.kernels() == []
    path = network.save(tmp_path / "own.safetensors")

    plain = (run.folder / "spec.json").read_text()
    (run.folder / "spec.json").write_text(plain.replace(code_hash(config), "0" * 16))
    monkeypatch.delitem(sys.modules, "own_nets")
    for name, who in (("c0de", "run c0de"), (str(path), str(path))):
        with pytest.raises(
            UserError, match=f"^{who}: its network own_nets:Net is imported only where its code is what"
        ):
            load(ledger, name)
    assert "own_nets" not in sys.modules
    assert torch.equal(
        *(each.state_dict()["mean"] for each in (load(ledger, str(path), target="own_nets:Net"), network))
    )
    with pytest.warns(UserWarning, match="code 0000000000000000, now"):
        load(ledger, "c0de", target="own_nets:Net")


def test_names_and_files_that_cannot_be_loaded(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(print))
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    for name, options, message in (
        ("0", {}, "run=0: means several runs; choose from 0123456789abcdef, 0456789abcdef012"),
        ("0123", {"evaluation": "mean"}, "evaluation=mean: choose from batch, population"),
        ("0123", {"target": "a:b"}, "target=a:b: run 0123456789abcdef is of the suite's own network terminator"),
        ("no.safetensors", {}, "no.safetensors: no such file"),
        (
            f"{tmp_path}/evil.safetensors",
            {},
            f"{tmp_path}/evil.safetensors: cannot be read as safetensors (Error while",
        ),
        (f"{tmp_path}/other.safetensors", {}, f"{tmp_path}/other.safetensors: holds no network of `terminator export`"),
    ):
        with pytest.raises(UserError) as refused:
            load(ledger, name, **options)
        assert str(refused.value).startswith(message)


def test_export_on_the_command_line(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.safetensors"

    def export(*words: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["terminator", "export", *words, "--root", str(ledger.root)])
        command_line.main()
        return capsys.readouterr()

    told = "terminator: run=0123: its key is 0123456789abcdef\n"
    assert export("0123", "--to", str(path)) == (f"{path}\n", told)
    assert terminator.load(path, device="cpu").key == "0123456789abcdef"
    for words, said in (
        (("0123", "--to", str(path)), f"terminator: {path}: exists already; choose another name\n"),
        (("0123", "--to", "model.pt"), "terminator: --to=model.pt: must be NAME.safetensors\n"),
        (
            ("0123", "--to", f"{path}.d/x.safetensors"),
            f"terminator: {path}.d/x.safetensors: there is no folder {path}.d\n",
        ),
        (("9", "--to", "x.safetensors"), "terminator: run=9: no such run; there are none in"),
    ):
        with pytest.raises(SystemExit) as exit_:
            export(*words)
        assert exit_.value.code == 2
        assert capsys.readouterr().err.startswith(said)


def test_importing_the_package_is_cheap() -> None:
    subprocess.run([sys.executable, "-c", "import sys, terminator; assert 'torch' not in sys.modules"], check=True)
    with pytest.raises(AttributeError, match="has no attribute 'lead'"):
        terminator.lead  # type: ignore[attr-defined]  # noqa: B018
