# Purpose: the cohort page, from the cohort tables only.
# Input: tables/. Output: report/index.html, one file that works offline.
rule report:
    input:
        inventory="tables/inventory.parquet",
        scans="tables/scans.parquet",
        levels="tables/levels.parquet",
        metrics="tables/metrics.parquet",
        quality="tables/quality.parquet",
        dictionary="tables/dictionary.json",
    output:
        page="report/index.html",
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
