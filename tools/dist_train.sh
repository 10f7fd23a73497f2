#!/usr/bin/env bash
# Trains on several GPUs, or several CPU processes where there is no GPU.
#
#   tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py ...]
#
# On several nodes, run it on each with
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=<first node> [PORT=29500] tools/dist_train.sh ...
set -euo pipefail

if [ $# -lt 2 ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
config=$1
processes=$2
shift 2

exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
