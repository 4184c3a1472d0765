# shellcheck shell=bash
# What e2e-test-all.sh and scripts/test_topup.sh share: requests, the wallet, checks and their count. It is sourced,
# never run.

# Other shells and the Bash 3.2 of macOS get as far as this, so these lines are for them, too.
case "${BASH_VERSION:-none}" in
    none | [123].*)
        echo "$0 needs Bash 4 or newer; this is ${BASH_VERSION:-another shell}. On macOS: brew install bash" >&2
        exit 2
        ;;
esac

# Without -e: a check that fails is counted, and the next one runs.
set -uo pipefail

CONNECT_LIMIT_SECONDS=10
REQUEST_LIMIT_SECONDS=300
WALLET_LIMIT_SECONDS=90
UNKNOWN_PAYMENT_LIMIT_SECONDS=60
BUSY_LIMIT_SECONDS=65
SETTLE_LIMIT_SECONDS=10
SHOWN_MAX_CHARS=300
CURL_CANNOT_CONNECT=7
TABLE_COLUMNS=10
DEFAULT_MAX_SATS=1000
DEFAULT_SITE=http://127.0.0.1:3000

program=$0
site=$DEFAULT_SITE
max_sats=$DEFAULT_MAX_SATS
verbose=${VERBOSE:-0}
strict_keywords=${STRICT_KEYWORD_MATCH:-1}
wallet_url=${PHOENIX_TEST_URL:-http://localhost:9741}
wallet_url=${wallet_url%/}

status=000          # of the last reply of the site; 000: there was none
subject=''          # what is being proven: an endpoint's address, or /topup
why=''              # the first thing found wrong in the running check
spent_sats=0        # invoices paid, in all
fees_sats=0         # what the network took for it
doubtful_sats=0     # what may still be paid: the wallet did not say
left_msat=0         # what stays on accounts that this run made
passed=0 failed=0 skipped=0
declare -A outcome=() # "SUBJECT CHECK" -> ok, FAIL or skip
declare -A header=()  # of the last reply of the site, by lower-case name: the first line of that name
declare -A said=()    # its JSON, two levels deep: ${said[error.code]}; null and false are not there
declare -A wallet_said=()
last_charge_msat='' # of the last answer
samples=$(dirname "${BASH_SOURCE[0]}")/../frontend/public/samples # what stands for `@name` in the example of a form
secrets=()          # never printed, wherever they turn up
if [ -t 1 ]; then marks='✓ ✗ -'; else marks='ok FAIL skip'; fi
read -r mark_ok mark_fail mark_skip <<<"$marks"

# --- Saying ---------------------------------------------------------------------------------------------------------

# The first comment block of the calling script is its help text.
print_help() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$program"
}

stop() { # SENTENCE: nothing can be proven
    say "$(basename "$program"): $*" >&2
    exit 2
}

# Everything printed comes through here: no token, macaroon, preimage or password leaves the script.
say() { # TEXT...
    local text="$*" secret
    text=${text//[$'\e\r\b']/}
    for secret in "${secrets[@]}"; do text=${text//"$secret"/<secret>}; done
    case $text in
        *alb_* | *macaroon* | *token* | *reimage* | *uthorization*) mask_by_form <<<"$text" ;;
        *) printf '%s\n' "$text" ;;
    esac
}

# Replies are shown before their secrets are known by value.
mask_by_form() {
    sed -E -e 's/alb_[A-Za-z0-9_-]+/<token>/g' \
        -e 's/("(macaroon|token)" *: *")[^"]+/\1<\2>/g' \
        -e 's/((macaroon|token)=")[^"]+/\1<\2>/g' \
        -e 's/("[a-zA-Z]*[pP]reimage" *: *")[^"]+/\1<preimage>/g' \
        -e 's/^([ >]*[Aa]uthorization: *[A-Za-z0-9]+ ).+/\1<credential>/'
}

