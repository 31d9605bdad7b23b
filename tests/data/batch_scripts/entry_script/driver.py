"""Logs by EntryScript, writes to its output folder, tidies up at the end."""

from pathlib import Path

from azureml_user.parallel_run import EntryScript


def init():
    logger = EntryScript().logger
    logger.info("init() started.")
    logger.debug("debugging")


def run(mini_batch):
    entry_script = EntryScript()
    entry_script.logger.warning(f"run() is called with {len(mini_batch)} files.")
    output_dir = Path(entry_script.output_dir)
    for name in mini_batch:
        (output_dir / f"{Path(name).stem}.{entry_script.agent_name}.done").write_text("x")
    return [f"{name} changed" for name in mini_batch]


def shutdown():
    EntryScript().logger.info("shutdown is called.")
