#!/usr/bin/env bash
# usage: ./deploy.sh local|prod [OPTION...]
#
# Puts this checkout into service: runs the tests, builds the front end, copies a release with its own virtualenv from
# the locked hashes, rehearses it beside the one that serves, switches, and goes back by itself if it is not ready.
# No connection is refused meanwhile and running streams are drained.
#
#   prod     over ssh to a Debian server that was prepared as SETUP_GUIDE.md says; only what is committed
#   local    the same into .deploy/ of this checkout, on port 3001, with the demo's wallets and its OpenAI
#
#   --host HOST           where to (DEPLOY_HOST; captain, an alias of your ~/.ssh/config)
#   --user USER           log in as (DEPLOY_USER; as ssh decides). Not root: must be able to `sudo -n`
#   --path DIR            releases/, current and shared/ are there (DEPLOY_PATH; /srv/alittlebitofmoney)
#   --service-user USER   runs the server (DEPLOY_SERVICE_USER; alittlebitofmoney)
#   --port N              where it listens, on 127.0.0.1 (DEPLOY_PORT; 3000, local 3001)
#   --demo-port N         local only: wallets on N and N+1, OpenAI on N+2, their control on N+9 (9740)
#   --skip-tests          you have just run scripts/test.sh
#   --back                build nothing: go back to the release that served before
#   --stop                local only: stop everything that `local` started
#   --dry-run             print what would be run, and run nothing
#
# Three more variables, for machines that differ: DEPLOY_SSH (ssh; may carry options), DEPLOY_SUPERVISOR (systemctl) and
# DEPLOY_UNITS (/etc/systemd/system).
#
# exit status: 0 done; 1 nothing was changed; 2 not understood; 3 rolled back, the release before serves;
# 4 not ready, look at it now

# shellcheck source=scripts/_lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/scripts/_lib.sh"

NOT_UNDERSTOOD=2
# What a server needs of a checkout, beside frontend/dist.
RELEASED=(server.py config.yaml lib scripts deploy requirements.txt e2e-test-all.sh docs LICENSE)

misunderstood() {
    printf 'deploy.sh: %s; see --help\n' "$*" >&2
    exit "$NOT_UNDERSTOOD"
}

parse_arguments() {
    target='' dry_run=no tests=yes action=deploy
    host=${DEPLOY_HOST:-captain} login=${DEPLOY_USER:-} path=${DEPLOY_PATH:-} port=${DEPLOY_PORT:-}
    service_user=${DEPLOY_SERVICE_USER:-} ssh=${DEPLOY_SSH:-ssh} demo_port=9740
    supervisor=${DEPLOY_SUPERVISOR:-} units=${DEPLOY_UNITS:-}
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) print_help && exit ;;
            local | prod) [ -z "$target" ] || misunderstood "one of local and prod" && target=$1 ;;
            --skip-tests) tests=no ;;
            --dry-run) dry_run=yes ;;
            --back) action=back ;;
            --stop) action=stop ;;
            --host | --user | --path | --service-user | --port | --demo-port)
                [ -n "${2:-}" ] || misunderstood "$1 needs a value"
                set_option "$1" "$2"
                shift
                ;;
            *) misunderstood "unknown argument '$1'" ;;
        esac
        shift
    done
    case $target:$action in
        :*) misunderstood "local or prod?" ;;
        prod:stop) misunderstood "--stop is for local; on the server: systemctl stop alittlebitofmoney.socket" ;;
    esac
}

set_option() { # FLAG VALUE
    case $1 in
        --host) host=$2 ;;
        --user) login=$2 ;;
        --path) path=$2 ;;
        --service-user) service_user=$2 ;;
        --port) port=$2 ;;
        --demo-port) demo_port=$2 ;;
    esac
}

