"""What the features' export says is what the network computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from terminator.analysis.features import read_features
from terminator.config import Device, MachineConfig, RunConfig, TrainingConfig, to_plain
from terminator.data.load import load
from terminator.errors import UserError
from terminator.inspect import _runs as inspected
from terminator.inspect import export_features, main
from terminator.job import execute
from terminator.ledger import Ablation, Code, Ledger, Provenance, Run, Sweep, Variant
from terminator.model.build import build
from terminator.model.config import TerminatorConfig
from terminator.model.networks.terminator import Terminator
from terminator.run_key import code_hash
from terminator.training.checkpoint import load_checkpoint
from tests.ledger import examples

MODEL = TerminatorConfig(depth=2, channels=[12], local_kernels=[3], global_hidden=4, local_hidden=4, channel_hidden=4)
TRAINING = TrainingConfig(epochs=1, warmup_epochs=0.0, batch_size=600, evaluation_batch_size=360)
CONFIG = RunConfig(model=MODEL, training=TRAINING, machine=MachineConfig(device=Device.cpu, threads=1))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    ledger = Ledger(tmp_path_factory.mktemp("root"))
    origin = Provenance(Code(code_hash(CONFIG), None, False), "", {})
    run = ledger.freeze("0123456789abcdef", to_plain(CONFIG), origin)
    with pytest.raises(UserError, match="has no result yet"):
        export_features(run)
    assert execute(run) == 0
    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


def test_the_export_is_what_the_blocks_compute(run: Run) -> None:
    root = run.folder.parents[1]
    main([run.key[:6], "--root", str(root)])
    features = read_features(root, run.key)
    assert features is not None
    assert features.facts == {"key": run.key, "dataset": "digits", "slow_loss": "channel_sum"}

    data = load(CONFIG.data)
    network = build(MODEL, image_shape=(1, 8, 8), classes=10, generator=torch.Generator())
    assert isinstance(network, Terminator)
    network.load_state_dict(load_checkpoint(run.attempt_folder(1) / "checkpoint.pt")["state"]["best"]["weights"])
    with torch.no_grad():
        z = data.standardise(data.test.images)
        y, kernel = network.eval().blocks[0](z, [], network.generate_hyper_kernels()[0])
    assert features.image.tolist() == data.test.images[0].tolist()
    assert [maps.shape for maps in features.maps] == [(12, 8, 8)] * 2
    assert [each.shape for each in features.kernels] == [(1, 8, 8), (12, 8, 8)]
    np.testing.assert_allclose(features.maps[0], y[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.kernels[0], kernel[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.hyper_kernels[0], (z[0] * kernel)[0], rtol=1e-4, atol=1e-5)
    assert features.mean[0] == pytest.approx(float(y.double().mean()), rel=1e-4)
    assert features.std[0] == pytest.approx(float(y.double().std(unbiased=False)), rel=1e-4)


def test_a_sweep_is_inspected_by_its_id_and_by_its_ablation(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    ledger = Ledger(run.folder.parents[1])
    variants = [Variant("full", runs={0: run.key}), Variant("later", runs={0: "f" * 16})]
    ablation = Ablation("gating", "Why?", "full", "test_accuracy", True, 0.005, [0], variants)
    sweep = Sweep("gating-12345678", 1.0, ["python"], [], Code("c0de", None, False), [ablation], data=("digits",))
    ledger.write_sweep(sweep)
    for name in (sweep.id, "gating", "full/0"):
        main([name, "--root", str(ledger.root)])
        assert capsys.readouterr().out == f"{run.folder / 'features.npz'}\n"


def test_what_is_not_there_is_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["branches", "--root", str(tmp_path)])
    assert exit_.value.code == 2
    expected = "must be an ablation, a sweep, or a run by VARIANT/SEED or how its key begins"
    there = f"{expected}, with results in {tmp_path}; "
    assert capsys.readouterr().err == f"terminator: branches: {there}there are none\n"
    made = examples.sweep(Ledger(tmp_path), "gating")
    for name, meant in (("NOPE", ""), ("gatin_g", "did you mean gating? "), ("no_local", "did you mean no_local/1? ")):
        with pytest.raises(UserError) as refused:
            inspected(Ledger(tmp_path), name, None)
        assert str(refused.value) == f"{name}: {there}{meant}choose from gating, {made.id}"
