"""What a search is held against before its first trial: its settings, its keys and the edges of what they can be."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from seqtrain.config.compose import Composed, Multirun, compose_job
from seqtrain.config.criterion import criterion_of_best
from seqtrain.config.directories import AUTO, is_finished, quoted, refuse_changed, refuse_existing
from seqtrain.config.job import check_job, refuse_several
from seqtrain.config.places import Sources
from seqtrain.errors import UserError
from seqtrain.sweep.settings import Settings

if TYPE_CHECKING:
    from seqtrain.sweep.space import Space
    from seqtrain.sweep.study import Question


def prepare_search(multirun: Multirun, sources: Sources) -> list[str]:
    """Checks a search.

    Returns:
        The overrides to give Hydra.

    Raises:
        UserError: something is not right; nothing was written.
    """
    Settings.read(multirun.sweeper)
    if find_spec("optuna") is None:
        raise UserError("a search needs Optuna, which is not installed", "Install it: pip install 'seqtrain[sweep]'")
    refuse_several("a search")
    from seqtrain.sweep.space import Space
    from seqtrain.sweep.study import Question

    own = [override for override in multirun.overrides if override.is_hydra_override()]
    if swept := [override.input_line for override in own if override.is_sweep_override()]:
        raise UserError(f"{swept[0]}: Hydra's own keys cannot be searched")
    hydra = [str(o.input_line) for o in own if o.key_or_group != "hydra.sweep.dir"]
    hydra.append(f"hydra.sweep.dir={quoted(multirun.directory)}")
    task = [override for override in multirun.overrides if not override.is_hydra_override()]
    space = Space.of(task, multirun.cfg)
    if not space.swept:
        raise UserError(
            "a search needs a key to search in",
            "Give one an interval or a choice:"
            " 'optimizer.lr=tag(log,interval(1e-4,1e-2))' 'model.hidden=choice(32,64)'.",
        )
    edges, added = _check_edges(space, hydra, sources)
    (metric, goal), *others = dict.fromkeys(criterion_of_best(job.cfg) for job in edges)
    if others:
        raise UserError(f"trials would be judged by {metric}, others by {others[0][0]}", "Search for each by itself.")
    first, question = edges[0], Question(space, metric, goal)
    _refuse_taken(Path(multirun.directory), first, question, [*hydra, *space.fixed], sources)
    lines = [*space.fixed, *(swept.line for swept in space.swept.values())]
    return [*(f"++{line}" if line.split("=")[0] in added else line for line in lines), *hydra]


def _check_edges(space: "Space", hydra: list[str], sources: Sources) -> tuple[list[Composed], set[str]]:
    """Checks trials at the edges of a space.

    Returns:
        These, and the keys that have to be added, since their YAML files leave them out.
    """
    edges, added = [], set()
    for line, values in space.at_the_edges():
        try:
            job = compose_job([*hydra, *space.fixed, *space.overrides(values)], sources, number=0)
            check_job(job)
        except UserError as error:
            raise UserError(f"{line}: {error}", code=error.code) from error
        edges.append(job)
        added |= {o.split("=")[0][2:] for o in job.overrides if o.startswith("++")}
    return edges, added


def _refuse_taken(directory: Path, first: Composed, question: "Question", fixed: list[str], sources: Sources) -> None:
    """Refuses to write where something else is than the search that is gone on with."""
    from seqtrain.sweep.study import is_begun, refuse_other

    if first.directory != directory / "0":
        raise UserError(
            f"trials are written to hydra.sweep.dir/NUMBER, but the first would be to {first.directory}",
            "Leave hydra.sweep.subdir out.",
        )
    if not is_begun(directory):
        refuse_existing(first.directory, one_of_many=True)
        return
    if first.cfg.resume != AUTO:
        raise UserError(
            f"{directory} already holds a search",
            "Go on with it: resume=auto. Or write elsewhere: hydra.sweep.dir=PATH.",
        )
    refuse_existing(directory, one_of_many=True)
    for trial in refuse_other(directory, question).get_trials(deepcopy=False):
        if is_finished(directory / str(trial.number)):
            job = compose_job([*fixed, *question.space.overrides(trial.params)], sources, number=trial.number)
            refuse_changed(job.directory, job.cfg)
            return  # the others were held against this one when they were begun
