"""Pathfinder (Linsley et al. 2018, arXiv 1805.08315; Tay et al. 2021, Long Range Arena): do two discs lie on one path?

Every image has two dashed paths of one length and shorter ones that distract. In half of the images the discs mark both
ends of one long path, in the other half one end of each: those as far apart as the ends of one path, to S/32, since
else their distance would tell the labels of four images in five. Positions are whole numbers, random bits come from
Philox, and rendering uses sums, products and square roots alone, so all machines make the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from terminator.data.cache import Arrays, generated, generated_fingerprint
from terminator.data.config import DataConfig, PathfinderConfig
from terminator.errors import UserError

Whole = np.ndarray[Any, np.dtype[np.int64]]

UNIT = 256  # of a pixel; positions are in these
HEADINGS = 256  # of a full turn
PITCH = 3  # pixels from one dash of a path to the next
HALF_DASH = 0.7  # pixels; dashes and discs fade over one pixel, about these radii
DASH_RADIUS, DISC_RADIUS = 0.6, 1.7
APART = 3 * UNIT + UNIT // 4  # between any two paths, and parts of one
MARGIN = 3 * UNIT // 2
BEND, WOBBLE = 10, 6  # headings: at most so much from one dash to the next, all along a path and by itself
CHUNK = 256  # images that share a random stream
ABREAST = 128  # at least so many are placed at once
TRIES, ROUNDS = 50, 300  # of a path, and of an image, until there is no room
CROWDED = 0.95  # where so many of the images have no room at first, others would take too long
ANGLES = 2 * np.pi * np.arange(HEADINGS) / HEADINGS
DIRECTIONS: Whole = np.rint(np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=-1) * PITCH * UNIT).astype(np.int64)


def read(config: DataConfig) -> dict[str, tuple[Tensor, Tensor]]:
    """Splits `train` and `test`: images (n, 1, S, S) uint8 and labels (n), 1 where the discs lie on one path.

    Raises UserError where the paths do not fit on the images, or an image is made twice.
    """
    arrays = {name: torch.from_numpy(array) for name, array in generated("pathfinder", *_recipe(config)).items()}
    return {split: (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test")}


def fingerprint(config: DataConfig) -> str:
    """A hash of all images and labels. Raises what `read` raises."""
    return generated_fingerprint("pathfinder", *_recipe(config))


def _recipe(config: DataConfig) -> tuple[str, Callable[[], Arrays]]:
    """All that the images depend on, and what makes them and their labels."""
    assert isinstance(config, PathfinderConfig)
    names = ("image_shape", "train_images", "test_images", "path_length", "distractors", "generator_seed")
    settings = {name: getattr(config, name) for name in names}
    code = Path(__file__).read_text("utf-8")
    return json.dumps([settings, code], default=list), lambda: _make(config)


def _make(config: PathfinderConfig) -> Arrays:
    arrays: Arrays = {}
    for number, (split, count) in enumerate({"train": config.train_images, "test": config.test_images}.items()):
        chunks = [_images(config, number, chunk) for chunk in range(-(-count // CHUNK))]
        arrays[f"{split}_images"] = np.concatenate(chunks)[:count]
        arrays[f"{split}_labels"] = np.arange(count) % 2
    images = np.concatenate([arrays["train_images"], arrays["test_images"]])
    if len({image.tobytes() for image in images}) < len(images):
        rule = f"makes an image twice among {len(images)}; take longer paths or more distractors"
        raise UserError(f"data.path_length={config.path_length}: with data.distractors={config.distractors}, {rule}")
    return arrays


def _images(config: PathfinderConfig, split: int, chunk: int) -> np.ndarray[Any, Any]:
    """The images of a chunk, (CHUNK, 1, S, S) uint8; the second and every other one has its discs on one path."""
    draws = Draws(config.generator_seed, split << 32 | chunk)
    size = config.image_shape[1]
    lengths = [config.path_length] * 2 + [max(1, config.path_length // 3)] * config.distractors
    dashes = np.zeros((CHUNK, sum(lengths), 3), np.int64)  # x, y, heading
    discs = np.zeros((CHUNK, 2, 2), np.int64)
    missing = np.arange(CHUNK)
    for _ in range(ROUNDS):
        images = np.resize(missing, max(len(missing), ABREAST))  # the last few several times over
        found, placed = _place(draws, lengths, size, len(images))
        found, images = found[placed], images[placed]
        ends = _ends(found, config.path_length)
        connected = images[:, None, None] % 2 == 1
        dashes[images], discs[images] = found, np.where(connected, ends[:, 0], _as_far_apart(ends)[0])
        missing = np.setdiff1d(missing, images)
        if not 0 < len(missing) <= CROWDED * CHUNK:
            break
    if len(missing):
        rule = f"with data.distractors={config.distractors}, no room on {size}×{size} pixels"
        raise UserError(f"data.path_length={config.path_length}: {rule}")
    canvas = np.zeros((CHUNK, size, size), np.uint8)
    _draw(canvas, dashes[..., :2], DIRECTIONS[dashes[..., 2]] / (PITCH * UNIT), HALF_DASH, DASH_RADIUS)
    _draw(canvas, discs, np.zeros(discs.shape), 0.0, DISC_RADIUS)
    return canvas[:, None]


class Draws:
    """Random whole numbers, the same for a key in every version of NumPy: its raw Philox stream."""

    def __init__(self, *key: int) -> None:
        self._stream = np.random.Philox(key=np.array(key, np.uint64))

    def below(self, limit: int | Whole, shape: tuple[int, ...]) -> Whole:
        """From 0 to limit − 1, alike likely; `limit` is below 2³¹ and fits the shape."""
        raw = self._stream.random_raw(int(np.prod(shape))).reshape(shape)
        drawn: Whole = ((raw >> np.uint64(33)).astype(np.int64) * limit) >> 31
        return drawn


def _place(draws: Draws, lengths: list[int], size: int, count: int) -> tuple[Whole, np.ndarray[Any, Any]]:
    """Paths of these numbers of dashes on `count` images: dashes (count, Σ lengths, 3), and on which there was room."""
    dashes = np.zeros((count, sum(lengths), 3), np.int64)
    points = np.zeros((count, sum(2 * length + 1 for length in lengths), 2), np.int64)
    room = np.ones(count, bool)
    done = known = 0
    for length in lengths:
        waiting = np.flatnonzero(room)
        for _ in range(TRIES):
            path, along, fits = _propose(draws, length, size, len(waiting))
            fits &= ~_meet(along, points[waiting, :known])
            chosen = waiting[fits]
            dashes[chosen, done : done + length] = path[fits]
            points[chosen, known : known + 2 * length + 1] = along[fits]
            waiting = waiting[~fits]
            if not len(waiting):
                break
        room[waiting] = False
        done, known = done + length, known + 2 * length + 1
        if done == 2 * lengths[0]:
            room &= _as_far_apart(_ends(dashes, lengths[0]))[1] * 32 <= size * UNIT
    return dashes, room


def _propose(draws: Draws, length: int, size: int, count: int) -> tuple[Whole, Whole, np.ndarray[Any, Any]]:
    """A path each: its dashes (count, length, 3), their centres and ends (count, 2·length + 1, 2), if it fits."""
    bend = draws.below(2 * BEND + 1, (count, 1)) - BEND
    turns = bend + draws.below(2 * WOBBLE + 1, (count, length)) - WOBBLE
    headings = (draws.below(HEADINGS, (count, 1)) + turns.cumsum(1)) % HEADINGS
    steps = DIRECTIONS[headings]
    centres = steps.cumsum(1) - steps // 2
    points = np.concatenate([np.zeros_like(steps[:, :1]), centres, steps.cumsum(1)], axis=1)
    lowest, highest = points.min(1), points.max(1)
    free = (size - 1) * UNIT - 2 * MARGIN - (highest - lowest)
    shift = MARGIN - lowest + draws.below(np.maximum(free, 0) + 1, free.shape)
    fits: np.ndarray[Any, Any] = (free >= 0).all(1)
    curls = np.logical_or.reduce(np.triu(_squared_distances(centres, centres) < APART**2, k=2), axis=(1, 2))
    path = np.concatenate([centres + shift[:, None], headings[..., None]], axis=2)
    return path, points + shift[:, None], fits & ~curls


def _meet(points: Whole, others: Whole) -> np.ndarray[Any, Any]:
    """Whether any of the points, (n, a, 2), is too near any of the others, (n, b, 2)."""
    near: np.ndarray[Any, Any] = np.logical_or.reduce(_squared_distances(points, others) < APART**2, axis=(1, 2))
    return near


def _squared_distances(points: Whole, others: Whole) -> Whole:
    """(n, a, 2) and (n, b, 2) → (n, a, b)."""
    a, b = points.astype(np.int32), others.astype(np.int32)  # a square of 64 pixels fits, in half the time
    x, y = (a[:, :, None, axis] - b[:, None, :, axis] for axis in (0, 1))
    squared: Whole = x * x + y * y
    return squared


def _ends(dashes: Whole, length: int) -> Whole:
    """Both ends of the two long paths, of so many dashes each: (n, dashes, 3) → (n, path, end, 2)."""
    paths = dashes[:, : 2 * length].reshape(-1, 2, length, 3)
    half = DIRECTIONS[paths[:, :, [0, -1], 2]] // 2
    ends: Whole = paths[:, :, [0, -1], :2] + half * np.array([-1, 1])[:, None]
    return ends


def _as_far_apart(ends: Whole) -> tuple[Whole, np.ndarray[Any, Any]]:
    """Of two paths' ends, (n, 2, 2, 2), one of each, as far apart as those of the first path: (n, 2, 2), and by how
    much they are not, (n)."""
    wanted = np.sqrt(_squared_distances(ends[:, 0, :1], ends[:, 0, 1:])[:, :, 0])
    misses = np.abs(np.sqrt(_squared_distances(ends[:, 0], ends[:, 1])).reshape(-1, 4) - wanted)
    first, second = np.divmod(misses.argmin(1), 2)
    images = np.arange(len(ends))
    return np.stack([ends[images, 0, first], ends[images, 1, second]], axis=1), misses.min(1)


def _draw(
    canvas: np.ndarray[Any, Any], centres: Whole, along: np.ndarray[Any, Any], half: float, radius: float
) -> None:
    """Strokes on images (n, S, S): of `half` length `along` a unit vector (n, k, 2), about centres (n, k, 2)."""
    size = canvas.shape[1]
    reach = int(np.ceil(half + radius + 0.5))
    window = np.arange(-reach, reach + 1)
    pixels = (centres + UNIT // 2) // UNIT
    x, y = (pixels[:, :, None, axis] + window for axis in (0, 1))  # (n, k, window)
    dx, dy = x - centres[:, :, :1] / UNIT, y - centres[:, :, 1:] / UNIT
    dx, dy = dx[:, :, None, :], dy[:, :, :, None]  # (n, k, 1, window) and (n, k, window, 1)
    cosine, sine = along[:, :, 0, None, None], along[:, :, 1, None, None]
    nearest = np.clip(dx * cosine + dy * sine, -half, half)
    distance = np.sqrt((dx - nearest * cosine) ** 2 + (dy - nearest * sine) ** 2)
    ink = np.rint(255 * np.clip(radius + 0.5 - distance, 0, 1)).astype(np.uint8)
    inside = ((x >= 0) & (x < size))[:, :, None, :] & ((y >= 0) & (y < size))[:, :, :, None]
    image = np.arange(len(canvas))[:, None, None, None]
    places = (image * size + y[:, :, :, None]) * size + x[:, :, None, :]
    np.maximum.at(canvas.reshape(-1), places[inside], ink[inside])
