"""Logs metrics to its run, and looks for a workspace only where there is one."""

from azureml.core import Dataset, Run, Workspace
from azureml.core.run import _OfflineRun

run_context = Run.get_context()


def init():
    run = Run.get_context()
    if "_OfflineRun" in str(run) or isinstance(run, _OfflineRun) or run.id.startswith("OfflineRun"):
        run.tag("where", "here")
    else:
        workspace = run.experiment.workspace
        Dataset.get_by_name(workspace, "lookup")


def run(mini_batch):
    run_context.log("files", len(mini_batch))
    run_context.log_row("sizes", smallest=1, largest=2)
    run_context.parent.log("total", 1) if run_context.parent else None
    return mini_batch
