# Purpose: what the network sees of the spine -> numbered vertebrae; these, or the levels sheet -> slices of the axial scan.
# Input: the segment table of a shard. Output: the levels table of that shard; artifacts: images/**_desc-spine_dseg.nii.gz.
# Artifacts are not declared: the engine deletes declared outputs before a job runs, receipts know better.
rule levels:
    input:
        table="shards/segment/shard-{shard}.parquet",
    output:
        table="shards/levels/shard-{shard}.parquet",
    log:
        "logs/levels/shard-{shard}.log",
    benchmark:
        "benchmarks/levels/shard-{shard}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        **stage_params("levels", settings),
    shell:
        "python -m paraspinal stage levels --shard {wildcards.shard:q} > {log:q} 2>&1"
