# Purpose: the cohort page, the methods text and the reporting checklist, from the cohort tables and model cards.
# Input: tables/. Output: report/; index.html is one file that works offline.
rule report:
    input:
        inventory="tables/inventory.parquet",
        scans="tables/scans.parquet",
        levels="tables/levels.parquet",
        metrics="tables/metrics.parquet",
        quality="tables/quality.parquet",
        participants="tables/participants.parquet",
        covariates="tables/covariates.parquet",
        activities="tables/activities.parquet",
        dictionary="tables/dictionary.json",
        manifest="tables/manifest.json",
    output:
        page="report/index.html",
        methods="report/methods.md",
        claim="report/claim-2024.md",
        manifest="report/manifest.json",
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    conda:
        "../../envs/tables.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("report", settings),
    shell:
        "python -m paraspinal stage report > {log:q} 2>&1"
