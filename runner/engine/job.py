"""The work of one process as data, for itself and for its supervisor."""

from typing import Any

from ..config.plan import Run, host_key, hosts_needed

Job = dict[str, Any]


def make_job(
    run: Run,
    timeout_s: float | None = None,
    memory_limit: float | None = None,
    neighbours: int = 0,
    **task: Any,
) -> Job:
    """The job to train once; `task` names another, with its arguments. All of it can be JSON.

    `timeout_s` is how long it may take, `neighbours` how many others run beside it.
    """
    implementation, sources, host = run.implementation, run.implementation.sources, host_key(run)
    return {
        "task": "twolayer.training.tasks:train",
        "source": str(implementation.source),
        "module": sources.module,
        "installed": bool(implementation.module),
        "built_in": implementation.origin == "built in",
        "roots": {name: str(folder) for name, folder in sources.roots.items()},
        "files": [str(path) for path in sources.files],
        "sha256": sources.sha256,
        "framework": implementation.framework,
        "imports": implementation.imports,
        "preload": implementation.preload,
        "config": run.config.values(),
        "threads": run.threads,
        "host": host,
        "modules": hosts_needed([run]).get(host, ()),
        "memory_limit": memory_limit,
        "timeout_s": timeout_s,
        "neighbours": neighbours,
        **task,
    }
