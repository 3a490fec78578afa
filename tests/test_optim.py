"""The curves of the learning-rate schedules."""

import math

import pytest
import torch

from seqtrain.errors import UserError
from seqtrain.optim import Constant, Cosine, InverseSqrt, Plateau, Schedule, StepDecay

PEAK = 0.5


def made(schedule: Schedule, steps: float = 100) -> tuple[torch.optim.Optimizer, dict[str, object]]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    found = schedule.lightning(optimizer, monitor="val/bleu", goal="max", steps=steps)
    assert found is not None
    return optimizer, found


def curve(schedule: Schedule, count: int, steps: float = 100) -> list[float]:
    """The rate that each of the first `count` units is done at, as a share of the peak."""
    optimizer, found = made(schedule, steps)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"] / PEAK)
        optimizer.step()
        found["scheduler"].step()  # type: ignore[attr-defined]
    return rates


def test_constant_needs_no_scheduler() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    assert Constant().lightning(optimizer, monitor="val/bleu", goal="max", steps=10) is None


def test_inverse_square_root_is_the_paper_s() -> None:
    warmup, width = 10, 64
    paper = [width**-0.5 * min(step**-0.5, step * warmup**-1.5) for step in range(1, 101)]
    peak = (width * warmup) ** -0.5
    assert curve(InverseSqrt(warmup=warmup), 100) == pytest.approx([rate / peak for rate in paper])
    assert made(InverseSqrt())[1]["interval"] == "step"


def test_halving() -> None:
    assert curve(StepDecay(after=5, every=1), 8) == [1, 1, 1, 1, 1, 0.5, 0.25, 0.125]
    assert curve(StepDecay(after=2, every=2), 7) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert made(StepDecay())[1]["interval"] == "epoch"
    assert made(StepDecay(unit="step"))[1]["interval"] == "step"


def test_plateau_goes_by_the_task_s_metric() -> None:
    optimizer, found = made(Plateau(patience=1, factor=0.5, minimum=0.2))
    assert found["monitor"] == "val/bleu"
    rates = []
    for bleu in [10, 20, 19, 18, 21, 20, 20, 20, 20]:
        found["scheduler"].step(bleu)  # type: ignore[attr-defined]
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_cosine() -> None:
    rates = curve(Cosine(warmup=4, minimum=0.1), 45, steps=44)
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert rates[24] == pytest.approx(0.1 + 0.9 * 0.5)
    assert rates[44] == pytest.approx(0.1)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_cosines_warm_up_is_a_tenth_of_the_training_at_most() -> None:
    assert curve(Cosine(warmup=200), 3, steps=20) == pytest.approx(curve(Cosine(warmup=2), 3, steps=20))
    assert curve(Cosine(warmup=200), 1, steps=1) == pytest.approx(curve(Cosine(), 1, steps=1))


@pytest.mark.parametrize("steps", [math.inf, -1])
def test_cosine_needs_an_end(steps: float) -> None:
    with pytest.raises(UserError):
        made(Cosine(warmup=4), steps)


def test_a_schedule_s_state_is_plain_and_comes_back() -> None:
    optimizer, found = made(InverseSqrt(warmup=3))
    for _ in range(5):
        optimizer.step()
        found["scheduler"].step()  # type: ignore[attr-defined]
    state = found["scheduler"].state_dict()  # type: ignore[attr-defined]
    other, again = made(InverseSqrt(warmup=3))
    again["scheduler"].load_state_dict(state)  # type: ignore[attr-defined]
    other.step()
    again["scheduler"].step()  # type: ignore[attr-defined]
    assert other.param_groups[0]["lr"] == pytest.approx(PEAK * math.sqrt(3 / 7))
