"""Several processes of one training, in which Python calls a function."""

import io
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

from tests.end_to_end.warm import CONTEXT, _start_server


def on_ranks(work: Callable[..., Any], *given: Any, number: int = 2) -> list[Any]:
    """What a function of a module returns on each of several ranks, which find each other as `torchrun`'s do.

    Args:
        work: gets the rank, then what is given.
        given: plain values.
        number: of ranks.
    """
    _start_server()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(number), "GROUP_RANK": "0"}
    common |= {"LOCAL_WORLD_SIZE": str(number), "TORCHELASTIC_RUN_ID": "test", "CUDA_VISIBLE_DEVICES": ""}
    pipes = [CONTEXT.Pipe(duplex=False) for _ in range(number)]
    begun = []
    for rank, (_, end) in enumerate(pipes):
        variables = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        begun.append(CONTEXT.Process(target=_work, args=(work, rank, given, variables, end), daemon=True))
        begun[-1].start()
        end.close()
    try:
        return [_received(here) for here, _ in pipes]
    finally:
        for process in begun:
            process.join(10)
            process.kill()


def _received(here: Connection) -> Any:
    if not here.poll(120):
        raise TimeoutError("a rank has not ended")
    done, found = torch.load(io.BytesIO(here.recv_bytes()), weights_only=False)
    assert done, found
    return found


def _work(
    work: Callable[..., Any], rank: int, given: tuple[Any, ...], variables: dict[str, str], end: Connection
) -> None:
    os.environ.update(variables)
    try:
        found = (True, work(rank, *given))
    except Exception:
        found = (False, traceback.format_exc())
    content = io.BytesIO()  # tensors that are sent themselves stay in this process's memory
    torch.save(found, content)
    end.send_bytes(content.getvalue())
    os._exit(0)  # what a process group leaves behind can wait for ever
