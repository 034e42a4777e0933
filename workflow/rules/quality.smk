# Purpose: flags, traffic light and an overlay picture per scan.
# Input: the measure table of a shard. Output: the quality table of that shard; artifacts: images/**_desc-overlay_*.png.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule quality:
    input:
        table="shards/measure/shard-{shard}.parquet",
    output:
        table="shards/quality/shard-{shard}.parquet",
    log:
        "logs/quality/shard-{shard}.log",
    benchmark:
        "benchmarks/quality/shard-{shard}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("quality", settings),
    shell:
        "python -m paraspinal stage quality --shard {wildcards.shard:q} > {log:q} 2>&1"
