# Purpose: size and fat per muscle, side and level.
# Input: the levels table of a shard. Output: the measure table of that shard; artifacts: nothing but the table.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule measure:
    input:
        table="shards/levels/shard-{shard}.parquet",
    output:
        table="shards/measure/shard-{shard}.parquet",
    log:
        "logs/measure/shard-{shard}.log",
    benchmark:
        "benchmarks/measure/shard-{shard}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("measure", settings),
    shell:
        "python -m paraspinal stage measure --shard {wildcards.shard:q} > {log:q} 2>&1"
