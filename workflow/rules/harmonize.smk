# Purpose: images that belong together -> scans; Dixon sets checked before any ratio.
# Input: the convert table of a shard. Output: the harmonize table of that shard; artifacts: nothing but the table.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule harmonize:
    input:
        table="shards/convert/shard-{shard}.parquet",
    output:
        table="shards/harmonize/shard-{shard}.parquet",
    log:
        "logs/harmonize/shard-{shard}.log",
    benchmark:
        "benchmarks/harmonize/shard-{shard}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("harmonize", settings),
    shell:
        "python -m paraspinal stage harmonize --shard {wildcards.shard:q} > {log:q} 2>&1"
