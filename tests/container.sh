#!/usr/bin/env bash
# Builds the Dockerfile without a container engine; trains and translates in the image as its user, without network.
#
#   tests/container.sh            (or: make container-test)
#
# Needs root, buildah and debootstrap; on a machine without them it says so and passes. The base is a bare Debian with
# Python, unless BASE_IMAGE names another. WHEELS (default: PIP_FIND_LINKS) is a folder of wheels to prefer. WORK
# (default: a folder in TMPDIR) keeps the base for the next time and the build's log.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "container: skipped, $1"; exit 0; }
fail() { echo "container: FAILED, $1" >&2; exit 1; }
ok() { echo "container: ok, $1"; }

[ "$(id -u)" = 0 ] || skip "needs root"
command -v buildah >/dev/null || skip "needs buildah"
[ -n "${BASE_IMAGE:-}" ] || command -v debootstrap >/dev/null || skip "needs debootstrap (or BASE_IMAGE)"

work="${WORK:-${TMPDIR:-/tmp}/seq2seq-container}"
wheels="${WHEELS:-${PIP_FIND_LINKS:-}}"
mkdir -p "$work"
scratch=$(mktemp -d "$work/run.XXXXXX")
trap 'rm -rf --one-file-system "$scratch"' EXIT
store=(buildah --storage-driver vfs --root "$scratch/storage" --runroot "$scratch/runroot")

base="${BASE_IMAGE:-localhost/python-base}"
if [ -z "${BASE_IMAGE:-}" ]; then
    if [ ! -e "$work/base.tar" ]; then
        echo "container: making a Debian base with Python (once)"
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$scratch/base" \
            >"$work/base.log" || fail "debootstrap, see $work/base.log"
        # A package index behind a certificate of the house's own is reached from inside as from here.
        cp /etc/ssl/certs/ca-certificates.crt "$scratch/base/etc/ssl/certs/"
        tar -C "$scratch/base" -cf "$scratch/base.tar" .
        mv "$scratch/base.tar" "$work/base.tar"
        rm -rf "$scratch/base"
    fi
    new=$("${store[@]}" from scratch)
    "${store[@]}" add -q "$new" "$work/base.tar" / >/dev/null
    "${store[@]}" commit -q --rm "$new" "$base" >/dev/null
fi

SECONDS=0
"${store[@]}" build --isolation chroot --build-arg BASE_IMAGE="$base" ${wheels:+--build-context "wheels=$wheels"} \
    -t seq2seq . >"$work/build.log" 2>&1 || { tail -20 "$work/build.log" >&2; fail "the build, see $work/build.log"; }
ok "built in $SECONDS s"

config() { "${store[@]}" inspect --type image --format "{{.OCIv1.Config.$1}}" seq2seq; }
[ "$(config Entrypoint)" = "[seq2seq]" ] || fail "entry point: $(config Entrypoint)"
[ "$(config User)" = "1000:1000" ] || fail "user: $(config User)"
[ "$(config Volumes)" = "map[/data:{} /runs:{}]" ] || fail "volumes: $(config Volumes)"
ok "entry point $(config Entrypoint), user $(config User), volumes $(config Volumes)"

container=$("${store[@]}" from seq2seq)
# `buildah run` would lay empty volumes of its own over the host's folders.
"${store[@]}" config --volume /data- --volume /runs- "$container"
# As a job has it: host folders as volumes, and a network namespace with nothing in it.
inside() {
    unshare --net "${store[@]}" run --isolation chroot --volume "$scratch/volumes/data:/data" \
        --volume "$scratch/volumes/runs:/runs" ${as:+--user "$as"} "$container" -- "$@"
}
install -d -m 777 "$scratch/volumes/data" "$scratch/volumes/runs"
as=""

[ "$(inside id -u)" = 1000 ] || fail "runs as $(inside id -u)"
inside python -c 'import socket; assert [name for _, name in socket.if_nameindex()] == ["lo"]' || fail "has a network"
inside python -c 'import os, sys; sys.exit(os.access(sys.prefix, os.W_OK))' || fail "the package can be overwritten"
for tool in gcc make; do
    if inside sh -c "command -v $tool" >/dev/null 2>&1; then fail "holds $tool"; fi
done
inside seq2seq --help | grep -q translate || fail "seq2seq --help names no commands"
ok "runs as uid 1000, without network, compiler or rights on its own package"

# Paths relative to the working folder lie in the volumes.
inside python data_scripts/demo.py data/demo --train 300 --valid 20 --test 20 --test_long 10
fit=(seq2seq fit --model lstm --model.d_embedding 16 --model.d_model 16 --data.src_lang de --data.tgt_lang en
    --data.train data/demo/train --data.valid data/demo/valid --data.tokenizer.vocab_size 400 --trainer.max_steps 5)
inside "${fit[@]}"
(cd "$scratch/volumes/runs/lstm/model" && sha256sum --quiet -c SHA256SUMS) || fail "no bundle in the volume /runs"
[ "$(stat -c %u "$scratch/volumes/runs/lstm/model/config.json")" = 1000 ] || fail "the bundle is not the image's user's"
ok "fit wrote a bundle into /runs"

translate() { head -3 "$scratch/volumes/data/demo/test.de" | inside seq2seq translate runs/lstm; }
translate >"$scratch/translations"
[ "$(wc -l <"$scratch/translations")" = 3 ] || fail "3 lines became $(wc -l <"$scratch/translations")"
ok "translate gives a line for a line"

as=4321:4321
translate | cmp - "$scratch/translations" || fail "another user's translation differs"
inside "${fit[@]}" --run_dir runs/another_user
ok "a user unknown to the image translates and trains as well"
