"""The engines by name. Each is imported only when it is chosen. Driver only."""

from __future__ import annotations

from collections.abc import Mapping

from penstock.bundle.batch import BatchLaunch
from penstock.errors import JobError
from penstock.runtimes.batch.engines.interface import Engine


def open_engine(launch: BatchLaunch, *, job_file: str, variables: Mapping[str, str]) -> Engine:
    """The engine that `launch` names. `job_file` holds what workers must know, `variables` is their environment.
    Raises JobError: no such engine, or its library is missing."""
    if launch.engine == "local":
        for name in launch.engine_options:
            raise JobError(
                f"the local engine has no option {name!r}",
                hint="--engine ray has options and an address; leave them out, or choose it",
            )
        from penstock.runtimes.batch.engines import local

        return local.LocalEngine(
            job_file=job_file,
            python=launch.python,
            variables=variables,
            preload=launch.settings.preload,
            start_timeout_s=launch.settings.start_timeout_s,
            log_level=launch.log_level,
            model_format=launch.manifest.model.format if launch.manifest.model else "",
        )
    if launch.engine == "ray":
        from penstock.runtimes.batch.engines import ray

        engine: Engine = ray.open_engine(launch, job_file=job_file, variables=variables)
        return engine
    raise JobError(f"there is no engine {launch.engine!r}", hint="local, or ray")
