#!/bin/sh
# Say how a Job is: success, failed or running. status.sh JOB
# One that is gone counts as failed: it is tried again, and what it had finished is not done again.
if ! state=$(kubectl get job "$1" --output='jsonpath={.status.succeeded}/{.status.failed}' 2>&1); then
  case $state in
    *NotFound*|*"not found"*) state=/1;;
    *) state=/;; # the cluster does not answer: ask again later
  esac
fi
case $state in
  [1-9]*/*) echo success;;
  */[1-9]*) echo failed;;
  *) echo running;;
esac