keep_secret() { # VALUE
    if [ ${#1} -ge 8 ]; then secrets+=("$1"); fi
}

warn() { # SENTENCE
    say "        note      $*"
}

line() { # MARK CHECK NOTE
    local text
    printf -v text '  %-4s  %-9s %s' "$1" "$2" "$3"
    say "$text"
}

pass() { # CHECK NOTE
    passed=$((passed + 1)) outcome["$subject $1"]=ok
    line "$mark_ok" "$1" "$2"
}

fail() { # CHECK WHY
    failed=$((failed + 1)) outcome["$subject $1"]=FAIL
    line "$mark_fail" "$1" "$2"
}

skip() { # WHY CHECK...
    local reason=$1 check
    shift
    for check in "$@"; do
        skipped=$((skipped + 1)) outcome["$subject $check"]=skip
        line "$mark_skip" "$check" "$reason"
    done
}

# --- Expecting ------------------------------------------------------------------------------------------------------

wrong() { # SENTENCE: the first one of a check is what is told
    if [ -z "$why" ]; then why=$1; fi
}

expect() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || wrong "$1 is '$3' instead of '$2'"
}

expect_same() { # WHAT ONE OTHER: for values that are not shown
    [ -n "$2" ] && [ "$2" = "$3" ] || wrong "$1"
}

expect_status() { # STATUS
    [ "$status" = "$1" ] || wrong "expected $1, got $(described)"
}

# Also what makes a site's text safe in shell arithmetic.
is_number() { # TEXT
    [[ $1 =~ ^(0|[1-9][0-9]{0,14})$ ]]
}

expect_number() { # WHAT TEXT
    is_number "$2" || wrong "$1 is '$2', not a whole number"
}

verdict() { # CHECK NOTE: passes if nothing was wrong; false if something was
    local found=$why
    why=''
    if [ -z "$found" ]; then pass "$1" "$2"; else
        fail "$1" "$found"
        return 1
    fi
}

# --- The site -------------------------------------------------------------------------------------------------------

# request METHOD PATH [BODY [AUTHORIZATION]]: fills $status, $header and $said; the reply is in $work/body. A body is sent
# as JSON, or as $content_type says. Secrets go by files, which `ps` does not show. A busy site is asked again, once.
request() {
    local tries
    for tries in 1 2; do
        send "$@"
        [ "$status" = 429 ] && [ "$tries" = 1 ] && wait_as_told || return 0
    done
}

send() { # METHOD PATH [BODY [AUTHORIZATION]]
    local method=$1 path=$2 body=${3:-} authorization=${4:-} data=()
    : >"$work/headers"
    : >"$work/body"
    : >"$work/sent"
    if [ -n "$authorization" ]; then printf 'Authorization: %s\n' "$authorization" >>"$work/sent"; fi
    if [ -n "$body" ] && [ "$method $path" = "POST ${form_path-}" ]; then
        form_arguments "$body"
    elif [ -n "$body" ]; then
        printf 'Content-Type: %s\n' "${content_type:-application/json}" >>"$work/sent"
        printf '%s' "$body" >"$work/request"
        data=(--data-binary "@$work/request")
    fi
    status=$(curl -q -sS -g -X "$method" --connect-timeout "$CONNECT_LIMIT_SECONDS" --max-time "$REQUEST_LIMIT_SECONDS" \
        -H "@$work/sent" "${data[@]}" -D "$work/headers" -o "$work/body" -w '%{http_code}' "$site$path" \
        2>"$work/trouble") || status=000
    read_headers
    read_json "$work/body" said
    if [ "$verbose" = 1 ]; then show_exchange "$method" "$path" "$body"; fi
}

# form_arguments FIELDS: what makes curl send them as a form, in the caller's $data. `@name` is a sample file.
form_arguments() {
    local row name value
    while IFS=$'\t' read -r name value; do
        case $value in
            @*) data+=(-F "$name=@$samples/${value#@}") ;;
            *) data+=(--form-string "$name=$value") ;;
        esac
    done < <(jq -r 'to_entries[] | [.key, (.value | tostring)] | @tsv' <<<"$1")
}

