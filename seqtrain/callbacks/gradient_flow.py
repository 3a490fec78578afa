"""Norms of the gradients at every time step: whether they vanish or explode on their way back."""

import dataclasses
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from seqtrain.callbacks.randomness import capture, restore
from seqtrain.callbacks.showing import log_pictures
from seqtrain.config.names import did_you_mean
from seqtrain.config.types import Positive
from seqtrain.errors import UserError
from seqtrain.layers.flow import Flow, layer_names, measure
from seqtrain.runs.figures import save
from seqtrain.runs.files import write_text

log = logging.getLogger(__name__)

NORMS = (1e-8, 1e4)
"""The ends of the picture's vertical axes; what lies beyond them, or is not a number, is drawn on the edge."""

LABELS = {"loss": "‖∂L/∂s$_t$‖", "state": "‖∂s$_T$/∂s$_t$‖ / √S"}


class GradientFlow(pl.Callback):
    """Measures ‖∂L/∂s_t‖ and ‖∂s_T/∂s_t‖ of a recurrent layer's states s_t at every time step (Hochreiter 1991; Bengio
    et al. 1994; Pascanu et al. 2013), before the first step, every so many steps, and at the end of the training.

    A copy of the network reads the first examples of the training batch one step at a time, without dropout and from
    the zero state, and is derived by each state: see `seqtrain.layers.flow`. The training is not touched: parameters,
    gradients and random streams are as before. Under several ranks the first one measures, on its own examples.

    Logs, for each of `loss` and `state`, `flow/loss/first`, the norm at the first step over that at the last one, and
    `flow/loss/decay`, what a step back adds to its logarithm; `flow/seconds`, what the measurement took. With several
    layers the names are `flow/LAYER/loss/first`. Writes `gradient_flow.json`, all curves, and at the end of the
    training `gradient_flow.png`, in which axes, scales and colours are the same for every run; W&B gets it as
    `flow/picture`.

    The model has `network`, `task` and `label_smoothing`, as `SequenceModel`. Where the network has no recurrent
    stack, it warns and does nothing.

    Args:
        every_n_steps: optimizer steps between two measurements.
        examples: how many of the batch are looked at, at most.
        probes: random vectors that ‖∂s_T/∂s_t‖ is estimated by; no fewer than units in the state make it exact.
        layers: names of layers, or `all`; `None` is the first, the bottom layer of an encoder or reader, forwards.
        directory: the run's directory; `None` is the trainer's `default_root_dir`.

    Attributes:
        curves: what was measured, in plain values: one entry a layer and measurement.

    Raises:
        UserError: when the training begins, for a layer that the network does not have.
    """

    def __init__(
        self,
        *,
        every_n_steps: Positive = 500,
        examples: Positive = 32,
        probes: Positive = 4,
        layers: list[str] | None = None,
        directory: str | None = None,
    ) -> None:
        super().__init__()
        self.every_n_steps = every_n_steps
        self.examples = examples
        self.probes = probes
        self.layers = layers
        self.directory = directory
        self.curves: list[dict[str, Any]] = []
        self._names: list[str] = []
        self._batch: Any = None

    def state_dict(self) -> dict[str, Any]:
        """What was measured so far."""
        return {"curves": self.curves}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with it."""
        self.curves = list(state_dict["curves"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finds the layers."""
        network = getattr(pl_module, "network", None)
        known = [] if network is None else layer_names(network)
        if not known and trainer.is_global_zero:
            log.warning("gradient flow: the model has no recurrent layer, so nothing is measured")
        self._names = self._chosen(known) if known else []

    def _chosen(self, known: list[str]) -> list[str]:
        if self.layers is None:
            return known[:1]
        if self.layers == ["all"]:
            return known
        for name in self.layers:
            if name not in known:
                raise UserError(
                    f"callbacks.gradient_flow.layers: the network has no layer {name!r}{did_you_mean(name, known)}",
                    f"Layers: {', '.join(known)}; or all.",
                )
        return self.layers

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Measures, if it is time."""
        self._batch = batch
        if trainer.global_step % self.every_n_steps == 0:
            self._measure(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures a last time and draws."""
        if self._batch is not None:
            self._measure(trainer, pl_module)
        self._batch = None
        self._draw(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Draws what there is."""
        self._batch = None
        try:
            self._draw(trainer, pl_module)
        except UserError as error:
            log.error("%s", error)

    def _measure(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        measured = self.curves[-1]["step"] if self.curves else -1
        if not trainer.is_global_zero or not self._names or measured == step:
            return
        start = time.perf_counter()
        before = capture()
        try:
            flows = self._flows(pl_module)
        finally:
            restore(before)
        seconds = time.perf_counter() - start
        scalars = {"flow/seconds": seconds}
        for flow in flows:
            scalars |= _scalars(flow, several=len(flows) > 1)
            self.curves.append({"step": step, "seconds": seconds, **_plain(flow)})
        for logger in trainer.loggers:
            logger.log_metrics(scalars, step=step)
        lines = ",\n".join(json.dumps(_with_words(curve)) for curve in self.curves)
        write_text(self._folder(trainer) / "gradient_flow.json", f"[\n{lines}\n]\n")

    def _flows(self, pl_module: Any) -> list[Flow]:
        rows = _rows(self._batch, self.examples)
        smoothing = getattr(pl_module, "label_smoothing", 0.0)
        # The same vectors every time: what differs between two measurements is the network.
        return measure(
            pl_module.network,
            lambda network: pl_module.task.measure(network, rows, smoothing=smoothing).loss,
            layers=self._names,
            probes=self.probes,
            generator=torch.Generator().manual_seed(0),
        )

    def _folder(self, trainer: pl.Trainer) -> Path:
        return Path(self.directory or trainer.default_root_dir)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or not self.curves:
            return
        path = self._folder(trainer) / "gradient_flow.png"
        save(picture(self.curves, title=type(pl_module).__name__), path)
        log_pictures(trainer, "flow/picture", [path])


def picture(curves: list[dict[str, Any]], *, title: str) -> Any:
    """A matplotlib figure: a row of panels a layer, ∂L/∂s_t on the left, ∂s_T/∂s_t on the right, the norm by steps
    back from the last one, a line a measurement, dark at the beginning of the training and light at its end.

    Args:
        curves: as `GradientFlow.curves`.
        title: of the whole.
    """
    # Here, as nothing else needs it.
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    layers = list(dict.fromkeys(curve["layer"] for curve in curves))
    figure = Figure(figsize=(10, 0.8 + 3.2 * len(layers)), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(layers), len(LABELS), squeeze=False)
    colours = ScalarMappable(Normalize(0, max(1, curves[-1]["step"])), colormaps["viridis"])
    longest = max(len(curve["loss"]) for curve in curves) - 1
    for row, layer in zip(panels, layers, strict=True):
        for panel, (kind, label) in zip(row, LABELS.items(), strict=True):
            panel.set(title=layer, xlabel="steps back from the last, T − t", ylabel=label, yscale="log")
            panel.set(xlim=(0, max(1, longest)), ylim=NORMS)
            panel.grid(alpha=0.3)
            for curve in (curve for curve in curves if curve["layer"] == layer):
                panel.plot(curve["distance"], [_inside(n) for n in curve[kind]], color=colours.to_rgba(curve["step"]))
    figure.colorbar(colours, ax=panels, label="training step")
    figure.suptitle(title)
    return figure


def _inside(norm: float) -> float:
    low, high = NORMS
    return min(max(norm, low), high) if math.isfinite(norm) else high


def _rows(batch: Any, count: int) -> Any:
    """The first examples of a batch; one that goes on where another ended begins anew."""
    fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    changed: dict[str, Any] = {
        name: value[:count] for name, value in fields.items() if torch.is_tensor(value) and value.dim()
    }
    if "carried" in fields:
        changed |= {"carried": False, "state": None}
    return dataclasses.replace(batch, **changed)


def _scalars(flow: Flow, *, several: bool) -> dict[str, float]:
    prefix = f"flow/{flow.layer}" if several else "flow"
    found = {f"{prefix}/{kind}/first": value for kind, value in flow.first.items()}
    return found | {f"{prefix}/{kind}/decay": value for kind, value in flow.decay.items()}


def _plain(flow: Flow) -> dict[str, Any]:
    values = dataclasses.asdict(flow)
    return {"layer": values.pop("layer"), "distance": list(range(len(flow.loss))), **values}


def _with_words(value: Any) -> Any:
    """Numbers with six digits, and those that JSON has no word for as in `metrics.jsonl`."""
    if isinstance(value, dict):
        return {key: _with_words(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_words(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return value
