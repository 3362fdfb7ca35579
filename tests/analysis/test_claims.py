from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from terminator import analysis
from terminator.analysis.claims import main
from terminator.analysis.features import features_path
from terminator.analysis.figures.claims import claims_figure
from terminator.analysis.findings import NO_RESULTS, Claim, Expectation, Finding, has_ablation, judge, read_claims
from terminator.config import shipped
from terminator.errors import UserError
from terminator.planning.ablation import AblationConfig, variants
from tests.analysis.ledgers import Invented, Row

CLEAR = Invented(
    rows=[
        Row("full"),
        Row("no_local", {"model.branches.local": False}, -0.05),
        Row("no_gated", {"model.branches.gated": False}, 0.05),
        Row("no_si_glu", {"model.branches.si_glu": False}, 0.0),
    ],
    accuracy=0.9,
    seeds=range(5),
    epochs=4,
)


SOONER = Claim("it does", "branches", ("no_local",), Expectation.worse, "convergence_epochs")


def exit_code(*arguments: str) -> object:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    return exit_.value.code


def finding(root: Path, expect: Expectation, *variants: str, ablation: str = "branches") -> Finding:
    return judge(Claim("it does", ablation, variants, expect), root, "digits").finding


def test_findings(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    assert finding(tmp_path, Expectation.worse, "no_local") is Finding.supported
    assert finding(tmp_path, Expectation.worse, "no_gated") is Finding.contradicted
    assert finding(tmp_path, Expectation.worse, "no_si_glu") is Finding.contradicted
    assert finding(tmp_path, Expectation.worse, "no_local", "no_gated") is Finding.contradicted
    assert finding(tmp_path, Expectation.not_better, "no_local", "no_si_glu") is Finding.supported
    assert finding(tmp_path, Expectation.not_better, "no_gated") is Finding.contradicted
    assert finding(tmp_path, Expectation.worse, "no_local", "no_global") is Finding.undecided


def test_undecided_with_few_seeds(tmp_path: Path) -> None:
    replace(CLEAR, seeds=[0, 1], spread=0.02).write(tmp_path)
    assert finding(tmp_path, Expectation.worse, "no_si_glu") is Finding.undecided


def test_undecided_without_ablation_or_results(tmp_path: Path) -> None:
    claim = Claim("it does", "entanglement", ("spooky",), Expectation.worse)
    (evidence,) = judge(claim, tmp_path, "digits").evidence
    assert (evidence.finding, evidence.note) == (Finding.undecided, "there is no ablation entanglement yet")
    (evidence,) = judge(replace(claim, ablation="gating"), tmp_path, "digits").evidence
    assert evidence.note == NO_RESULTS
    CLEAR.write(tmp_path)
    judged = judge(replace(claim, ablation="branches"), tmp_path, "digits")
    assert judged.finding is Finding.undecided


def test_zero_mean_is_read_off_the_features(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    assert finding(tmp_path, Expectation.zero_mean, "full") is Finding.undecided
    runs = analysis.load(tmp_path).runs
    key = str(runs.loc[runs["variant"] == "full", "key"].iloc[0])
    for mean, expected in ((0.05, Finding.supported), (0.3, Finding.contradicted)):
        arrays = {"image": np.zeros((1, 2, 2)), "mean": np.array([0.0, mean]), "std": np.array([1.0, 1.0])}
        np.savez(features_path(tmp_path, key), allow_pickle=False, **arrays, facts=np.array(json.dumps({"key": key})))
        assert finding(tmp_path, Expectation.zero_mean, "full") is expected
    features_path(tmp_path, key).write_bytes(b"PK half a file")
    with pytest.raises(UserError, match=f"python -m terminator.inspect {key} writes it anew"):
        finding(tmp_path, Expectation.zero_mean, "full")


def test_convergence_is_counted_in_epochs(tmp_path: Path) -> None:
    CLEAR.write(tmp_path)
    results = analysis.load(tmp_path)
    run = results.runs.iloc[0]
    curve = results.epochs[results.epochs["key"] == run["key"]].set_index("epoch")["validation_accuracy"]
    assert run["convergence_epochs"] == min(epoch for epoch, value in curve.items() if value >= 0.95 * curve.max())


def test_one_or_two_epochs_are_too_short_to_tell_who_converges_sooner(tmp_path: Path) -> None:
    for number, epochs in enumerate((1, 2)):
        replace(CLEAR, epochs=epochs, typed=[f"training.epochs={epochs}"], created=float(number)).write(tmp_path)
        judged = judge(SOONER, tmp_path, "digits")
        assert judged.finding is Finding.undecided
        assert [each.note for each in judged.evidence] == ["the runs are too short: it takes 3 epochs to tell"]
        assert judged.settings == (f"training.epochs={epochs}",)
    CLEAR.write(tmp_path)
    assert judge(SOONER, tmp_path, "digits").evidence[0].n == 5


def test_runs_that_have_not_begun_are_not_called_short(tmp_path: Path) -> None:
    replace(CLEAR, pending=[(row.name, seed) for row in CLEAR.rows for seed in range(5)]).write(tmp_path)
    assert judge(SOONER, tmp_path, "digits").evidence[0].note == "no pair of runs with a result: pending"


def test_the_shipped_claims_are_held_against_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = read_claims(shipped("sweeps") / "claims.yaml")
    assert len({claim.text for claim in claims}) == len(claims) >= 8
    CLEAR.write(tmp_path)
    assert exit_code("--root", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "The slow neural loss helps" in out
    table = (tmp_path / "reports" / "claims" / "digits" / "claims.csv").read_text("utf-8").splitlines()
    assert len(table) == 1 + sum(len(claim.variants) for claim in claims)


def test_a_root_without_room_for_reports_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reports").write_text("a file", "utf-8")
    assert exit_code("--root", str(tmp_path)) == 2
    line = f"terminator: root={tmp_path}: cannot be written: {tmp_path / 'reports'} is no folder\n"
    assert capsys.readouterr() == ("", line)


def test_several_data_sets_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CLEAR.write(tmp_path)
    replace(CLEAR, dataset="sdigits", created=1.0).write(tmp_path)
    assert exit_code("--root", str(tmp_path), "--data", "digits", "sdigits", "pdigits") == 0
    assert "pdigits: branches, context, slow_loss" in " ".join(capsys.readouterr().out.split())
    folder = tmp_path / "reports" / "claims" / "digits+sdigits+pdigits"
    rows = pd.read_csv(folder / "claims.csv").set_index(["data", "ablation", "variant"])["finding"]
    assert rows["sdigits", "branches", "no_local"] == "supported"
    assert rows["pdigits", "branches", "no_local"] == "undecided"
    assert (folder / "claims.pdf").stat().st_size > 1000
    claims = [Claim("it does", "branches", ("no_local", "no_gated"), Expectation.worse)]
    figure = claims_figure({each: [judge(claims[0], tmp_path, each)] for each in ("digits", "pdigits")})
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words[:8] == ["digits", "pdigits", "it does", "contradicted", "undecided", "no_local", "−5.00 (5)", "–"]


def test_run_hands_overrides_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "claims.yaml").write_text("- {claim: x, ablation: slow_loss, variants: ['off'], expect: worse}")
    given = ["--root", str(tmp_path), "--claims", str(tmp_path / "claims.yaml")]
    run = ["--run", "--data", "digits", "seed=0,1", "model.depth=1", "model.channels=[12]", "sweep.plan=true"]
    assert exit_code(*given, *run) == 0
    assert "10 runs; 0 done, 10 to run" in capfd.readouterr().out
    shutil.rmtree(tmp_path / "reports")
    assert exit_code(*given, "--run", "foo=1") == 2
    assert not (tmp_path / "reports").exists()
    assert exit_code(*given, "--run", "--data", "seed=0,1") == 2
    assert "--data: must be followed by a data set's name" in capfd.readouterr().err
    assert exit_code(*given, "--data", "digits", "mist") == 2
    assert "data=mist: no such data set; did you mean mnist? choose from cifar10, " in capfd.readouterr().err
    assert exit_code(*given, "seed=0,1") == 2
    assert "seed=0,1: overrides are for the runs of --run" in capfd.readouterr().err


def test_the_shipped_claims_name_variants_that_there_are() -> None:
    for claim in read_claims(shipped("sweeps") / "claims.yaml"):
        assert has_ablation(claim.ablation)
        plain = yaml.safe_load((shipped("sweeps") / "ablation" / f"{claim.ablation}.yaml").read_text("utf-8"))
        twin = f"@{plain.pop('match', '')}"
        planned = {variant.name for variant in variants(AblationConfig(**plain), claim.ablation)}
        assert {variant.removesuffix(twin) for variant in claim.variants} <= planned


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claim: x", "must be a list of claims"),
        ("- claim: x", "claim 1: must have the keys claim, ablation, variants, expect"),
        (
            "- {claim: x, ablation: a, variants: [v], expect: worse, if: y}",
            "claim 1: if: no such key; choose from claim",
        ),
        ("- {claim: x, ablation: a, variants: v, expect: worse}", "variants=v: must be a list of variants' names"),
        (
            "- {claim: x, ablation: a, variants: [v], expect: best}",
            "expect=best: choose from worse, not_better",
        ),
    ],
)
def test_what_is_no_claim_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=message):
        read_claims(path)
