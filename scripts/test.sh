#!/usr/bin/env bash
# usage: scripts/test.sh [--fast] [PYTEST ARGUMENT...]
#
# Sets up what is missing and runs everything: gates, the front end's checks and tests, then pytest in three processes.
# Whatever else is given goes to pytest: `scripts/test.sh --fast -k ledger`, `scripts/test.sh tests/test_repository.py`.
#
#   --fast    for the inner loop: ruff, and pytest without tests marked `slow` or `browser`; no front end
#
# pytest runs only when all before it passed, so its closing line is the last one and tells the truth.

# shellcheck source=scripts/_lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/_lib.sh"

TEST_PROCESSES=3 # on two cores: much of their time they wait for servers, browsers and time limits

check_frontend() {
    [ -f frontend/package.json ] || return 0
    local failed=0
    echo "front end"
    step "npm run check" npm --prefix frontend run --silent --if-present check || failed=1
    step "npm test" npm --prefix frontend run --silent --if-present test || failed=1
    return "$failed"
}

main() {
    local fast=no failed=0 pytest_arguments=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) print_help && exit ;;
            --fast) fast=yes ;;
            *) pytest_arguments+=("$1") ;;
        esac
        shift
    done

    if [ "$fast" = yes ]; then
        scripts/setup dev --python-only
        scripts/check format lint || failed=1
        pytest_arguments=(-m "not slow and not browser" "${pytest_arguments[@]}")
    else
        scripts/setup dev
        scripts/check || failed=1
        check_frontend || failed=1
    fi
    [ "$failed" -eq 0 ] || die "something above failed, so pytest did not run (scripts/check --fix repairs what it can)"

    exec .venv/bin/python -m pytest -n "$TEST_PROCESSES" --dist loadfile --durations 5 --durations-min 1 \
        "${pytest_arguments[@]}"
}

main "$@"
