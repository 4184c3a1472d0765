#!/usr/bin/env bash
# usage: scripts/demo.sh [--port N] [--seller-port N] [--payer-port N] [--openai-port N] [--control-port N]
#                        [--no-frontend] [--keep]
#
# Brings up everything on this machine, with no bitcoin and no provider's key: two pretended Lightning wallets, pretended
# providers, and the real server between them. Then prints commands to paste. Ctrl-C stops all of it.
#
#   --port N           the server (3000)
#   --seller-port N    the seller's phoenixd (9740; passwords demo-full and demo-limited)
#   --payer-port N     the payer's phoenixd (9741; password demo; it starts with 10,000,000 sat)
#   --openai-port N    OpenAI, Anthropic and a search (9742; key demo-upstream-key)
#   --control-port N   faults, journal and ledgers of the doubles (9749)
#   --no-frontend      do not build the site; needs no Node
#   --keep             keep the last demo's ledger. Its payments are gone from the new wallets, so expect alarms and
#                      frozen accounts: to the server the node has lost its memory
#
# Everything is kept in .demo/: the root key, the ledger and, in .demo/logs/, what the parts say.

# shellcheck disable=SC2329  # traps and wait_until call functions by name
# shellcheck source=scripts/_lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/_lib.sh"

START_LIMIT_SECONDS=60
STOP_LIMIT_SECONDS=15
LOG_TAIL_LINES=25
host=127.0.0.1
data=.demo
logs=$data/logs

port=3000 seller_port=9740 payer_port=9741 openai_port=9742 control_port=9749
frontend=yes keep=no
doubles_pid='' server_pid=''

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) print_help && exit ;;
            --no-frontend) frontend=no ;;
            --keep) keep=yes ;;
            --port | --seller-port | --payer-port | --openai-port | --control-port)
                [[ ${2:-} =~ ^[0-9]{1,5}$ ]] && [ "$2" -ge 1 ] && [ "$2" -le 65535 ] ||
                    die "$1 needs a number from 1 to 65535"
                set_port "$1" "$2"
                shift
                ;;
            *) die "unknown argument '$1'; see --help" ;;
        esac
        shift
    done
}

set_port() { # FLAG NUMBER
    case $1 in
        --port) port=$2 ;;
        --seller-port) seller_port=$2 ;;
        --payer-port) payer_port=$2 ;;
        --openai-port) openai_port=$2 ;;
        --control-port) control_port=$2 ;;
    esac
}

# --- Before anything starts -----------------------------------------------------------------------------------------

is_listening() { # PORT
    (exec 3<>"/dev/tcp/$host/$1") 2>/dev/null
}

check_ports() {
    local flag number seen=' ' taken=''
    for flag in port:$port seller-port:$seller_port payer-port:$payer_port openai-port:$openai_port \
        control-port:$control_port; do
        number=${flag#*:}
        case $seen in *" $number "*) die "port $number is given twice; see --help" ;; esac
        seen="$seen$number "
        if is_listening "$number"; then taken="$taken $number (move it with --${flag%%:*} N)"; fi
    done
    [ -z "$taken" ] || die "another program listens on:$taken. Is another demo running?"
}

check_parts() {
    local part
    for part in server.py config.yaml lib/demo/__main__.py; do
        [ -f "$part" ] || die "there is no $part in this checkout: the demo cannot start"
    done
}

set_up() {
    if [ "$frontend" = yes ]; then
        scripts/setup demo || die "the set-up failed, see above. Without Node: scripts/demo.sh --no-frontend"
        [ -f frontend/dist/index.html ] || echo "  no site: frontend/dist is not built; the API works without it"
    else
        scripts/setup demo --python-only || die "the set-up failed, see above"
        echo "  no site was built (--no-frontend); the API works without it"
    fi
}

