"""The work of one process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..config.plan import HostKey, Run, host_key, hosts_needed


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process is to do, and from which host it is forked; it is sent to it as JSON.

    Attributes:
        task: the function that does it, such as `twolayer.training.tasks:train`.
        arguments: what that function needs beyond all else here.
        host: frameworks and threads of the host.
        modules: what the host imports.
        timeout_s: how long it may take.
        memory_limit: bytes that it may allocate beyond what its host has.
        neighbours: how many others run beside it.
    """

    task: str
    arguments: dict[str, Any]
    host: HostKey
    modules: tuple[str, ...]
    source: str
    module: str
    installed: bool
    built_in: bool
    roots: dict[str, str]
    files: list[str]
    sha256: dict[str, str]
    framework: str
    imports: tuple[str, ...]
    preload: tuple[str, ...]
    config: dict[str, Any]
    threads: int
    timeout_s: float | None
    memory_limit: float | None
    neighbours: int

    @classmethod
    def of(
        cls,
        run: Run,
        task: str = "twolayer.training.tasks:train",
        *,
        timeout_s: float | None = None,
        memory_limit: float | None = None,
        neighbours: int = 0,
        **arguments: Any,
    ) -> Job:
        """The job of a run: to train it, or another task with its implementation and settings."""
        implementation, sources = run.implementation, run.implementation.sources
        host = host_key(run)
        return cls(
            task=task,
            arguments=arguments,
            host=host,
            modules=hosts_needed([run]).get(host, ()),
            source=str(implementation.source),
            module=sources.module,
            installed=bool(implementation.module),
            built_in=implementation.built_in,
            roots={name: str(folder) for name, folder in sources.roots.items()},
            files=[str(path) for path in sources.files],
            sha256=sources.sha256,
            framework=implementation.framework,
            imports=implementation.imports,
            preload=implementation.preload,
            config=run.config.values(),
            threads=run.threads,
            timeout_s=timeout_s,
            memory_limit=memory_limit,
            neighbours=neighbours,
        )

    def json(self) -> bytes:
        """The job as its task gets it, with the arguments beside the rest."""
        return json.dumps(vars(self) | self.arguments).encode()
