"""The search itself: Optuna chooses values, Hydra runs the training, its record says how good they were."""

import gc
import math
import random
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from seqtrain.config.criterion import criterion_of_best
from seqtrain.config.directories import quoted
from seqtrain.runs.markdown import number
from seqtrain.runs.record import Run
from seqtrain.sweep.settings import Settings
from seqtrain.sweep.space import Space
from seqtrain.sweep.study import Question, begin_or_go_on
from seqtrain.sweep.summary import Summary

DRAWS = 100
"""How often values are drawn before it is given up to find some that were not tried."""


def search(
    sweeper: Mapping[str, Any], arguments: list[str], *, config: DictConfig, context: HydraContext, launcher: Launcher
) -> None:
    """Runs a search that was found right.

    Args:
        sweeper: the configuration of Hydra's sweeper.
        arguments: the overrides, without Hydra's own.
        config: what is composed without the keys that are searched, with Hydra's part.
        context: what reads overrides.
        launcher: what runs a job.

    Raises:
        UserError: trials failed, or the search cannot be gone on with.
    """
    directory = Path(str(config.hydra.sweep.dir))
    directory.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, directory / "multirun.yaml")
    parsed = OverridesParser.create(config_loader=context.config_loader).parse_overrides(arguments)
    space = Space.of(parsed, config)
    _, first = next(space.at_the_edges())
    job = context.config_loader.load_sweep_config(config, [*space.fixed, *space.overrides(first)])
    question = Question(space, *criterion_of_best(job))
    common = space.fixed if config.group else [*space.fixed, f"group={quoted(directory.resolve().name)}"]

    def launch(number: int, overrides: list[str]) -> None:
        try:
            _ = launcher.launch([[*common, *overrides]], initial_job_idx=number)[0].return_value
        except HydraException:
            raise
        except Exception:
            traceback.print_exc()
        gc.collect()  # what a training held, one that ran out of memory above all, the next one may need

    Search(Settings.read(sweeper), question, directory, launch).run()


class Search:
    """One start of a search.

    Args:
        settings: how values are searched for.
        question: what it is after.
        directory: where it is written; may hold an earlier start of it.
        launch: runs the training of a number with overrides, in the directory of that number; its record says how it
            ended.
    """

    def __init__(
        self, settings: Settings, question: Question, directory: Path, launch: Callable[[int, list[str]], None]
    ) -> None:
        self.settings = settings
        self.question = question
        self.directory = directory
        self.launch = launch
        self.study = begin_or_go_on(directory, question)
        self.summary = Summary(self.study, question, directory, words=sys.argv[1:])

    def run(self) -> None:
        """Tries what is not tried yet, and shows the best.

        Raises:
            UserError: trials failed.
        """
        try:
            while (trial := self._next()) is not None:
                self._try(trial)
                self.summary.write()
        except (KeyboardInterrupt, SystemExit):
            print(self.summary.stopped(), file=sys.stderr, flush=True)
            raise
        print(self.summary.text(), flush=True)
        self.summary.refuse_failed()

    def _next(self) -> FrozenTrial | None:
        """The trial that an earlier start was stopped in, or a new one, as long as there are too few."""
        trials = self.study.get_trials(deepcopy=False)
        begun = [trial for trial in trials if trial.state == TrialState.RUNNING]
        if begun or len(trials) >= self.settings.n_trials:
            return begun[0] if begun else None
        distributions = {name: swept.distribution for name, swept in self.question.space.swept.items()}
        tried = [trial.params for trial in trials]
        # What is drawn for nothing is no trial: a copy of the study has it.
        copy = optuna.create_study(direction=self.study.direction)
        copy.add_trials(trials)
        for attempt in range(DRAWS):
            copy.sampler = self._sampler(f"{self.settings.seed}/{len(trials)}/{attempt}")
            params = copy.ask(distributions).params
            if params not in tried:
                new = optuna.create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
                self.study.add_trial(new)
                return self.study.get_trials(deepcopy=False)[-1]
        print(f"\nthe search ends with {len(trials)} trials: what is drawn now was all tried before", flush=True)
        return None

    def _sampler(self, seed: str) -> optuna.samplers.BaseSampler:
        """A sampler for one trial alone: so a search that was stopped draws what it would have drawn."""
        drawn = random.Random(seed).getrandbits(32)
        if self.settings.sampler == "random":
            return optuna.samplers.RandomSampler(seed=drawn)
        return optuna.samplers.TPESampler(seed=drawn)

    def _try(self, trial: FrozenTrial) -> None:
        """Finds out how good a trial is, and has Optuna know."""
        overrides = self.question.space.overrides(trial.params)
        count = f"{trial.number + 1} of {max(self.settings.n_trials, trial.number + 1)}"
        print(f"\ntrial {trial.number} ({count}): {' '.join(overrides)}", flush=True)
        value = self._trained(trial.number, overrides)
        if value is None:
            self.study.tell(trial.number, state=TrialState.FAIL)
            reason = self.summary.error(trial.number).partition("\n")[0]
            print(f"trial {trial.number} failed: {reason}", flush=True)
            return
        self.study.tell(trial.number, value)
        best = self.study.best_trial
        print(
            f"trial {trial.number}: {self.question.result} {number(value)};"
            f" the best is trial {best.number} with {number(best.values[0])}",
            flush=True,
        )

    def _trained(self, trial: int, overrides: list[str]) -> float | None:
        """The result of a training; None where it failed."""
        self.launch(trial, overrides)
        place = self.directory / str(trial)
        if not Run.exists(place) or Run(place).status != "finished":
            return None
        value = Run(place).manifest["results"].get(self.question.result)
        if value is None or not math.isfinite(value):
            name = self.question.result
            said = f"{name} is {value}" if value is not None else f"there is no {name}: no validation was finite"
            Run(place).finish("failed", error=said)
            return None
        return float(value)
