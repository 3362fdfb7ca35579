"""Networks whose accuracy on MNIST-1D is published (Greydanus and Kobak, ICML 2024), as a check of data and training.

    python -m terminator.run -m model=custom data=mnist1d,pmnist1d seed=0,1,2 \\
      model.target=benchmarks.mnist1d:Linear,benchmarks.mnist1d:Perceptron,benchmarks.mnist1d:Convolutional \\
      optimizer=adamw optimizer.lr=0.01 training.epochs=150 training.batch_size=100

`training.protocol=release` trains on all 4,000 sequences. What they gave stands in docs/data.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

HIDDEN = 100
CHANNELS = 25


class Linear(nn.Sequential):
    """Logistic regression: (n, 1, L) to logits (n, classes)."""

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(image_shape[1], classes))


class Perceptron(nn.Module):
    """Two hidden layers of 100, the second with a connection around it: (n, 1, L) to logits (n, classes)."""

    def __init__(self, image_shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(image_shape[1], HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.classify = nn.Linear(HIDDEN, classes)

    def forward(self, sequences: Tensor) -> Tensor:
        """(n, 1, L) → (n, classes)."""
        hidden = self.first(sequences.flatten(1)).relu()
        return self.classify(hidden + self.second(hidden).relu())  # type: ignore[no-any-return]


class Convolutional(nn.Sequential):
    """Three convolutions with stride 2 and 25 channels: (n, 1, 40) to logits (n, classes)."""

    def __init__(self, classes: int) -> None:
        sizes = ((1, 5), (CHANNELS, 3), (CHANNELS, 3))
        layers = [(nn.Conv1d(inputs, CHANNELS, size, stride=2, padding=1), nn.ReLU()) for inputs, size in sizes]
        super().__init__(*(each for pair in layers for each in pair), nn.Flatten(), nn.Linear(5 * CHANNELS, classes))
