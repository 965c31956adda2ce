#!/bin/sh
# Spreads a sweep over machines, or over this one, with GNU parallel. Every machine has omni and the job file at the same path.
#
#   sudo examples/sweep/gnu-parallel.sh examples/sweep/tcp-vs-ber.yaml 8                      here, two shards at a time
#   sudo SSHLOGIN=lab1,lab2,lab3 examples/sweep/gnu-parallel.sh job.yaml 24                   over ssh
#
# Started again it goes on: finished runs are in the shards' files. The joined results are in NAME-all.jsonl.
set -eu
job=$1
shards=${2:-4}
name=$(basename "$job" .yaml)
omni=${OMNI:-omni}
if [ -n "${SSHLOGIN:-}" ]; then
  # One shard a machine at a time: a sweep takes as much of a machine as it may.
  set -- --sshlogin "$SSHLOGIN" --jobs 1 --return "$name-{}.jsonl" --cleanup
else
  set -- --jobs "${JOBS:-2}"
fi
# --halt: a shard that fails does not end the others. --parallel shares one machine among the shards that run on it.
parallel "$@" --halt never --joblog "$name.joblog" \
  "$omni" sweep "$job" --shard "{}/$shards" --output "$name-{}.jsonl" ${PARALLEL_RUNS:+--parallel "$PARALLEL_RUNS"} \
  ::: $(seq 1 "$shards")
rm -f "$name-all.jsonl"
"$omni" sweep merge "$name-all.jsonl" $(seq -f "$name-%g.jsonl" 1 "$shards")
"$omni" sweep --show "$name-all.jsonl"
