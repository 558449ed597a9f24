#!/usr/bin/env bash
# Weights like those in the package, from nothing: seven runs and their means (docs/model_card.md, "Recipe").
#   recipes/bundled.sh [FOLDER]        some sixteen hours of two CPU cores; FOLDER is runs/bundled
# Put the tar files into data/ first (docs/training.md, "Data of the bundled weights", says which). The same
# command again goes on where it stopped.
set -euo pipefail
recipes=$(dirname "$0")
runs=${1:-runs/bundled}
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=600 # the last step of a run that is stopped may take a while

train() { # NAME RECIPE [KEY=VALUE]...
  if [ ! -e "$runs/$1.done" ]; then
    torchrun --nproc-per-node 2 -m edgetam train "$recipes/$2" "${@:3}" -o "$runs/$1"
    touch "$runs/$1.done"
  fi
}

further() { # NAME SEED WEIGHTS
  train "$1" further.yaml "seed=$2" "model.init=$3"
}

mean() { # NAME [--share N]... WEIGHTS...
  edgetam weights average "${@:2}" -o "$runs/$1.safetensors" --force
}

of() { # NAME: the weights of a run
  echo "$runs/$1/weights.safetensors"
}

train 1 default.yaml
further 2 1 "$(of 1)"
further 3 2 "$(of 1)"
mean of-3 --share 2 --share 1 --share 1 "$(of 1)" "$(of 2)" "$(of 3)"
further 4 19 "$runs/of-3.safetensors"
further 5 20 "$(of 4)"
mean of-5 "$(of 4)" "$(of 5)"
further 6 21 "$runs/of-5.safetensors"
mean of-6 "$runs/of-5.safetensors" "$(of 6)"
further 7 23 "$runs/of-6.safetensors"
mean of-7 "$runs/of-6.safetensors" "$(of 7)"
edgetam weights convert "$runs/of-7.safetensors" "$runs/default.safetensors" --dtype float16 --force
echo "$runs/default.safetensors"