read_headers() {
    local text name value
    header=()
    while IFS= read -r text; do
        text=${text%$'\r'} name=${text%%:*} value=${text#*:}
        name=${name,,}
        [ "$name" != "$text" ] && [ -n "$name" ] && [ -z "${header["$name"]-}" ] || continue
        header["$name"]=${value#"${value%%[! ]*}"}
    done <"$work/headers"
}

# read_json FILE ARRAY: one jq for a whole reply. An event stream or a page of HTML leaves the array empty.
# shellcheck disable=SC2034  # what it writes is another name of the caller's array
read_json() {
    local -n values=$2
    local rows=() row
    mapfile -t rows < <(jq -r 'paths(scalars) as $path
        | select($path | (length == 1 or length == 2) and all(tostring | test("^[A-Za-z0-9_-]+$")))
        | [($path | map(tostring) | join(".")), (getpath($path) | tostring)] | @tsv' "$1" 2>/dev/null)
    values=()
    for row in "${rows[@]}"; do values["${row%%$'\t'*}"]=${row#*$'\t'}; done
}

# read_text FILE: its bytes in $text, without a process.
read_text() {
    text=''
    IFS= read -r -d '' text <"$1" || true
}

show_exchange() { # METHOD PATH BODY
    say "    > $1 $site$2"
    indented '>' <"$work/sent"
    indented '>' <<<"$3"
    if [ "$status" = 000 ]; then indented '<' <"$work/trouble"; fi
    indented '<' <"$work/headers"
    case ${header[content-type]-} in
        *json* | text/*) indented '<' <"$work/body" ;;
        *) say "    < ${header[content-length]-some} bytes of ${header[content-type]:-nothing}" ;;
    esac
}

indented() { # MARK: every line of stdin that is not empty
    local lines
    lines=$(tr -d '\r\0' | sed -n "/./s/^/    $1 /p")
    if [ -n "$lines" ]; then say "$lines"; fi
}

wait_as_told() { # false when there is nothing to wait for
    local seconds
    seconds=${header[retry-after]-}
    is_number "$seconds" && [ "$seconds" -le "$BUSY_LIMIT_SECONDS" ] || return 1
    warn "the site asks for $seconds s of patience (429)"
    sleep "$seconds"
}

# What came back, for people.
described() {
    local code message
    if [ "$status" = 000 ]; then
        echo "no answer: $(head -n 1 "$work/trouble")"
        return
    fi
    code=${said[error.code]-} message=${said[error.message]-}
    [ -n "$code$message" ] || message=$(head -c "$SHOWN_MAX_CHARS" "$work/body" | tr -d '\r\n\0')
    echo "$status${code:+ $code}: $message"
}

expect_no_invoice() {
    local name text
    for name in x-lightning-invoice x-payment-hash x-price-sats; do
        [ -z "${header[$name]-}" ] || wrong "$status carries $name, though paying cannot help"
    done
    read_text "$work/headers"
    [[ ! ${text,,} =~ www-authenticate:\ *(l402|lsat) ]] || wrong "$status carries an L402 challenge"
    read_text "$work/body"
    [[ ! ${text,,} =~ \"(invoice|macaroon)\"|ln(bc|tb)[0-9] ]] || wrong "$status carries an invoice"
}

expect_error() { # STATUS CODE-REGEX [PARAM]: an error in OpenAI's shape that asks for no payment
    expect_status "$1"
    [[ ${said[error.code]-} =~ ^($2)$ ]] || wrong "expected the code ${2//|/ or }, got $(described)"
    [ -n "${said[error.message]-}" ] || wrong "the error has no message"
    if [ -n "${3:-}" ]; then expect "the error's param" "$3" "${said[error.param]-}"; fi
    expect_no_invoice
}

# --- Paying ---------------------------------------------------------------------------------------------------------

# wallet PATH [FIELD]: asks the test wallet; fills $wallet_said. False unless it answered 200.
wallet() {
    local path=$1 data=() code
    : >"$work/wallet"
    if [ -n "${2:-}" ]; then data=(--data-urlencode "$2"); fi
    code=$(curl -q -sS -g -K "$work/wallet.conf" --connect-timeout "$CONNECT_LIMIT_SECONDS" \
        --max-time "$WALLET_LIMIT_SECONDS" "${data[@]}" -o "$work/wallet" -w '%{http_code}' "$wallet_url/$path" \
        2>"$work/wallet.trouble")
    wallet_exit=$?
    [ $wallet_exit -eq 0 ] || code=000
    if [ "$verbose" = 1 ]; then show_wallet "$path" "${2:-}"; fi
    case $code in
        200) read_json "$work/wallet" wallet_said && return 0 ;;
        000) wallet_says="no answer: $(head -n 1 "$work/wallet.trouble")" ;;
        401) wallet_says="it refuses PHOENIX_TEST_PASSWORD" ;;
        *) wallet_says="$code $(head -c "$SHOWN_MAX_CHARS" "$work/wallet")" ;;
    esac
    return 1
}

show_wallet() { # PATH FIELD
    say "    > wallet: $1 $2"
    if [ "$wallet_exit" -eq 0 ]; then indented '<' <"$work/wallet"; else indented '<' <"$work/wallet.trouble"; fi
}

# challenge_is KIND [SATS]: the reply is a 402 whose headers and body agree; fills $macaroon, $invoice, $amount_sats and
# $payment_hash. What is wrong is told by the verdict.
challenge_is() {
    local challenge pattern='^L402 macaroon="([^"]+)", invoice="([^"]+)"'
    macaroon=${said[macaroon]-} invoice=${said[invoice]-} amount_sats=${said[amount_sats]-}
    payment_hash=${said[payment_hash]-}
    keep_secret "$macaroon"
    expect_status 402
    challenge=${header[www-authenticate]-}
    if [[ $challenge =~ $pattern ]]; then
        expect_same "the macaroons of header and body differ" "${BASH_REMATCH[1]}" "$macaroon"
        expect_same "the invoices of WWW-Authenticate and body differ" "${BASH_REMATCH[2]}" "$invoice"
    else
        wrong 'WWW-Authenticate is not: L402 macaroon="…", invoice="…"'
    fi
    expect "X-Lightning-Invoice" "$invoice" "${header[x-lightning-invoice]-}"
    expect "X-Payment-Hash" "$payment_hash" "${header[x-payment-hash]-}"
    expect "X-Price-Sats" "$amount_sats" "${header[x-price-sats]-}"
    expect_number "amount_sats" "$amount_sats"
    expect "status in the body" payment_required "${said[status]-}"
    expect "error.code" payment_required "${said[error.code]-}"
    expect "kind" "$1" "${said[kind]-}"
    if [ -n "${2:-}" ]; then expect "amount_sats" "$2" "$amount_sats"; fi
    # Both go on to the wallet, so nothing else may hide in them.
    [[ $invoice =~ ^ln[a-z0-9]{20,4000}$ ]] || wrong "the invoice is not bolt11"
    [[ $payment_hash =~ ^[0-9a-f]{64}$ ]] || wrong "the payment hash is not 64 hexadecimal digits"
}

# The invoice itself, as the wallet reads it: nobody has to believe the site about what it will cost.
invoice_is_what_was_said() {
    wallet decodeinvoice "invoice=$invoice" || {
        wrong "the wallet cannot read the invoice: $wallet_says"
        return
    }
    expect "the invoice's own amount in msat" "$((amount_sats * 1000))" "${wallet_said[amount]-}"
    expect "the invoice's own payment hash" "$payment_hash" "${wallet_said[paymentHash]-}"
}

# pay: pays $invoice of $amount_sats, which the wallet has read, if the budget allows; fills $preimage.
pay() {
    local reserve=$((4 + (amount_sats * 4 + 999) / 1000)) left reason=''
    left=$((max_sats - spent_sats - fees_sats - doubtful_sats))
    preimage=''
    if [ $((amount_sats + reserve)) -gt "$left" ]; then
        wrong "not paid: the invoice asks $amount_sats sat and up to $reserve sat of fees, but $left sat are left of \
the budget of $max_sats (--max-sats)"
        return 1
    fi
    if wallet payinvoice "invoice=$invoice"; then
        preimage=${wallet_said[paymentPreimage]-} reason=${wallet_said[reason]-}
    elif [[ $wallet_says != no\ answer* ]] || [ "$wallet_exit" -eq "$CURL_CANNOT_CONNECT" ]; then
        reason=$wallet_says
    elif ! find_payment; then
        doubtful_sats=$((doubtful_sats + amount_sats + reserve)) reason="$wallet_says; it may still pay"
    fi
    if [ -z "$preimage" ]; then
        wrong "the wallet did not pay: ${reason:-it says neither preimage nor reason}"
        return 1
    fi
    keep_secret "$preimage"
    spent_sats=$((spent_sats + amount_sats)) fees_sats=$((fees_sats + $(fee_paid)))
}

# In sat, for people: phoenixd says it in sat of a payment just made, and in msat of one looked up.
fee_paid() {
    local sats=${wallet_said[routingFeeSat]-} msat=${wallet_said[fees]-}
    if is_number "$sats"; then echo "$sats"; elif is_number "$msat"; then echo $((msat / 1000)); else echo 0; fi
}

# A wallet that does not answer in time may have paid all the same, and may not know it yet.
find_payment() {
    local until=$((SECONDS + UNKNOWN_PAYMENT_LIMIT_SECONDS))
    while [ $SECONDS -lt $until ]; do
        if wallet "payments/outgoingbyhash/$payment_hash"; then
            if [ "${wallet_said[isPaid]-}" = true ]; then preimage=${wallet_said[preimage]-}; fi
            [ -z "$preimage" ] || return 0
        fi
        sleep 1
    done
    return 1
}

# --- Calls ----------------------------------------------------------------------------------------------------------

# An account under test is $authorization, with $paid_msat credited and $charged_msat spent.

# use_endpoint JSON: what calls are made with: $call_path, $example and $keyword.
use_endpoint() {
    local facts=()
    mapfile -t facts < <(jq -r '.url, (.example.body // .example.fields | tojson), .example.e2e.keyword,
        .streaming, .example.content_type' <<<"$1")
    call_path=${facts[0]} example=${facts[1]} keyword=${facts[2]} streams=${facts[3]} form_path=''
    if [ "${facts[4]}" != json ]; then form_path=$call_path; fi
}

expect_keyword() { # TEXT
    [[ ${1,,} != *"${keyword,,}"* ]] || return 0
    if [ "$strict_keywords" = 0 ]; then
        warn "the answer does not say '$keyword'"
    else
        wrong "the answer does not say '$keyword': ${1:0:SHOWN_MAX_CHARS}"
    fi
}

# What an answer says, whatever the endpoint.
answer_text() {
    jq -r 'if .choices then [.choices[].message.content] elif .output then [.output[]?.content[]?.text]
           elif .text then [.text] else [tojson] end | map(values) | join("\n")' \
        "$work/body" 2>/dev/null
}

charge_is_booked() { # CHARGE BALANCE: both in msat, as the reply says
    expect_number "the charge in msat" "$1"
    expect_number "the balance in msat" "$2"
    is_number "$1" && charged_msat=$((charged_msat + $1))
    expect "the balance after the call, in msat," "$((paid_msat - charged_msat))" "$2"
}

# Sound that is billed by its tokens has begun before anybody knows how many they are: then the balance says it.
answer_is_booked() {
    local charge=${header[x-charge-msat]-} balance=${header[x-balance-msat]-}
    if [ -z "$charge" ] && [[ ${header[content-type]-} == audio/* ]]; then
        read_balance
        balance=${said[balance_msat]-}
        is_number "$balance" && charge=$((paid_msat - charged_msat - balance))
    fi
    last_charge_msat=$charge
    if [ "${header[x-answer-replayed]-}" = true ]; then # paid before, and our side hung up before it was all sent
        expect "the charge of an answer that was kept, in msat," 0 "$charge"
        return
    fi
    charge_is_booked "$charge" "$balance"
}

prove_answer() { # CHECK: the example, answered
    request POST "$call_path" "$example" "$authorization"
    expect_status 200
    if [ "$status" = 200 ]; then
        if [[ ${header[content-type]-} == audio/* ]]; then
            [ -s "$work/body" ] || wrong "the sound is empty"
            expect_keyword "${header[content-type]}"
        else
            [ ${#said[@]} -gt 0 ] || wrong "the answer is not JSON"
            expect_keyword "$(answer_text)"
        fi
        answer_is_booked
    fi
    verdict "$1" "200, $last_charge_msat msat charged"
}

# The same credential once more: served from the change, or asked for what is missing. Both are right.
prove_again() {
    local note
    request POST "$call_path" "$example" "$authorization"
    if [ "$status" = 402 ]; then
        challenge_is call
        note="402 for the difference of $amount_sats sat"
    else
        expect_status 200
        if [ "$status" = 200 ]; then answer_is_booked; fi
        note="200 from the change"
    fi
    verdict again "$note"
}

prove_stream() {
    if [ "$streams" != true ]; then
        skip "it is not sold as a stream" stream
        return
    elif [[ $call_path != */chat/completions ]]; then
        skip "only the events of chat completions are known here" stream
        return
    fi
    request_paid "$(jq -c '. + {stream: true, stream_options: {include_usage: true}}' <<<"$example")"
    expect_status 200
    if [ "$status" = 200 ]; then stream_is_whole; fi
    verdict stream "200, [DONE], $(event_value '.usage.charge_msat // empty' | tail -n 1) msat charged"
}

stream_is_whole() {
    [[ ${header[content-type]-} == text/event-stream* ]] || wrong "its Content-Type is no text/event-stream"
    expect "the last event" "[DONE]" "$(grep '^data: ' "$work/body" | tail -n 1 | cut -c 7- | tr -d '\r')"
    expect "an error in the stream" "" "$(event_value '.error.message // empty')"
    expect_keyword "$(event_value '.choices[]?.delta.content // empty' | tr -d '\n')"
    charge_is_booked "$(event_value '.usage.charge_msat // empty' | tail -n 1)" \
        "$(event_value '.usage.balance_msat // empty' | tail -n 1)"
}

event_value() { # FILTER: over each event of a stream
    grep '^data: {' "$work/body" | cut -c 7- | jq -r "$1" 2>/dev/null
}

# request_paid BODY: with $authorization; what it still asks of an L402 credential is paid, once.
request_paid() {
    request POST "$call_path" "$1" "$authorization"
    if [ "$status" = 402 ] && [[ $authorization == L402* ]]; then
        challenge_is call
        if [ -z "$why" ]; then invoice_is_what_was_said; fi
        if [ -n "$why" ] || ! pay; then return; fi
        authorization="L402 $macaroon:$preimage" paid_msat=$((paid_msat + amount_sats * 1000))
        request POST "$call_path" "$1" "$authorization"
    fi
}

read_balance() { # fills $work/body once no call of the account runs any more
    local until=$((SECONDS + SETTLE_LIMIT_SECONDS))
    while request GET /api/balance '' "$authorization"; do
        [ "${said[held_msat]-}" != 0 ] && [ "$status" = 200 ] && [ $SECONDS -lt $until ] || return 0
        sleep 0.2
    done
}

# Every msat that was paid is spent or still there.
prove_balance() { # KIND
    read_balance
    expect_status 200
    if [ "$status" = 200 ]; then
        expect kind "$1" "${said[kind]-}"
        expect held_msat 0 "${said[held_msat]-}"
        expect "balance_msat (paid $paid_msat, charged $charged_msat)" \
            "$((paid_msat - charged_msat))" "${said[balance_msat]-}"
        expect available_msat "$((paid_msat - charged_msat))" "${said[available_msat]-}"
    fi
    verdict balance "paid $paid_msat = charged $charged_msat + left $((paid_msat - charged_msat)) msat"
}

# --- Top-up ---------------------------------------------------------------------------------------------------------

TOPUP_SATS=120
TOPUP_CHECKS=(offer invoice early paid claim bare reclaim call stream balance used refill refilled unknown rotate)

# topup_limits: fills $min_sats and $max_topup_sats; false, with a check or a skip, if there is nothing to prove.
topup_limits() {
    if [ "$(jq -r .topup.enabled "$work/catalog")" != true ]; then
        request POST /topup "{\"amount_sats\":$TOPUP_SATS}"
        expect_error 503 topup_unavailable
        verdict off "switched off here (topup.enabled): 503 topup_unavailable"
        skip "top-up is switched off here" "${TOPUP_CHECKS[@]}"
        return 1
    fi
    min_sats=$(jq -r .topup.min_sats "$work/catalog") max_topup_sats=$(jq -r .topup.max_sats "$work/catalog")
    is_number "$min_sats" && is_number "$max_topup_sats" && return
    wrong "the catalog's topup.min_sats and max_sats are no whole numbers"
    verdict limits ''
}

within_limits() { # SATS
    if [ "$1" -lt "$min_sats" ]; then echo "$min_sats"; elif [ "$1" -gt "$max_topup_sats" ]; then
        echo "$max_topup_sats"
    else echo "$1"; fi
}

# The whole life of a token: bought, claimed, used, refilled, rotated. An endpoint is in use.
prove_topup() {
    authorization='' paid_msat=0 charged_msat=0
    prove_token
    left_msat=$((left_msat + paid_msat - charged_msat))
}

prove_token() {
    prove_topup_bought || return
    prove_topup_claimed || return
    prove_answer call
    prove_stream
    prove_balance token
    prove_reclaim_refused
    prove_refill
    prove_unknown_token
    prove_rotate
}

prove_topup_bought() {
    local sats rest=("${TOPUP_CHECKS[@]:1}")
    sats=$(within_limits "$TOPUP_SATS")
    request POST /topup "{\"amount_sats\":$sats}"
    challenge_is topup "$sats"
    expect claim_url /topup/claim "${said[claim_url]-}"
    verdict offer "402 for $sats sat; header, body and price agree" || {
        skip "there is no invoice" "${rest[@]}"
        return 1
    }
    invoice_is_what_was_said
    verdict invoice "$amount_sats sat, as the wallet reads it" || {
        skip "the invoice is not what was said" "${rest[@]:1}"
        return 1
    }
    request POST /topup/claim "{\"macaroon\":\"$macaroon\",\"preimage\":\"$(printf '0%.0s' {1..64})\"}"
    expect_error 401 invalid_l402
    verdict early "a wrong preimage: 401 invalid_l402, no token"
    pay
    verdict paid "$amount_sats sat" || {
        skip "the top-up was not paid" "${rest[@]:3}"
        return 1
    }
    paid_msat=$((amount_sats * 1000))
}

prove_topup_claimed() {
    local rest=("${TOPUP_CHECKS[@]:5}") lost
    proof="{\"macaroon\":\"$macaroon\",\"preimage\":\"$preimage\"}"
    bare_proof="{\"preimage\":\"$preimage\"}"
    claim
    verdict claim "200, a token with $paid_msat msat" || {
        skip "there is no token" "${rest[@]}"
        return 1
    }
    request POST /topup/claim "$bare_proof"
    expect_error 400 payment_already_used
    verdict bare "claimed again by the bare preimage: 400 payment_already_used"

    lost=$authorization
    claim
    request GET /api/balance '' "$lost"
    expect_error 401 invalid_token
    verdict reclaim "before its first use, by the macaroon: another token, and the first one is dead"
}

# claim: fills $authorization.
claim() {
    local token
    request POST /topup/claim "$proof"
    token=${said[token]-}
    keep_secret "$token"
    expect_status 200
    expect kind topup "${said[kind]-}"
    expect balance_msat "$paid_msat" "${said[balance_msat]-}"
    expect balance_sats "$((paid_msat / 1000))" "${said[balance_sats]-}"
    [[ $token =~ ^alb_[A-Za-z0-9_-]{43}$ ]] || wrong "the token is not alb_ and 43 characters"
    if [ -n "$token" ]; then authorization="Bearer $token"; fi
}

prove_reclaim_refused() {
    request POST /topup/claim "$proof"
    expect_error 400 payment_already_used
    verdict used "claimed again after its first use: 400 payment_already_used"
}

prove_refill() {
    local sats times
    sats=$(within_limits "$min_sats")
    content_type=application/x-www-form-urlencoded request POST /topup "{\"amount_sats\":$sats}" "$authorization"
    challenge_is refill "$sats"
    if [ -z "$why" ]; then invoice_is_what_was_said; fi
    verdict refill "402 for $sats sat, also without a JSON Content-Type" || {
        skip "there is no refill to pay" refilled
        return
    }
    if pay; then
        paid_msat=$((paid_msat + sats * 1000))
        for times in once twice; do # the second claim changes nothing
            request POST /topup/claim "{\"macaroon\":\"$macaroon\",\"preimage\":\"$preimage\"}" "$authorization"
            expect_status 200
            expect "kind, claimed $times," refill "${said[kind]-}"
            expect "credited_msat, claimed $times," "$((sats * 1000))" "${said[credited_msat]-}"
            expect "balance_msat, claimed $times," "$((paid_msat - charged_msat))" "${said[balance_msat]-}"
            [ -z "${said[token]-}" ] || wrong "a refill gave a token"
        done
        read_balance
        expect balance_msat "$((paid_msat - charged_msat))" "${said[balance_msat]-}"
    fi
    verdict refilled "the balance grew by $sats sat, once"
}

prove_unknown_token() {
    local unknown
    unknown="Bearer alb_$(printf 'x%.0s' {1..43})"
    request POST "$call_path" "$example" "$unknown"
    expect_error 401 invalid_token
    request POST /topup "{\"amount_sats\":$min_sats}" "$unknown"
    expect_error 401 invalid_token
    verdict unknown "an unknown token: 401 invalid_token for a call and for a refill, no invoice"
}

prove_rotate() {
    local old=$authorization token
    request POST /api/token/rotate '' "$old"
    token=${said[token]-}
    keep_secret "$token"
    expect_status 200
    expect balance_msat "$((paid_msat - charged_msat))" "${said[balance_msat]-}"
    if [ -n "$token" ]; then authorization="Bearer $token"; fi
    request GET /api/balance '' "$old"
    expect_error 401 invalid_token
    read_balance
    expect "balance_msat of the new token" "$((paid_msat - charged_msat))" "${said[balance_msat]-}"
    verdict rotate "a new token has the balance, the old one is dead"
}

# --- Beginning and end ----------------------------------------------------------------------------------------------

is_local() { # URL
    local host=${1#*://}
    host=${host%%/*} host=${host##*@}
    [[ $host =~ ^(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?$ ]]
}

set_site() { # URL
    [[ $1 =~ ^https?://[^/[:space:]]+/?$ ]] || stop "'$1' is not the address of a site, as https://example.com"
    site=${1%/}
}

set_budget() { # SATS
    [[ $1 =~ ^[0-9]{1,7}$ ]] || stop "--max-sats needs a whole number of sats"
    max_sats=$((10#$1))
}

# An argument overrules it.
if [ -n "${MAX_SATS:-}" ]; then set_budget "$MAX_SATS"; fi

# begin: a private folder, the wallet and the catalog; stops where nothing can be proven.
begin() {
    local tool
    for tool in curl jq awk sed; do
        command -v "$tool" >/dev/null || stop "this needs $tool, which is not installed"
    done
    export NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,::1"
    work=$(umask 077 && mktemp -d "${TMPDIR:-/tmp}/alb-e2e.XXXXXX") || stop "no temporary folder can be made"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    read_password
    say "site    $site"
    say "wallet  $wallet_url, at most $max_sats sat"
    wallet getinfo || stop "the test wallet at $wallet_url does not help: $wallet_says. See PHOENIX_TEST_URL, --help"
    read_catalog
}

read_password() {
    local password=${PHOENIX_TEST_PASSWORD:-}
    if [ -z "$password" ]; then
        is_local "$wallet_url" || stop "set PHOENIX_TEST_PASSWORD: the wallet at $wallet_url is not on this machine"
        password=demo
    fi
    keep_secret "$password"
    password=${password//\\/\\\\}
    printf 'user = ":%s"\n' "${password//\"/\\\"}" >"$work/wallet.conf"
}

read_catalog() {
    request GET /api/catalog
    [ "$status" != 000 ] || stop "$site does not answer: $(head -n 1 "$work/trouble")"
    jq -e '[.apis[].endpoints[].url] | length > 0 and all(test("^/[A-Za-z0-9/_.-]+$"))' "$work/body" >/dev/null 2>&1 ||
        stop "$site/api/catalog lists nothing for sale (status $status)"
    cp "$work/body" "$work/catalog"
}

# print_tables SUBJECT... -- CHECK...: a row for each subject; as many tables as the checks need.
print_tables() {
    local rows=()
    while [ "$1" != -- ]; do
        rows+=("$1")
        shift
    done
    shift
    while [ $# -gt 0 ]; do
        print_table "${@:1:TABLE_COLUMNS}"
        shift $(($# < TABLE_COLUMNS ? $# : TABLE_COLUMNS))
    done
}

print_table() { # CHECK...: of the caller's $rows
    local check row width=6 text
    for row in "${rows[@]}"; do if [ ${#row} -gt "$width" ]; then width=${#row}; fi; done
    printf -v text '\n%-*s' "$width" ''
    text+=$(printf '  %-8s' "$@")
    for row in "${rows[@]}"; do
        text+=$'\n'$(printf '%-*s' "$width" "$row")
        for check in "$@"; do text+=$(printf '  %-8s' "${outcome["$row $check"]-}"); done
    done
    say "$text"
}

# finish: what it cost, and the count; ends the script.
finish() {
    local doubt=''
    if [ "$doubtful_sats" -gt 0 ]; then doubt=", and perhaps $doubtful_sats sat more: the wallet did not say"; fi
    say
    say "paid $spent_sats sat and $fees_sats sat of fees$doubt, of $max_sats sat at most"
    say "left $((left_msat / 1000)) sat of it unspent, on accounts that nobody keeps"
    say "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}
