# shellcheck shell=bash
# What scripts share that hold Ostrom against programs of others. Source it from the repository's root.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

# python_with NAME FOLDER: `$venv` has the packages of FOLDER/requirements.txt, with their checksums; made anew where those have changed.
python_with() {
  venv=$target/$1-venv
  if ! cmp --quiet "$2/requirements.txt" "$venv/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$2/requirements.txt"
    cp "$2/requirements.txt" "$venv/requirements.txt"
  fi
}

# node_with FOLDER: `$modules` has the packages of FOLDER/package-lock.json, with their checksums; made anew where those have changed.
node_with() {
  modules=$target/$(basename "$1")-modules
  if ! cmp --quiet "$1/package-lock.json" "$modules/node_modules/package-lock.json"; then
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$1/package.json" "$1/package-lock.json" "$modules"
    (cd "$modules" && npm ci --silent --no-audit --no-fund --ignore-scripts)
    cp "$1/package-lock.json" "$modules/node_modules"
  fi
}

# examples NAME...: builds them into `$target/debug/examples`. With the whole workspace, as its tests are built: features, and with them
# the builds of what they need, would be others.
examples() {
  cargo build --quiet --workspace $(printf -- ' --example %s' "$@")
}
