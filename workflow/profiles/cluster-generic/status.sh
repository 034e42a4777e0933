#!/bin/sh
# Say how a job is: success, failed or running. status.sh JOB
# A job that nobody knows any more counts as failed: it is tried again, and what it had finished is not done again.
if ! state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>&1); then
  case $state in
    *"Invalid job id"*) state=$(sacct --allocations --noheader --jobs="$1" --format=State 2>/dev/null) || state=;;
    *) state=UNKNOWN;; # the controller does not answer: ask again later
  esac
fi
case $state in
  *COMPLETED*) echo success;;
  ""|*FAIL*|*CANCELLED*|*TIMEOUT*|*OUT_OF_MEMORY*|*DEADLINE*|*PREEMPTED*|*REVOKED*) echo failed;;
  *) echo running;;
esac
