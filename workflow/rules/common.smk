# Purpose: what every rule needs - checked settings, digests of code and models, the shards of this cohort.
# Reads the merged configuration and, once `ingest` has run, the registry in the results (the working directory).
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

sys.path.insert(0, str(Path(workflow.current_basedir).parent))

from paraspinal.__main__ import BLAS_THREADS
from paraspinal.cohort.running.log_redaction import Discretion, passed_on
from paraspinal.cohort.running.plan import (
    SHARD_STAGES,
    job_environment,
    shard_tables,
    stage_params,
    train_params,
    trained_tasks,
)
from paraspinal.cohort.running.runs import LOCK_VARIABLE, begin_run
from paraspinal.cohort.running.staleness import notices
from paraspinal.core.errors import ParaspinalError
from paraspinal.core.records.registry import INVENTORY_PATH, SHEET_FACTS_PATH
from paraspinal.core.settings import load_settings

try:
    settings = load_settings(config)
except ParaspinalError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process and LOCK_VARIABLE not in os.environ:
    for line in notices(settings):
        logger.warning(line)

# The engine logs its command line and a digest of the configuration, and hands both on to the jobs of a cluster.
logger.addFilter(Discretion(settings))
config.update(settings.public())
workflow.config_settings.config_args = passed_on(
    workflow.config_settings.config_args, settings
)

os.environ.update(job_environment())

# The engine would give numpy's own library the threads of the job, which then spin beside torch's; see __main__.py.
blas_threads = os.environ.get(BLAS_THREADS, "")
shell.prefix(
    f"set -euo pipefail; export {BLAS_THREADS}={blas_threads if blas_threads.isdecimal() else 1}; "
)


wildcard_constraints:
    shard=r"\d{5}",


def after_ingest(paths):
    """Input that is known once the registry is written."""

    def inputs(wildcards):
        checkpoints.ingest.get()
        return paths()

    return inputs


def every_table():
    """The tables of all shards and stages."""
    return [table for name in SHARD_STAGES for table in shard_tables(name, Path())]
