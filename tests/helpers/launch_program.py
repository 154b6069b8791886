"""Starts `numdnc` in several processes, as torchrun does; what they import is imported once, before they fork.

Each line of its standard input is an order as JSON: how many processes, their words, their folder. It answers with
their numbers; to the next line, with their exit codes. What process R prints lies in out.R and err.R. Where there is a
folder host-R, that process is in it, as if on a machine of its own.
"""

import gc
import importlib
import json
import os
import pkgutil
import sys
from pathlib import Path
from typing import Any

import torch.distributed

import numdnc.cli
import numdnc.tasks
import numdnc.training

assert torch.distributed.is_available()


def become(order: dict[str, Any], rank: int) -> None:
    """What a process that is just started must be."""
    os.chdir(order["folder"])
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{name}.{rank}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    if Path(f"host-{rank}").exists():
        os.chdir(f"host-{rank}")
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(order["count"]), "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"MASTER_PORT": str(order["port"]), "NUMDNC_THREADS": "1"}
    sys.argv = ["numdnc", *order["words"]]


def answer(numbers: list[int]) -> None:
    sys.stdout.write(json.dumps(numbers) + "\n")
    sys.stdout.flush()


def main() -> None:
    for package in (numdnc.cli, numdnc.tasks, numdnc.training):  # once, not in each process
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.freeze()  # else each process that ends looks through all of torch
    while line := sys.stdin.readline():
        order, processes = json.loads(line), []
        for rank in range(order["count"]):
            process = os.fork()
            if process == 0:
                become(order, rank)
                numdnc.cli.main()
                return
            processes.append(process)
        answer(processes)
        sys.stdin.readline()
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        answer(codes)


if __name__ == "__main__":
    main()