prepare_data() {
    (umask 077 && mkdir -p "$data" "$logs")
    chmod 700 "$data"
    : >"$logs/doubles.log" && : >"$logs/doubles.out" && : >"$logs/server.log"
    if [ ! -s "$data/root_key" ]; then
        (umask 077 && .venv/bin/python -c 'import secrets; print(secrets.token_hex(32))' >"$data/root_key")
    fi
    chmod 600 "$data/root_key"
    if [ "$keep" = yes ]; then
        echo "  ledger of the last demo kept: the new wallets know nothing of its payments, so expect alarms"
    else
        rm -rf "$data/ledger"
        echo "  fresh ledger: the wallets forget at every start, so the last demo's balances are gone (--keep keeps them)"
    fi
}

# --- The parts ------------------------------------------------------------------------------------------------------

start_doubles() {
    .venv/bin/python -m lib.demo --host "$host" --seller-port "$seller_port" --payer-port "$payer_port" \
        --openai-port "$openai_port" --control-port "$control_port" \
        >"$logs/doubles.out" 2>"$logs/doubles.log" </dev/null &
    doubles_pid=$!
}

# Nothing of yours gets in: no key, database or node from this shell or from .env.secrets, whose values an empty one
# overrules. Secrets go by the environment, never by arguments that `ps` shows.
start_server() {
    (
        for name in $(compgen -e); do
            case $name in PATH | HOME | LANG | LC_* | TMPDIR | TERM | PWD) ;; *) unset "$name" || true ;; esac
        done
        L402_ROOT_KEY=$(cat "$data/root_key")
        export L402_ROOT_KEY ALITTLEBITOFMONEY_DEMO=1 ALITTLEBITOFMONEY_DATA_DIR="$data/ledger" BTC_USD=100000
        upstream=http://$host:$openai_port
        export OPENAI_API_KEY=demo-upstream-key OPENAI_BASE_URL="$upstream/v1"
        export ANTHROPIC_API_KEY=demo-upstream-key ANTHROPIC_BASE_URL="$upstream/anthropic/v1"
        export TAVILY_API_KEY=demo-upstream-key TAVILY_BASE_URL="$upstream/tavily"
        for name in openrouter groq deepseek mistral xai gemini; do
            upper=$(tr '[:lower:]' '[:upper:]' <<<"$name")
            export "${upper}_API_KEY=demo-upstream-key" "${upper}_BASE_URL=$upstream/$name/v1"
        done
        export PHOENIX_URL="http://$host:$seller_port" PHOENIX_PASSWORD=demo-limited
        export PHOENIX_TEST_URL="http://$host:$payer_port" PHOENIX_TEST_PASSWORD=demo
        export PHOENIX_FULL_PASSWORD='' PHOENIX_WEBHOOK_SECRET='' DATABASE_URL='' ALITTLEBITOFMONEY_CONFIG=''
        export ALITTLEBITOFMONEY_SUPABASE_PROJECT_URL='' ALITTLEBITOFMONEY_SUPABASE_PW=''
        export ALITTLEBITOFMONEY_SUPABASE_SECRET_KEY='' HOST="$host" PORT="$port"
        exec .venv/bin/python -m uvicorn server:app --host "$host" --port "$port" >"$logs/server.log" 2>&1 </dev/null
    ) &
    server_pid=$!
}

doubles_are_ready() {
    [ -s "$logs/doubles.out" ]
}

server_is_ready() {
    .venv/bin/python - "http://$host:$port/api/health/live" 2>/dev/null <<'PYTHON'
import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=2).read()
PYTHON
}

is_running() { # PID
    kill -0 "$1" 2>/dev/null
}

die_with_log() { # MESSAGE LOG
    printf '\n--- the end of %s\n' "$2" >&2
    tail -n "$LOG_TAIL_LINES" "$2" >&2
    printf -- '---\n' >&2
    die "$1"
}

wait_until() { # NAME PID LOG TEST
    local started
    started=$(now_ms)
    printf '  %-34s ' "$1"
    until "$4"; do
        is_running "$2" || die_with_log "$1: it ended while it started" "$3"
        [ $(($(now_ms) - started)) -lt $((START_LIMIT_SECONDS * 1000)) ] ||
            die_with_log "$1: no answer within $START_LIMIT_SECONDS s" "$3"
        nap 0.2
    done
    printf '%9s\n' "$(since_ms "$started")"
}

# A shell acts on a signal only between commands, but at once while it waits.
nap() {
    sleep "$1" &
    wait $! || true
}

