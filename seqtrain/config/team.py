"""The processes that somebody else has started for one run, by `torchrun` or `srun`, and how they settle on one thing.

Each would compose a directory with a date of its own. So rank zero alone checks what is asked for, and the others hear
from it what they run, over the store by which PyTorch's processes find each other as well.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from seqtrain.errors import UserError

PATIENCE = timedelta(minutes=5)
"""How long ranks wait for rank zero."""
ENDING = timedelta(minutes=1)
"""How long rank zero waits for the others to hear that there is nothing to run."""
INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs in which somebody types commands: these are not started by SLURM."""
SAME = timedelta(seconds=10)
"""How long ranks that fail wait to see whether rank zero fails in the same way, and rank zero for them to have seen.

It is the whole wait only where one rank fails alone and the others do not notice.
"""
PREFIX, HEARD, ENDED, SEEN = "seqtrain", "heard", "ended", "seen"


@dataclass(frozen=True)
class Team:
    """Several processes of one run, as one of them sees them.

    Attributes:
        launcher: what has started them: torchrun, or srun.
        rank: which one this is.
        size: how many there are.
        nodes: how many machines they are on; None where that is not to be seen.
        address: where rank zero is.
        port: where the store listens.
        attempt: how often they were started before.
    """

    launcher: str
    rank: int
    size: int
    nodes: int | None
    address: str
    port: int
    attempt: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Team | None":
        """The team that a process is in by its environment; None where nobody has started it as one of a run's."""
        if "RANK" in environment and "WORLD_SIZE" in environment:
            return cls._of_torchrun(environment)
        return cls._of_srun(environment) if in_step(environment) else None

    @classmethod
    def _of_torchrun(cls, environment: Mapping[str, str]) -> "Team":
        size = int(environment["WORLD_SIZE"])
        local = int(environment.get("LOCAL_WORLD_SIZE") or 0)
        return cls(
            launcher="torchrun",
            rank=int(environment["RANK"]),
            size=size,
            nodes=size // local if local else None,
            address=environment.get("MASTER_ADDR", "127.0.0.1"),
            port=int(environment.get("MASTER_PORT") or 29500),
            attempt=int(environment.get("TORCHELASTIC_RESTART_COUNT") or 0),
        )

    @classmethod
    def _of_srun(cls, environment: Mapping[str, str]) -> "Team":
        job, step = int(environment["SLURM_JOB_ID"]), int(environment["SLURM_STEP_ID"])
        return cls(
            launcher="srun",
            rank=int(environment["SLURM_PROCID"]),
            size=int(environment["SLURM_NTASKS"]),
            nodes=int(environment.get("SLURM_STEP_NUM_NODES") or 1),
            address=environment.get("MASTER_ADDR") or _first_host(environment.get("SLURM_STEP_NODELIST", "127.0.0.1")),
            # Two steps of one job have two ports, below those that the system gives to clients.
            port=int(environment.get("MASTER_PORT") or 12000 + (31 * job + step) % 20000),
            attempt=int(environment.get("SLURM_RESTART_COUNT") or 0),
        )

    def refuse_other_size(self, devices: Any, nodes: Any) -> None:
        """Refuses a trainer of more or fewer processes, which would wait for each other.

        Args:
            devices: `trainer.devices`; what it cannot be counted by (`auto`, -1) is not looked at.
            nodes: `trainer.num_nodes`.
        """
        local = counted(devices)
        if local is None or (local * nodes == self.size and self.nodes in (None, nodes)):
            return
        own = self.nodes or nodes
        raise UserError(
            f"{self.launcher} has started {self.size} process{'es' * (self.size > 1)}"
            + (f" on {own} nodes" if own > 1 else "")
            + f", but trainer.devices={devices} and trainer.num_nodes={nodes} ask for {local * nodes}",
            f"Set trainer.devices={self.size // own}"
            + (f" trainer.num_nodes={own}" if own != nodes else "")
            + f", or start as many: {self._command(local, nodes)}",
        )

    def _command(self, local: int, nodes: int) -> str:
        if self.launcher == "srun":
            return f"srun --nodes={nodes} --ntasks-per-node={local}"
        return (
            f"torchrun --nnodes={nodes} --nproc-per-node={local}" if nodes > 1 else f"torchrun --nproc-per-node={local}"
        )

    def tell(self, store: Any, word: Mapping[str, Any]) -> None:
        """Says what is run, as rank zero; the others hear it as long as it keeps the store."""
        store.set("word", json.dumps(word))

    def tell_the_end(self, store: Any, code: int) -> None:
        """Says that nothing is run, as rank zero, and waits until all have heard it, or a minute."""
        self.tell(store, {"code": code})
        self._wait(store, HEARD, ENDING)

    def says(self, store: Any, error: UserError) -> bool:
        """Whether this rank is the one to say how the run failed: rank zero is, and who fails in another way.

        What is not settled by then (`UserError.here`) is told by rank zero, which waits a moment for the others to
        come by: with it the store goes.
        """
        try:
            if error.here is None and self.rank == 0:
                store.set(ENDED, _first_line(error))
                self._wait(store, SEEN, SAME)
            elif error.here is None:
                store.wait([ENDED], SAME)
                error.here = store.get(ENDED).decode() != _first_line(error)
            if self.rank > 0:
                store.set(f"{SEEN}{self.rank}", "")
        except RuntimeError:  # rank zero goes on, or is gone
            pass
        return error.here is not False

    def _wait(self, store: Any, name: str, patience: timedelta) -> None:
        with suppress(RuntimeError):  # whoever has not come by then is not there
            store.wait([f"{name}{rank}" for rank in range(1, self.size)], patience)

    def hear(self, store: Any) -> dict[str, Any]:
        """What rank zero says.

        Raises:
            UserError: it says nothing.
        """
        try:
            word: dict[str, Any] = json.loads(store.get("word"))
        except RuntimeError as error:
            raise UserError(f"rank {self.rank} has not heard from rank 0: {_first_line(error)}", code=1) from error
        store.set(f"{HEARD}{self.rank}", "")
        return word

    def meet(self) -> Any:
        """The store that the ranks share.

        Raises:
            UserError: there is no rank zero.
        """
        from torch.distributed import PrefixStore, TCPStore

        by_agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        try:
            store = TCPStore(
                self.address,
                self.port,
                self.size,
                is_master=self.rank == 0 and not by_agent,
                timeout=PATIENCE,
                wait_for_workers=False,
                multi_tenant=not by_agent,  # the process group, which begins later, shares it
            )
        except RuntimeError as error:
            raise UserError(
                f"rank {self.rank} finds no rank 0 at {self.address}, port {self.port}: {_first_line(error)}",
                "Another port: MASTER_PORT=NUMBER.",
                code=1,
            ) from error
        return PrefixStore(f"{PREFIX}/{self.attempt}", store)


def in_step(environment: Mapping[str, str]) -> bool:
    """Whether `srun` has started this process; not so the script of a job, nor what somebody types in one."""
    names = ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_PROCID", "SLURM_NTASKS")
    there = all(environment.get(name, "").isdecimal() for name in names)
    return there and environment.get("SLURM_JOB_NAME") not in INTERACTIVE


def later_rank() -> bool:
    """Whether this is a process of a run that another one leads."""
    return any(int(os.environ.get(name) or 0) > 0 for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def counted(devices: Any) -> int | None:
    """How many devices a node `trainer.devices` asks for; None where that is only known on the machine."""
    if isinstance(devices, list):
        return len(devices)
    if isinstance(devices, str) and "," in devices:
        return len([part for part in devices.split(",") if part.strip()])
    number = int(devices) if str(devices).strip().lstrip("-").isdecimal() else -1
    return number if number > 0 else None


def _first_host(nodes: str) -> str:
    """The first of SLURM's list of hosts: `node[03-07,09],other` is node03."""
    name, bracket, rest = nodes.partition("[")
    if not bracket or "," in name:
        return nodes.split(",")[0]
    inside, _, behind = rest.partition("]")
    return name + inside.replace("-", ",").split(",")[0] + behind.split(",")[0]


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
