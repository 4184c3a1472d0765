# shellcheck shell=bash
# What the scripts beside this file share. It is sourced, never run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"

# The first comment block of the calling script is its help text.
print_help() {
    local script
    script=$root/scripts/$(basename "$0")
    if [ ! -f "$script" ]; then script=$root/$(basename "$0"); fi
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$script"
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

now_ms() {
    if [ -n "${EPOCHREALTIME:-}" ]; then
        local micros=${EPOCHREALTIME/[.,]/}
        echo $((micros / 1000))
    else
        echo $(($(date +%s) * 1000))
    fi
}

# since_ms START: the time passed, for people.
since_ms() {
    local passed=$(($(now_ms) - $1))
    printf '%d.%d s' $((passed / 1000)) $((passed % 1000 / 100))
}

# step NAME COMMAND...: one line with the time it took; what the command said is shown only if it fails.
# The command runs without `set -e`: a function given here must chain its commands with &&.
step() {
    local name=$1 started output status=0
    shift
    started=$(now_ms)
    printf '  %-34s ' "$name"
    output=$("$@" 2>&1 </dev/null) || status=$?
    if [ "$status" -eq 0 ]; then
        printf '%9s\n' "$(since_ms "$started")"
    else
        printf '%9s  FAILED\n' "$(since_ms "$started")"
        printf '%s\n' "$output" | sed 's/^/    /'
    fi
    return "$status"
}
