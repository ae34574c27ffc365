#!/usr/bin/env bash
# Builds the image; in it, as its user and without network, trains, is stopped, goes on and translates.
#
#   tests/container.sh            (or: make container-test)
#
# Needs root, podman and runc, but no registry and no daemon; on a machine without them it says so and passes. The base
# is a bare Debian with Python, made by debootstrap, unless BASE_IMAGE names another. WHEELS (default: PIP_FIND_LINKS)
# is a folder of wheels to prefer. WORK (default: a folder in TMPDIR) keeps the base for the next time and the logs.
# Where overlays cannot be mounted, STORAGE_DRIVER=vfs copies the image for each container.
set -euo pipefail
cd "$(dirname "$0")/.."

ok() { echo "container: ok, $1 ($SECONDS s)"; }
skip() { echo "container: skipped, $1"; exit 0; }
fail() { echo "container: FAILED, $1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || skip "needs root"
command -v podman >/dev/null || skip "needs podman"
command -v runc >/dev/null || skip "needs runc"
[ -n "${BASE_IMAGE:-}" ] || command -v debootstrap >/dev/null || skip "needs debootstrap (or BASE_IMAGE)"

work="${WORK:-${TMPDIR:-/tmp}/seq2seq-container}"
wheels="${WHEELS:-${PIP_FIND_LINKS:-}}"
mkdir -p "$work"
scratch=$(mktemp -d "$work/run.XXXXXX")
engine() { podman --root "$scratch/storage" --runroot "$scratch/runroot" --runtime runc "$@"; }
clean_up() {
    engine rm --all --force --time 0 >/dev/null 2>&1 || true
    umount "$scratch/storage/overlay" 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT

# The image

base="${BASE_IMAGE:-localhost/python-base:bookworm}"
if [ -z "${BASE_IMAGE:-}" ]; then
    if [ ! -e "$work/base.tar" ]; then
        debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$scratch/base" \
            >"$work/base.log" || skip "needs a Debian mirror for debootstrap, see $work/base.log"
        # A package index behind a certificate of the house's own is reached from inside as from here.
        cp /etc/ssl/certs/ca-certificates.crt "$scratch/base/etc/ssl/certs/"
        tar -C "$scratch/base" -cf "$scratch/base.tar" .
        mv "$scratch/base.tar" "$work/base.tar"
        rm -rf --one-file-system "$scratch/base"
    fi
    engine import --quiet "$work/base.tar" "$base" >/dev/null
    ok "a Debian base with Python"
fi

engine build --isolation chroot --layers=false --build-arg BASE_IMAGE="$base" \
    ${wheels:+--build-context "wheels=$wheels"} --tag seq2seq:test . >"$work/build.log" 2>&1 \
    || { tail -20 "$work/build.log" >&2; fail "the build, see $work/build.log"; }
image() { engine image inspect --format "{{$1}}" seq2seq:test; }
ok "built, $(($(image .Size) / 1000000)) MB"

[ "$(image .Config.Entrypoint)" = "[seq2seq]" ] || fail "entry point: $(image .Config.Entrypoint)"
[ "$(image .Config.User)" = "1000:1000" ] || fail "user: $(image .Config.User)"
[ "$(image .Config.Volumes)" = "map[/data:{} /runs:{}]" ] || fail "volumes: $(image .Config.Volumes)"

# As a job has it: folders of the host as volumes, and a network namespace with nothing in it. Limits are named because
# those that podman would set need a right (CAP_SYS_RESOURCE) that root may lack.
job() {
    engine run --network none --ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --env OMP_NUM_THREADS=1 \
        --volume "$scratch/data:/data" --volume "$runs:/runs" "$@"
}
runs="$scratch/runs"
inside() { job --rm --entrypoint "$1" seq2seq:test "${@:2}"; }
install -d -m 777 "$scratch/data" "$runs"

[ "$(inside id -u)" = 1000 ] || fail "runs as $(inside id -u)"
inside python -c 'import socket; assert [name for _, name in socket.if_nameindex()] == ["lo"]' || fail "has a network"
inside python -c 'import os, sys; sys.exit(os.access(sys.prefix, os.W_OK))' || fail "the package can be overwritten"
inside sh -c '! command -v cc gcc make git' || fail "holds build tools"
ok "runs as uid 1000, without network, build tools or rights on its own package"

# Training: a run that is stopped twice ends with the weights of one that never was

inside python data_scripts/demo.py data/demo --train 300 --valid 20 --test 20 --test_long 10 >/dev/null
fit=(fit --model lstm --model.d_embedding 16 --model.d_model 16 --model.dropout 0.2 --data.src_lang de --data.tgt_lang en
    --data.train data/demo/train --data.valid data/demo/valid --data.tokenizer.vocab_size 400
    --data.max_tokens_per_batch 300 --trainer.max_steps 600 --trainer.val_check_interval 60
    --trainer.check_val_every_n_epoch null --resume auto)
train() { # NAME FOLDER
    job --detach --log-driver k8s-file --name "$1" seq2seq:test "${fit[@]}" --run_dir "runs/$2" >/dev/null
}
has_begun() { # NAME: it has validated
    until engine logs "$1" 2>&1 | grep -q "^update"; do
        [ "$(engine container inspect --format '{{.State.Running}}' "$1")" = true ] || ended "$1" "no code yet"
        sleep 0.2
    done
}
ended() { # NAME CODE: which may be several, 1|2
    local code
    code=$(engine wait "$1")
    [[ "$code" =~ ^($2)$ ]] || { engine logs "$1" 2>&1 | tail -5; fail "$1 ended with $code, not $2"; }
}

train whole whole
ended whole 0
(cd "$scratch/runs/whole/model" && sha256sum --quiet -c SHA256SUMS) || fail "no bundle in the volume /runs"
[ "$(stat -c %u "$scratch/runs/whole/model/config.json")" = 1000 ] || fail "the bundle is not the image's user's"
ok "fit wrote a bundle into /runs"

train stopped parts
has_begun stopped
engine stop --time 60 stopped >/dev/null
ended stopped 143
engine logs stopped 2>&1 | tail -1
train impatient parts
has_begun impatient
engine kill --signal TERM impatient >/dev/null
engine kill --signal TERM impatient >/dev/null
ended impatient "143|130"  # the second one may come while the first is answered
left=$(find "$scratch/runs/parts" -name '*.part*' -o -name '.*.new')
[ -z "$left" ] || fail "half-written: $left"
train rest parts
ended rest 0
inside python -c '
import torch
whole, parts = (torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "parts"))
assert parts["global_step"] == whole["global_step"] == 600
assert all(torch.equal(parts["state_dict"][name], weights) for name, weights in whole["state_dict"].items())
' || fail "the stopped run has other weights"
ok "stopped, stopped impatiently and gone on with, a run has the weights of one that was not"

# Translating

translate() { head -3 "$scratch/data/demo/test.de" | job --rm --interactive "$@" seq2seq:test translate runs/whole; }
translate >"$scratch/translations"
[ "$(wc -l <"$scratch/translations")" = 3 ] || fail "3 lines became $(wc -l <"$scratch/translations")"
translate --user 4321:4321 | cmp - "$scratch/translations" || fail "another user's translation differs"
ok "translate gives a line for a line, to a user unknown to the image as well"

# What cannot be: one line, exit code 2

refused() { # MESSAGE OPTION... IMAGE ARGUMENT...
    local code=0
    job --rm "${@:2}" 2>"$scratch/error" || code=$?
    [ "$code" = 2 ] && [ "$(grep -v "^Seed set\|^GPU available" "$scratch/error")" = "seq2seq: error: $1" ] \
        || { cat "$scratch/error"; fail "no such error: $1"; }
}
refused "config: File does not exist: '/work/configs/demo/transfomer.yaml'" \
    seq2seq:test fit --config configs/demo/transfomer.yaml
runs="$scratch/of_root"
install -d "$runs"
refused "cannot write to the cache /runs/.cache (Permission denied); set cache_dir or the variable SEQ2SEQ_CACHE" \
    seq2seq:test "${fit[@]}"
ok "what the user can mend is one line"
