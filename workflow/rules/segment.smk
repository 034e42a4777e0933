# Purpose: muscles outlined in the native grid, and what the network sees of the spine; models are loaded once per shard.
# Input: the harmonize table of a shard. Output: the segment table of that shard; artifacts:
# images/**_desc-muscles_dseg.nii.gz and images/**_desc-spine_probseg.nii.gz.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule segment:
    input:
        table="shards/harmonize/shard-{shard}.parquet",
    output:
        table="shards/segment/shard-{shard}.parquet",
    log:
        "logs/segment/shard-{shard}.log",
    benchmark:
        "benchmarks/segment/shard-{shard}.tsv"
    conda:
        "../../envs/segment.yaml"
    threads: settings.segment.threads
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=1 if settings.segment.device == "cuda" else 0,
    params:
        **stage_params("segment", settings),
    shell:
        "python -m paraspinal stage segment --shard {wildcards.shard:q} --workers {threads} > {log:q} 2>&1"
