#!/usr/bin/env bash
# usage: ./e2e-test-all.sh [URL] [REGEX] [--only REGEX] [--max-sats N]
#
# Proves a running site (http://127.0.0.1:3000) end to end, by buying what its catalog's examples say, with real
# payments from a test wallet: every endpoint's refusals, its 402, its price, its answer, stream and balance; then
# top-up, claim, refill and rotation of a token. One line for each check, a table, and a count.
#
#   REGEX, --only REGEX   only endpoints whose address matches, as /openai/v1/chat/completions, and /topup
#   --max-sats N          pay at most so many sats in all, the network's fees included (1000). An invoice above what is
#                         left is not paid
#
# environment:
#   MAX_SATS                the same as --max-sats
#   PHOENIX_TEST_URL        the wallet that pays, a phoenixd (http://localhost:9741, the demo's)
#   PHOENIX_TEST_PASSWORD   its full password; `demo` only for a wallet on this machine
#   VERBOSE=1               print every request and reply, without the secrets in them
#   STRICT_KEYWORD_MATCH=0  an answer that lacks its example's keyword is noted, not failed
#
# It sends nothing but the catalog's examples and broken forms of them. What it tops up and does not spend stays on the
# site, on a token that is shown to nobody: about 220 sat.
# Ends with 0 if everything passed, 1 if a check failed, 2 if nothing could be proven. Needs Bash 4, curl and jq.

# shellcheck source=scripts/_e2e.sh
. "$(dirname "$0")/scripts/_e2e.sh"

ENDPOINT_CHECKS=(invalid missing model unpaid invoice paid answer again stream balance)

only=''

parse_arguments() {
    local given=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) print_help && exit ;;
            --only | --max-sats)
                [ $# -gt 1 ] || stop "$1 needs a value; see --help"
                if [ "$1" = --only ]; then only=$2; else set_budget "$2"; fi
                shift
                ;;
            -*) stop "unknown argument '$1'; see --help" ;;
            *) given+=("$1") ;;
        esac
        shift
    done
    [ ${#given[@]} -le 2 ] || stop "too many arguments; see --help"
    if [ ${#given[@]} -ge 1 ]; then set_site "${given[0]}"; fi
    if [ ${#given[@]} -eq 2 ]; then only=${given[1]}; fi
    grep -qE -e "$only" <<<'' || [ $? -eq 1 ] || stop "'$only' is not a regular expression"
}

is_chosen() { # ADDRESS
    [[ -z $only || $1 =~ $only ]]
}

# --- One endpoint ---------------------------------------------------------------------------------------------------

prove_endpoint() { # JSON
    use_endpoint "$1"
    subject=$call_path
    say
    say "$subject"
    prove_refusals "$1"
    authorization='' paid_msat=0 charged_msat=0
    if prove_purchase; then
        prove_answer answer
        prove_again
        prove_stream
        prove_balance l402
    fi
    left_msat=$((left_msat + paid_msat - charged_msat))
}

# What is wrong is refused before anybody is asked to pay.
prove_refusals() { # JSON
    local field
    request POST "$call_path" "$(jq -c '(.example.body // .example.fields) + .example.e2e.invalid' <<<"$1")"
    expect_error 400 'invalid_field_value|invalid_field_type'
    verdict invalid "400 ${said[error.code]-}, ${said[error.param]-}; no invoice"

    field=$(jq -r .example.e2e.required_field <<<"$1")
    request POST "$call_path" "$(jq -c --arg field "$field" 'del(.[$field])' <<<"$example")"
    expect_error 400 missing_required_field "$field"
    verdict missing "400 missing_required_field, $field; no invoice"

    if jq -e 'has("model")' <<<"$example" >/dev/null; then
        request POST "$call_path" "$(jq -c '.model = "no-such-model"' <<<"$example")"
        expect_error 400 model_not_supported model
        verdict model "400 model_not_supported; no invoice"
    else
        skip "its example names no model" model
    fi
}

# Ask, look closely at what is asked, pay. False if there is nothing to call with.
prove_purchase() {
    local rest=("${ENDPOINT_CHECKS[@]:4}")
    request POST "$call_path" "$example"
    challenge_is call
    if [ -z "$why" ]; then
        expect_number max_price_msat "${said[max_price_msat]-}"
        [ "${said[max_price_msat]-}" -le $((amount_sats * 1000)) ] || wrong "the call may cost more than is asked"
    fi
    verdict unpaid "402 for $amount_sats sat; header, body and price agree" || {
        skip "there is no invoice" "${rest[@]}"
        return 1
    }
    invoice_is_what_was_said
    verdict invoice "$amount_sats sat, as the wallet reads it" || {
        skip "the invoice is not what was said" "${rest[@]:1}"
        return 1
    }
    pay
    verdict paid "$amount_sats sat" || {
        skip "it was not paid" "${rest[@]:2}"
        return 1
    }
    authorization="L402 $macaroon:$preimage" paid_msat=$((amount_sats * 1000))
}

# --- All of them ----------------------------------------------------------------------------------------------------

main() {
    local endpoint endpoints=() proven=() first=''
    parse_arguments "$@"
    begin
    mapfile -t endpoints < <(jq -c '.apis[] | select(.available) | .endpoints[] | select(.ended == null)' "$work/catalog")
    for endpoint in "${endpoints[@]}"; do
        if [ -z "$first" ] && [ "$(jq -r .example.content_type <<<"$endpoint")" = json ]; then first=$endpoint; fi
        if is_chosen "$(jq -r .url <<<"$endpoint")"; then
            prove_endpoint "$endpoint"
            proven+=("$subject")
        fi
    done
    if [ ${#proven[@]} -eq 0 ] && ! is_chosen /topup; then stop "no endpoint here matches '$only'"; fi

    if is_chosen /topup; then prove_topup_with "$first"; fi
    if [ ${#proven[@]} -gt 0 ]; then print_tables "${proven[@]}" -- "${ENDPOINT_CHECKS[@]}"; fi
    if is_chosen /topup; then print_tables /topup -- "${TOPUP_CHECKS[@]}"; fi
    finish
}

prove_topup_with() { # JSON: the endpoint that the token calls
    subject=/topup
    say
    say "$subject"
    if [ -z "$1" ]; then
        skip "nothing with a JSON example is sold, so there is nothing to call" "${TOPUP_CHECKS[@]}"
    elif topup_limits; then
        use_endpoint "$1"
        prove_topup
    fi
}

main "$@"
