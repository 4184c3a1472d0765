#!/usr/bin/env bash
# usage: scripts/test_topup.sh [URL] [--max-sats N]
#
# Proves prepaid balances on a running site (http://127.0.0.1:3000) with real payments from a test wallet: what a top-up
# refuses, then the whole life of a token: bought, claimed, claimed twice, used, refilled and rotated. One line for each
# check, a table, and a count.
#
#   --max-sats N   pay at most so many sats in all, the network's fees included (1000). An invoice above what is left is
#                  not paid
#
# environment:
#   MAX_SATS                the same as --max-sats
#   PHOENIX_TEST_URL        the wallet that pays, a phoenixd (http://localhost:9741, the demo's)
#   PHOENIX_TEST_PASSWORD   its full password; `demo` only for a wallet on this machine
#   VERBOSE=1               print every request and reply, without the secrets in them
#   STRICT_KEYWORD_MATCH=0  an answer that lacks its example's keyword is noted, not failed
#
# What it tops up and does not spend stays on the site, on a token that is shown to nobody: about 220 sat.
# Ends with 0 if everything passed, 1 if a check failed, 2 if nothing could be proven. Needs Bash 4, curl and jq.

# shellcheck source=scripts/_e2e.sh
. "$(dirname "$0")/_e2e.sh"

REFUSALS=(text float bool low high amount no-token no-key payment)

parse_arguments() {
    local given=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) print_help && exit ;;
            --max-sats)
                [ $# -gt 1 ] || stop "$1 needs a value; see --help"
                set_budget "$2"
                shift
                ;;
            -*) stop "unknown argument '$1'; see --help" ;;
            *) given+=("$1") ;;
        esac
        shift
    done
    [ ${#given[@]} -le 1 ] || stop "too many arguments; see --help"
    if [ ${#given[@]} -eq 1 ]; then set_site "${given[0]}"; fi
}

# Amounts are JSON integers and nothing else, within the site's limits.
prove_amounts_refused() {
    refused text invalid_field_type '{"amount_sats":"120"}'
    refused float invalid_field_type '{"amount_sats":120.0}'
    refused bool invalid_field_type '{"amount_sats":true}'
    refused low invalid_field_value "{\"amount_sats\":$((min_sats - 1))}"
    refused high invalid_field_value "{\"amount_sats\":$((max_topup_sats + 1))}"
    refused amount missing_required_field '{}'
}

refused() { # CHECK CODE BODY
    request POST /topup "$3"
    expect_error 400 "$2" amount_sats
    verdict "$1" "$3: 400 $2, no invoice"
}

prove_credentials_refused() {
    request POST /topup "{\"amount_sats\":$min_sats}" "Bearer "
    expect_error 401 missing_token
    verdict no-token "a refill without its token: 401 missing_token, no invoice"

    request GET /api/balance
    expect_error 401 missing_token
    verdict no-key "a balance of nobody: 401 missing_token"

    request POST /topup/claim "{\"preimage\":\"$(printf 'ab%.0s' {1..32})\"}"
    expect_error 400 invalid_payment
    request POST /topup/claim '{"preimage":"not hexadecimal"}'
    expect_error 400 invalid_payment
    verdict payment "a preimage of no payment, and one that is none: 400 invalid_payment"
}

main() {
    local endpoint
    parse_arguments "$@"
    begin
    endpoint=$(jq -c 'first(.apis[].endpoints[] | select(.example.content_type == "json"))' "$work/catalog")
    [ -n "$endpoint" ] || stop "nothing with a JSON example is sold at $site, so a token has nothing to call"
    use_endpoint "$endpoint"
    subject=/topup
    say
    say "$subject"
    if topup_limits; then
        prove_amounts_refused
        prove_credentials_refused
        prove_topup
    fi
    print_tables /topup -- "${REFUSALS[@]}" "${TOPUP_CHECKS[@]}"
    finish
}

main "$@"
