"""The work of one process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..config.plan import HostKey, Run, host_key, hosts_needed


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is to do, and from which host it is forked.

    Attributes:
        told: what the process is told, as JSON: the function that does the task, what that
            needs of the implementation, the settings, and whatever else it asks for.
        host: frameworks and threads of the host; `modules`, what it imports.
        timeout_s: how long it may take.
        neighbours: how many others run beside it.
    """

    told: dict[str, Any]
    host: HostKey
    modules: tuple[str, ...]
    timeout_s: float | None = None
    neighbours: int = 0

    @classmethod
    def of(
        cls,
        run: Run,
        *,
        timeout_s: float | None = None,
        memory_limit: float | None = None,
        neighbours: int = 0,
        **task: Any,
    ) -> Job:
        """The job to train once; `task` names another, with its arguments."""
        implementation, sources, host = (
            run.implementation,
            run.implementation.sources,
            host_key(run),
        )
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
        return cls(
            told=told | task,
            host=host,
            modules=hosts_needed([run]).get(host, ()),
            timeout_s=timeout_s,
            neighbours=neighbours,
        )

    def json(self) -> bytes:
        """What the process is told."""
        return json.dumps(self.told).encode()
