# Purpose: an explicit list of shard tables -> cohort tables and the data dictionary; counts in = counts out.
# Input: the inventory and the tables of every shard. Output: tables/. Stops loudly when too much failed.
rule aggregate:
    input:
        inventory=after_ingest(lambda: INVENTORY_PATH),
        facts=after_ingest(lambda: SHEET_FACTS_PATH),
        tables=after_ingest(every_table),
    output:
        inventory="tables/inventory.parquet",
        scans="tables/scans.parquet",
        levels="tables/levels.parquet",
        metrics="tables/metrics.parquet",
        slices="tables/slices.parquet",
        quality="tables/quality.parquet",
        participants="tables/participants.parquet",
        covariates="tables/covariates.parquet",
        activities="tables/activities.parquet",
        dictionary="tables/dictionary.json",
        manifest="tables/manifest.json",
    log:
        "logs/aggregate.log",
    benchmark:
        "benchmarks/aggregate.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("aggregate", settings),
    shell:
        "python -m paraspinal stage aggregate > {log:q} 2>&1"
