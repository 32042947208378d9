"""The work of one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..config.plan import HostKey, Run, host_key, hosts_needed


@dataclass(frozen=True)
class Job:
    """What a process is to do, and from which host it is forked.

    Attributes:
        told: what the process is told: the function that does the task, what that needs of the
            implementation, the settings, and the task's own arguments; all can be JSON.
        host: frameworks and threads of the host; `modules`, what it imports.
        timeout_s: how long it may take.
        neighbours: how many others run beside it.
    """

    told: dict[str, Any]
    host: HostKey
    modules: tuple[str, ...]
    timeout_s: float | None
    neighbours: int

    @classmethod
    def of(
        cls,
        run: Run,
        timeout_s: float | None = None,
        memory_limit: float | None = None,
        neighbours: int = 0,
        **task: Any,
    ) -> Job:
        """The job to train once; `task` names another, with its arguments."""
        implementation, sources = run.implementation, run.implementation.sources
        told = {
            "task": "twolayer.training.tasks:train",
            "source": str(implementation.source),
            "module": sources.module,
            "installed": bool(implementation.module),
            "built_in": implementation.built_in,
            "roots": {name: str(folder) for name, folder in sources.roots.items()},
            "files": [str(path) for path in sources.files],
            "sha256": sources.sha256,
            "framework": implementation.framework,
            "imports": implementation.imports,
            "preload": implementation.preload,
            "config": run.config.values(),
            "threads": run.threads,
            "memory_limit": memory_limit,
        }
        host = host_key(run)
        modules = hosts_needed([run]).get(host, ())
        return cls(told | task, host, modules, timeout_s, neighbours)