set_defaults() {
    if [ "$target" = prod ]; then
        : "${path:=/srv/alittlebitofmoney}" "${port:=3000}" "${service_user:=alittlebitofmoney}"
        : "${supervisor:=systemctl}" "${units:=/etc/systemd/system}"
    else
        : "${path:=$root/.deploy}" "${port:=3001}" "${service_user:=$(id -un)}"
        case $path in /*) ;; *) path=$root/$path ;; esac
        supervisor="$root/scripts/supervisor --directory $path" units=$path/units
    fi
    [[ $port$demo_port =~ ^[0-9]{1,10}$ ]] || misunderstood "a port is a number"
    case $path in /*) ;; *) misunderstood "--path must begin with /" ;; esac
    case $path$service_user in *[!A-Za-z0-9/._-]*) misunderstood "no spaces or other special characters in names" ;; esac
    release=$(date -u +%Y%m%dT%H%M%SZ)-$(git rev-parse --short=10 HEAD)
}

# --- Where it goes --------------------------------------------------------------------------------------------------

# on_target COMMAND: in a shell there, as root where there are others to be; its input is ours.
on_target() {
    if [ "$dry_run" = yes ]; then
        printf '  would run %s: %s\n' "$([ "$target" = prod ] && echo "on $host" || echo here)" "$1"
    elif [ "$target" = local ]; then
        bash -c "$1"
    else
        # shellcheck disable=SC2029,SC2086 # the command is quoted here, for there; DEPLOY_SSH may hold options
        $ssh "${login:+$login@}$host" "$(as_root) bash -c $(printf %q "$1")"
    fi
}

# What stands before a command there. Without systemd nothing needs root.
as_root() {
    # shellcheck disable=SC2016 # for the shell there
    if [ "$supervisor" = systemctl ]; then echo '$([ "$(id -u)" = 0 ] || echo sudo -n)'; fi
}

here() { # NAME COMMAND...: as `step`, or told only
    local name=$1
    shift
    if [ "$dry_run" = yes ]; then echo "  would run here: $*"; else step "$name" "$@"; fi
}

# --- The steps ------------------------------------------------------------------------------------------------------

check_checkout() {
    command -v git >/dev/null || die "needs git"
    if [ "$target" = prod ] && [ -n "$(git status --porcelain)" ]; then
        [ "$dry_run" = no ] || { echo "  would stop here: there are changes that are not committed" && return; }
        die "there are changes that are not committed: what serves must be what is in the history"
    fi
}

# Found out before anything takes time.
check_target() {
    if [ "$target" = local ] || [ "$dry_run" = yes ]; then return; fi
    on_target true </dev/null || die "cannot run commands on $host${login:+ as $login}: see SETUP_GUIDE.md, step 1"
}

test_and_build() {
    if [ "$tests" = yes ]; then
        if [ "$dry_run" = yes ]; then
            echo "  would run here: scripts/test.sh"
        else
            scripts/test.sh || die "the tests failed: nothing was changed"
        fi
    else
        echo "  tests skipped, as you said"
    fi
    if [ "$target" = prod ]; then
        here "front end" scripts/setup --frontend-only
    else
        here "front end, and the demo's parts" scripts/setup demo
    fi || die "nothing was changed"
}

# shellcheck disable=SC2329 # `step` calls it by its name, and it calls pack
send_release() { # DIRECTORY
    pack | on_target "umask 022 && mkdir -p $1 $path/shared && tar --extract --gzip --no-same-owner --directory $1"
}

# shellcheck disable=SC2329
pack() {
    tar --create --gzip --exclude=__pycache__ "${RELEASED[@]}" frontend/dist
}

copy_release() {
    local into=$path/releases/$release
    if [ "$dry_run" = yes ]; then
        echo "  would pack: ${RELEASED[*]} frontend/dist"
        on_target "umask 022 && mkdir -p $into $path/shared && tar --extract --gzip --no-same-owner --directory $into"
    else
        step "release $release" send_release "$into" || die "nothing was changed"
    fi
    on_target_step "virtualenv and packages there" \
        "umask 022 && cd $into && scripts/setup runtime --python-only && .venv/bin/python -m compileall -q server.py lib" ||
        die "nothing was changed"
}

on_target_step() { # NAME COMMAND
    if [ "$dry_run" = yes ]; then on_target "$2"; else step "$1" on_target "$2"; fi
}

take_into_service() { # RELEASE [--back]
    local status=0
    on_target "cd $path/releases/$1 && exec scripts/release --path $path --user $service_user --port $port \
--supervisor $(printf %q "$supervisor") --units $units ${2:-}" || status=$?
    case $status in
        0 | 1 | 3 | 4) exit "$status" ;;
        *) die "the connection or the program there broke (status $status). Look: $path/current, and the service" ;;
    esac
}

# --- local ----------------------------------------------------------------------------------------------------------

# The demo's parts, whose money is play money. They remember nothing, so a ledger that outlived them is put away.
# They run from the checkout: no release that is removed takes them along.
prepare_local() {
    local doubles="--seller-port $demo_port --payer-port $((demo_port + 1)) --openai-port $((demo_port + 2))"
    mkdir -p "$path/units" "$path/shared"
    cat >"$path/units/alittlebitofmoney-demo.service" <<UNIT
[Service]
WorkingDirectory=$root
ExecStart=$root/.venv/bin/python -m lib.demo $doubles --control-port $((demo_port + 9))
Restart=on-failure
UNIT
    if ! $supervisor is-active alittlebitofmoney-demo.service; then
        rm -rf "$path/data"
        $supervisor start alittlebitofmoney-demo.service
    fi
}

demo_environment() {
    local name
    for name in $(compgen -e); do
        case $name in PATH | HOME | LANG | LC_* | TMPDIR | TERM | PWD) ;; *) unset "$name" || true ;; esac
    done
    (umask 077 && mkdir -p "$path" && [ -s "$path/root_key" ] || openssl rand -hex 32 >"$path/root_key")
    L402_ROOT_KEY=$(cat "$path/root_key")
    export L402_ROOT_KEY ALITTLEBITOFMONEY_DEMO=1 ALITTLEBITOFMONEY_DATA_DIR="$path/data" BTC_USD=100000
    export OPENAI_API_KEY=demo-upstream-key OPENAI_BASE_URL=http://127.0.0.1:$((demo_port + 2))/v1
    export PHOENIX_URL=http://127.0.0.1:$demo_port PHOENIX_PASSWORD=demo-limited
}

# --------------------------------------------------------------------------------------------------------------------

main() {
    parse_arguments "$@"
    set_defaults
    if [ "$action" = stop ]; then
        $supervisor shutdown
        exit
    fi
    echo "deploy ($target, $([ "$action" = back ] && echo back || echo "$release"))"
    if [ "$action" = deploy ]; then
        check_checkout
        check_target
        test_and_build
    fi
    if [ "$target" = local ] && [ "$dry_run" = no ]; then demo_environment; fi
    if [ "$action" = back ]; then
        # The release that serves knows how to go back.
        take_into_service "\$(basename \$(readlink $path/current))" --back
    fi
    copy_release
    if [ "$target" = local ] && [ "$dry_run" = no ]; then prepare_local; fi
    take_into_service "$release"
}

main "$@"
