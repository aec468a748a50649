#!/usr/bin/env bash
# Trains one experiment with several processes, which share the micro-batches of every step. scripts/pytorch/distributed.sh and
# scripts/mindspore/distributed.sh call this one with their backend:
#
#   bash scripts/pytorch/distributed.sh CONFIG [--processes N] [--nodes N --node-rank R --master HOST] [--port P] [options of twinlora train]
#
# CONFIG         a YAML file, or the name of a shipped experiment such as bert_sst2
# --processes N  processes on this node, one per card; default 2
# --nodes N      nodes of the job; default 1. Run the same command on each, with its own --node-rank from 0
# --master HOST  the node of rank 0, as the others reach it; default 127.0.0.1
# --port P       a free port there; default 29500
# --grace S      seconds that the training has to save its state after SIGTERM or Ctrl-C, before it is killed; default 60
# --logs DIR     where msrun keeps one log per process; default runs/logs. torchrun prints everything
#
# training.global_batch_size must be a multiple of training.micro_batch_size x processes; without micro_batch_size it is divided evenly.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
fail() {
    echo "distributed.sh: $1" >&2
    exit 2
}

backend="${1:-}"
[[ "$backend" == pytorch || "$backend" == mindspore ]] || { usage && exit 2; }
shift
[[ $# -gt 0 ]] || { usage && exit 2; }
[[ "$1" != --help && "$1" != -h ]] || { usage && exit 0; }
config="$1"
shift
processes=2 nodes=1 node_rank=0 master=127.0.0.1 port=29500 logs=runs/logs grace=60
passed=()
while [[ $# -gt 0 ]]; do
    case "$1" in
    --processes | --nodes | --node-rank | --master | --port | --logs | --grace)
        [[ $# -gt 1 ]] || fail "$1 needs a value"
        name="${1#--}"
        printf -v "${name//-/_}" '%s' "$2"
        shift 2
        ;;
    *)
        passed+=("$1")
        shift
        ;;
    esac
done
for name in processes nodes node_rank port grace; do
    [[ "${!name}" =~ ^[0-9]+$ ]] || fail "--${name//_/-} must be a whole number; received '${!name}'"
done
[[ $processes -ge 1 && $nodes -ge 1 ]] || fail "--processes and --nodes must be at least 1; received $processes and $nodes"
[[ $node_rank -lt $nodes ]] || fail "--node-rank must be below --nodes; received $node_rank and $nodes"
[[ $nodes -eq 1 || "$master" != 127.0.0.1 ]] || fail "with several nodes --master must name the node of rank 0 as the others reach it"

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -x "$root/.venv/bin/twinlora" ]]; then
    export PATH="$root/.venv/bin:$PATH" # msrun starts the `python` on PATH
elif ! command -v twinlora >/dev/null; then
    fail "twinlora is not installed: run bash scripts/demo.sh once, or pip install -e \".[$backend]\" -c constraints.txt in an environment of yours"
fi
twinlora="$(command -v twinlora)"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # processes that share a machine's cores get in each other's way otherwise
training=("$twinlora" train "$config" --backend "$backend" ${passed[@]+"${passed[@]}"})
python="$(dirname "$twinlora")/python"
[[ -x "$python" ]] || python=python3
guard=("$python" "$root/scripts/supervise.py" --master "$master" --port "$port" --node-rank "$node_rank" --grace "$grace")
if [[ "$backend" == pytorch ]]; then
    exec "${guard[@]}" -- torchrun --nnodes "$nodes" --node_rank "$node_rank" --nproc_per_node "$processes" --master_addr "$master" \
        --master_port "$port" --no-python "${training[@]}"
fi
mkdir -p "$logs"
rm -f "$logs"/rank_*.ended "$logs"/scheduler.ended
exec "${guard[@]}" --workers-first --msrun-logs "$logs" --first-rank $((node_rank * processes)) -- msrun --worker_num $((nodes * processes)) \
    --local_worker_num "$processes" --node_rank "$node_rank" --master_addr "$master" --master_port "$port" --log_dir "$logs" --join True \
    "$root/scripts/mindspore/worker.py" "$logs" "${training[@]}"
