from __future__ import annotations

import pytest

from terminator.text import signed_percent


@pytest.mark.parametrize(
    ("share", "said"), [(-0.8156, "−82 %"), (0.05, "+5 %"), (0.0, "0 %"), (0.001, "0 %"), (2.0, "+200 %")]
)
def test_shares_have_a_sign(share: float, said: str) -> None:
    assert signed_percent(share) == said
