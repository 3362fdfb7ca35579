"""The model against numbers computed with the author's release."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.checks import check_file

VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.safetensors"))


def test_there_are_golden_files() -> None:
    assert len(VECTORS) == 15


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_file(path: Path) -> None:
    assert [deviation for deviation in check_file(path) if not deviation.is_within] == []
