# Purpose: one pre-split stack -> one NIfTI image with an allow-listed sidecar.
# Input: the ingest table of a shard. Output: the convert table of that shard; artifacts: images/**.nii.gz.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule convert:
    input:
        table="shards/ingest/shard-{shard}.parquet",
    output:
        table="shards/convert/shard-{shard}.parquet",
    log:
        "logs/convert/shard-{shard}.log",
    benchmark:
        "benchmarks/convert/shard-{shard}.tsv"
    conda:
        "../../envs/convert.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("convert", settings),
    shell:
        "python -m paraspinal stage convert --shard {wildcards.shard:q} > {log:q} 2>&1"
