# Purpose: models made, not used: `snakemake train`. Nothing in the workflow from images to tables depends on it.
# Input: synthesis, and with `train.cohort_sheet` the user's own labelled images. Output: a models folder per task.
# Steps: train in phases (checkpoints beside the output, so a killed job continues), export, measure, write the card.
rule train:
    input:
        expand("train/{task}/resources/models.tsv", task=trained_tasks(settings)),


rule train_model:
    output:
        registry="train/{task}/resources/models.tsv",
    log:
        "logs/train/{task}.log",
    benchmark:
        "benchmarks/train/{task}.tsv"
    wildcard_constraints:
        task="muscles|spine",
    conda:
        "../../envs/segment.yaml"
    threads: settings.segment.threads
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
        gpu=1 if settings.segment.device == "cuda" else 0,
    params:
        **train_params(settings),
    shell:
        "python -m paraspinal train {wildcards.task:q} --results . --threads {threads} > {log:q} 2>&1"
