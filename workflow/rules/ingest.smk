# Purpose: read every header under the input once; write the inventory and deal sessions to shards.
# Input: the folder named in the configuration, which no rule names: its path must not reach a log or a job comment.
# Output: a stamp. The registry is append-only, and inventory and shards/ingest/*.parquet are rewritten only when
# their content changes, so none of them is declared: the engine would delete them first and re-run what follows.
# `paraspinal run` forces this rule in a run of its own before the others, so that new files are seen.
checkpoint ingest:
    output:
        stamp="shards/ingest.done",
    log:
        "logs/ingest.log",
    benchmark:
        "benchmarks/ingest.tsv"
    conda:
        "../../envs/convert.yaml"
    threads: settings.ingest.workers
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        **stage_params("ingest", settings),
    shell:
        "python -m paraspinal stage ingest > {log:q} 2>&1 && touch {output.stamp:q}"
