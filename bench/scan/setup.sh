#!/usr/bin/env bash
# Installs what real.py and peers.py need, each pinned and in a place of its own, outside the repository.
#
#   bench/scan/setup.sh [CACHE_DIR] [makers|torch|picklescan|fickling|modelscan|modelaudit ...]
#
# CACHE_DIR defaults to $XDG_CACHE_HOME/ostrom-bench; each lands in CACHE_DIR/scan-NAME. With no names it installs all. A
# finished install is left as it is; remove its folder to redo it. The packages come from whatever registry pip is set up to
# use. `torch` is its own because its Linux x86-64 package is the CUDA build: about 5 GB of disk, although nothing here needs a
# GPU. A wheel of the CPU build, where one is at hand, does as well: TORCH=path/to/torch.whl.
set -euo pipefail

PIP_VERSION=26.3
TORCH="${TORCH:-torch==2.15.0}"
MAKERS=(
  cloudpickle==3.1.2 gguf==0.19.0 h5py==3.14.0 joblib==1.6.0 keras==3.15.1 lightgbm==4.7.0 lz4==4.4.5 numpy==2.4.6
  onnx==1.23.2 pandas==3.1.1 safetensors==0.8.0 scikit-learn==1.9.1 scipy==1.17.1 skl2onnx==1.20.0 skops==0.16.0
  tensorflow-cpu==2.21.0 tokenizers==0.23.3 xgboost-cpu==3.2.0
)
# The peers with the packages that their scanners make use of where they are installed; torch, mlflow and databases left out.
MODELAUDIT=(
  modelaudit==0.2.54 dill==0.4.1 h5py==3.16.0 joblib==1.6.0 lz4==4.4.5 onnx==1.23.2 py-ubjson==0.16.1 py7zr==1.1.4
  safetensors==0.8.0 scikit-learn==1.9.1 tflite==2.18.0 xgboost-cpu==3.2.0
)

cache="${1:-${XDG_CACHE_HOME:-$HOME/.cache}/ostrom-bench}"
shift || true
[ "$#" -gt 0 ] || set -- makers torch picklescan fickling modelscan modelaudit
cache="$(realpath -m "$cache")"
repository="$(cd "$(dirname "$0")/../.." && pwd)"
case "$cache/" in "$repository"/*) echo "setup: $cache is inside the repository; choose another folder" >&2; exit 2 ;; esac
mkdir -p "$cache"

python="${PYTHON:-python3}"
polite() { nice -n 10 "$@"; }

venv() { # venv NAME PACKAGE...: a virtual environment holding exactly these packages and what they need
  local home="$cache/scan-$1" name="$1"; shift
  if [ -e "$home/.complete" ]; then echo "setup: $name is already there"; return; fi
  echo "setup: installing $name ($*)"
  rm -rf "$home"
  polite "$python" -m venv "$home"
  polite "$home/bin/python" -m pip install --quiet --disable-pip-version-check "pip==$PIP_VERSION"
  polite "$home/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  "$home/bin/python" -m pip freeze --disable-pip-version-check >"$home/.complete"
}

for name in "$@"; do
  case "$name" in
    makers) venv makers "${MAKERS[@]}" ;;
    torch) venv torch "$TORCH" numpy==2.4.6 safetensors==0.8.0 transformers==5.19.0 ;;
    picklescan) venv picklescan picklescan==1.0.5 ;;
    # It imports typing_extensions without asking for it.
    fickling) venv fickling fickling==0.1.12 typing_extensions==4.16.0 ;;
    modelscan) venv modelscan 'modelscan[h5py]==0.8.8' tensorflow-cpu==2.21.0 ;;
    modelaudit) venv modelaudit "${MODELAUDIT[@]}" ;;
    *) echo "setup: no such name: $name (makers, torch, picklescan, fickling, modelscan, modelaudit)" >&2; exit 2 ;;
  esac
done
echo "setup: ready in $cache"
