#!/usr/bin/env bash
# Shows once a second how many parts and bytes of KEY's open upload the bucket
# holds, until the upload is over.
#
#   ./watch_upload.sh [--wait] BUCKET KEY
#
# Needs the AWS CLI and jq. Takes its settings from the environment and then
# from .env in the working directory, as writer and reader do. With several
# uploads of KEY open it watches the newest. Exit codes: 0 the upload is over;
# 1 it could not be watched, or none is open; 2 wrong usage.
set -uo pipefail

usage() {
    cat <<'USAGE'
Usage: watch_upload.sh [--wait] BUCKET KEY

Shows once a second the parts and total bytes of KEY's open upload, until the
upload is over.

  --wait   when no upload of KEY is open, wait for one to begin
USAGE
}

fail() {
    printf 'watch_upload.sh: %s\n' "$*" >&2
    exit 1
}

wait_for_start=no
words=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit 0 ;;
    --wait) wait_for_start=yes ;;
    --) shift; words+=("$@"); break ;;
    -*) printf 'watch_upload.sh: no such option: %s\n' "$1" >&2; usage >&2; exit 2 ;;
    *) words+=("$1") ;;
    esac
    shift
done
if [ ${#words[@]} -ne 2 ] || [ -z "${words[0]}" ] || [ -z "${words[1]}" ]; then
    usage >&2
    exit 2
fi
bucket=${words[0]}
key=${words[1]}

# .env gives what the environment does not. It is read, not run, and only these
# names are taken: others could make the AWS CLI run a program.
taken=' AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 '
for name in $taken; do
    [ -z "${!name+set}" ] || taken=${taken/ $name / }
done
if [ -f .env ]; then
    while IFS= read -r line || [ -n "$line" ]; do
        line=${line%$'\r'}
        [[ $line =~ ^[[:space:]]*(export[[:space:]]+)?(AWS_[A-Z0-9_]+)[[:space:]]*=[[:space:]]*(.*)$ ]] || continue
        name=${BASH_REMATCH[2]}
        value=${BASH_REMATCH[3]}
        case $value in
        \"*\"*) value=${value#\"}; value=${value%%\"*} ;;
        \'*\'*) value=${value#\'}; value=${value%%\'*} ;;
        *)
            value=${value%%[[:space:]]#*}
            case $value in \#*) value='' ;; esac
            value=${value%"${value##*[![:space:]]}"}
            ;;
        esac
        # Of several values for one name the last that is not empty counts.
        [[ $taken != *" $name "* ]] || [ -z "$value" ] || export "$name=$value"
    done <.env
fi

missing=''
command -v aws >/dev/null 2>&1 || missing="the AWS CLI (aws)"
command -v jq >/dev/null 2>&1 || missing="${missing:+$missing and }jq"
[ -z "$missing" ] || fail "needs $missing; install it with your package manager or scripts/install-deps.sh watch"

# Given on the command line: AWS CLIs before 2.13 do not read AWS_ENDPOINT_URL.
options=(--output json)
endpoint=${AWS_ENDPOINT_URL_S3:-${AWS_ENDPOINT_URL:-}}
case $endpoint in
'' | *://*) ;;
localhost | localhost:* | 127.* | '[::1]'*) endpoint=http://$endpoint ;;
*) endpoint=https://$endpoint ;;
esac
[ -z "$endpoint" ] || options+=(--endpoint-url "$endpoint")
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
if [ -z "$region" ] && [[ $endpoint =~ ^https?://s3\.([a-z0-9-]+)\.backblazeb2\.com ]]; then
    region=${BASH_REMATCH[1]}
fi
# Some region is needed to sign; a profile may bring its own.
[ -n "$region" ] || [ -n "${AWS_PROFILE:-}" ] || region=us-east-1
[ -z "$region" ] || options+=(--region "$region")
export AWS_PAGER=''
# Backblaze B2 refuses the integrity headers that AWS CLIs send since 2025.
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required

errors=$(mktemp) || fail "cannot make a temporary file"
trap 'rm -f "$errors"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

s3api() { aws s3api "$@" "${options[@]}" 2>"$errors"; }
error_text() { tr -s '\n' ' ' <"$errors" | sed 's/^ *//; s/ *$//'; }

# Prints the id of the newest open upload of exactly $key, or nothing.
# The list is ordered by key, then by start, so the entries for $key come
# before those of longer keys that begin like it. Whether a page begins at its
# marker or after it depends on the store; taking the last entry seen is right
# for both, and a marker that does not move ends the paging.
newest_upload() {
    local page id='' key_marker='' id_marker='' next
    while :; do
        local markers=()
        [ -z "$key_marker" ] || markers=(--key-marker "$key_marker" --upload-id-marker "$id_marker")
        page=$(s3api list-multipart-uploads --no-paginate --bucket "$bucket" --prefix "$key" ${markers[@]+"${markers[@]}"}) || return 1
        [ -n "$page" ] || page='{}'
        next=$(jq -r --arg key "$key" '[.Uploads[]? | select(.Key == $key)] | sort_by(.Initiated) | last | .UploadId // empty' <<<"$page")
        [ -z "$next" ] || id=$next
        # Only a page that is full of this one key has a page to follow.
        next=$(jq -r --arg key "$key" 'if .IsTruncated and .NextKeyMarker == $key then .NextUploadIdMarker // empty else empty end' <<<"$page")
        if [ -z "$next" ] || [ "$next" = "$id_marker" ]; then
            break
        fi
        key_marker=$key
        id_marker=$next
    done
    printf '%s' "$id"
}

waiting=no
while :; do
    sleep 1 &
    id=$(newest_upload) || fail "cannot list the uploads of bucket \"$bucket\": $(error_text)"
    [ -z "$id" ] || break
    [ $wait_for_start = yes ] || fail "no upload of \"$key\" is open in bucket \"$bucket\" (--wait waits for one)"
    [ $waiting = yes ] || printf 'waiting for an upload of "%s" to begin in bucket "%s"\n' "$key" "$bucket" >&2
    waiting=yes
    wait
done
printf 'watching upload %s of "%s"\n' "$id" "$key" >&2

before=-1
troubles=0
parts=0
bytes=0
while :; do
    # The second runs beside the request, not after it.
    sleep 1 &
    if listing=$(s3api list-parts --bucket "$bucket" --key "$key" --upload-id "$id"); then
        troubles=0
        # The CLI follows the pages of 1,000 parts by itself.
        read -r parts bytes < <(jq -r '[.Parts[]?] | unique_by(.PartNumber) | "\(length) \(map(.Size) | add // 0)"' <<<"${listing:-{\}}")
        rate=''
        [ "$before" -lt 0 ] || rate="  +$((bytes - before)) B"
        before=$bytes
        noun=parts
        [ "$parts" -ne 1 ] || noun=part
        line="$(date +%H:%M:%S)  $parts $noun  $bytes bytes$rate"
        # On a terminal the line is written over; elsewhere there is one a second.
        if [ -t 1 ]; then
            printf '\r\033[K%s' "$line"
        else
            printf '%s\n' "$line"
        fi
    elif grep -q -e NoSuchUpload -e '(404)' "$errors"; then
        break
    else
        troubles=$((troubles + 1))
        [ ! -t 1 ] || printf '\n'
        printf 'watch_upload.sh: cannot list the parts: %s\n' "$(error_text)" >&2
        if [ $troubles -ge 10 ] || grep -q -e AccessDenied -e InvalidAccessKeyId -e SignatureDoesNotMatch "$errors"; then
            exit 1
        fi
    fi
    wait
done

[ ! -t 1 ] || printf '\n'
# On a store with Live Read the upload's id is the version id of its object.
if size=$(s3api head-object --bucket "$bucket" --key "$key" --version-id "$id") && size=$(jq -re .ContentLength <<<"$size"); then
    printf 'the upload is complete: %d bytes\n' "$size"
elif grep -q -e '(404)' -e 'Not Found' "$errors"; then
    printf 'the upload was cancelled; %d parts, %d bytes were seen\n' "$parts" "$bytes"
else
    printf 'the upload is over; %d parts, %d bytes were seen\n' "$parts" "$bytes"
fi
