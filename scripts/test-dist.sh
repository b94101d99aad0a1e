#!/usr/bin/env bash
# Shows that what is handed out can be made again by others: builds it twice, from two copies of the last commit in directories
# of different names, and compares the bytes; then unpacks and tries it. Compiles everything twice: twenty minutes and more.
#
#   BUILT    compare the packing alone, of tools that are built already
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
    echo "test-dist: FAILED: $*"
    exit 1
}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
[ -z "${BUILT:-}" ] || BUILT=$(realpath "$BUILT")
export BUILT=${BUILT:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/live-read-dist.XXXXXX")
trap 'rm -rf "$work"' EXIT
for copy in one another-place; do
    mkdir "$work/$copy"
    git archive HEAD | tar --extract --directory "$work/$copy"
    # Other rights of new files, and another time of day.
    (umask "$([ $copy = one ] && echo 022 || echo 077)" && cd "$work/$copy" && DIST=$work/$copy/made ./scripts/make-dist.sh)
done
for file in "$work/one/made/"*; do
    cmp "$file" "$work/another-place/made/${file##*/}" || fail "${file##*/} is another the second time"
done

cd "$work/one/made"
sha256sum --check --quiet SHA256SUMS || fail "the checksums are wrong"
archive=$(echo live-read-*.tar.gz)
tar --extract --file "$archive"
cd "${archive%.tar.gz}"
for tool in writer reader; do
    "bin/$tool" --version | grep -q "^$tool " || fail "$tool does not run"
    [ -s "share/man/man1/$tool.1" ] || fail "$tool has no manual page"
    ! grep -aq "$work" "bin/$tool" || fail "$tool tells where it was built"
done
for file in README.md docs/README.md LICENSE-MIT LICENSE-APACHE share/live-read/page/index.html; do
    [ -s "$file" ] || fail "$file is missing"
done
python3 - <<'END' || fail "the bill of materials does not agree with the list of licences"
import json
bill = json.load(open("live-read.cdx.json"))
listed = {tuple(line.split(":")[0].split(" ")) for line in open("LICENCES-OF-DEPENDENCIES.txt")}
parts = {(part["name"], part["version"]) for part in bill["components"]}
assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.5"
# The list has other systems' packages, too.
assert parts and parts <= listed, sorted(parts - listed)
assert all(part["licenses"][0]["expression"] != "NOASSERTION" and part.get("hashes") for part in bill["components"])
known = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
assert all(set(one["dependsOn"]) <= known for one in bill["dependencies"])
END
echo "test-dist: two builds gave the same bytes, and what is in them works"
