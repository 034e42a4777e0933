"""The cohort as a whole: plan, runs, aggregation, status."""