# --- The end --------------------------------------------------------------------------------------------------------

stop_part() { # PID NAME
    local started
    [ -n "$1" ] && is_running "$1" || return 0
    kill -TERM "$1" 2>/dev/null || true
    started=$(now_ms)
    while is_running "$1"; do
        if [ $(($(now_ms) - started)) -ge $((STOP_LIMIT_SECONDS * 1000)) ]; then
            echo "  $2 did not end within $STOP_LIMIT_SECONDS s: killed" >&2
            kill -KILL "$1" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    wait "$1" 2>/dev/null || true
}

stop_everything() {
    local status=$?
    trap '' INT TERM
    trap - EXIT
    if [ -n "$doubles_pid$server_pid" ]; then echo "stopping the demo"; fi
    stop_part "$server_pid" "the server"
    stop_part "$doubles_pid" "the doubles"
    exit "$status"
}

# --- What to paste --------------------------------------------------------------------------------------------------

print_walkthrough() {
    local missing=''
    command -v curl >/dev/null || missing="curl"
    command -v jq >/dev/null || missing="$missing${missing:+ and }jq"
    cat <<WALKTHROUGH

The demo runs. The site: http://$host:$port/    Stop: Ctrl-C    Logs: $logs/
No bitcoin moves and no model is asked: wallets and providers are doubles.

Paste into another terminal:

  SITE=http://$host:$port
  CHAT=\$SITE/openai/v1/chat/completions
  JSON='Content-Type: application/json'
  BODY='{"model":"gpt-6-luna","messages":[{"role":"user","content":"Hello"}]}'

  # 1. Ask without paying: 402 and an invoice
  curl -si \$CHAT -H "\$JSON" -d "\$BODY"

  # 2. Ask again and keep the invoice and the macaroon
  CHALLENGE=\$(curl -s \$CHAT -H "\$JSON" -d "\$BODY")
  INVOICE=\$(jq -r .invoice <<<"\$CHALLENGE"); MACAROON=\$(jq -r .macaroon <<<"\$CHALLENGE")
  jq '{amount_sats, payment_hash}' <<<"\$CHALLENGE"

  # 3. Pay it from the payer's wallet: the preimage is the receipt
  PREIMAGE=\$(curl -s -u :demo -d invoice=\$INVOICE http://$host:$payer_port/payinvoice | jq -r .paymentPreimage)

  # 4. The same request with the proof: the answer
  curl -s \$CHAT -H "\$JSON" -H "Authorization: L402 \$MACAROON:\$PREIMAGE" -d "\$BODY" | jq .

  # 5. The change stays on the credential: stream with it
  curl -N \$CHAT -H "\$JSON" -H "Authorization: L402 \$MACAROON:\$PREIMAGE" \\
    -d '{"model":"gpt-6-luna","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

  # 6. What is left
  curl -s \$SITE/api/balance -H "Authorization: L402 \$MACAROON:\$PREIMAGE" | jq .

Break something: take the node away, try step 1, and bring it back
  curl -s http://$host:$control_port/node/seller/knobs -d '{"refuse":true}'
  curl -s -X DELETE http://$host:$control_port/node/seller/knobs

WALKTHROUGH
    if [ -n "$missing" ]; then echo "These commands need $missing, which is not installed here."; fi
    if [ ! -f frontend/dist/index.html ]; then echo "There is no site to look at: frontend/dist is not built."; fi
}

main() {
    parse_arguments "$@"
    check_parts
    check_ports
    set_up
    echo "demo"
    prepare_data
    trap stop_everything EXIT
    trap 'exit 0' INT TERM
    start_doubles
    wait_until "doubles (two wallets, providers)" "$doubles_pid" "$logs/doubles.log" doubles_are_ready
    start_server
    wait_until "server (/api/health/live)" "$server_pid" "$logs/server.log" server_is_ready
    print_walkthrough
    while is_running "$doubles_pid" && is_running "$server_pid"; do nap 1; done
    is_running "$server_pid" || die_with_log "the server has ended" "$logs/server.log"
    die_with_log "the doubles have ended" "$logs/doubles.log"
}

main "$@"
