"""Names in figures: whole, and legible."""

from __future__ import annotations

import pytest

from terminator.analysis.figures.style import legend_above, new_figure, styled, wrapped


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("no_local", ["no_local"]),
        ("residual=true,previous=false", ["residual=true,", "previous=false"]),
        ("large_kernel_cnn@parameters", ["large_kernel_cnn", "@parameters"]),
        ("depth=3,width=2,slow_loss=off", ["depth=3,width=2,", "slow_loss=off"]),
        ("slow_network_residual=mixed,gate=glu", ["slow_network_residual=", "mixed,gate=glu"]),
        ("one long name, in words", ["one long name, in words"]),
        ("kernel_of_many_words_in_one_line", ["kernel_of_many_words_in_", "one_line"]),
        ("x" * 50, ["x" * 24, "x" * 24, "xx"]),
        ("costs $1, or $2", [r"costs \$1, or \$2"]),
        ("", [""]),
    ],
)
def test_a_name_goes_over_lines_and_stays_whole(name: str, lines: list[str]) -> None:
    assert wrapped(name).split("\n") == lines


@pytest.mark.parametrize("letters", [[4] * 7, [12] * 7, [30] * 7, [4, 14, 22, 16]])
def test_a_legend_stays_within_the_column(letters: list[int]) -> None:
    def draw() -> None:
        figure = new_figure(3.0)
        axes = figure.add_subplot()
        names = [f"{number}" * each for number, each in enumerate(letters)]
        legend_above(figure, {name: axes.plot([], [], "o")[0] for name in names})
        figure.draw_without_rendering()
        [legend] = figure.legends
        box = legend.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1

    styled(draw)()
