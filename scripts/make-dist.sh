#!/usr/bin/env bash
# Makes what is handed out: target/dist/live-read-VERSION-TARGET.tar.gz with the tools, their manual pages and completions, the
# page, the documentation, the licences and a software bill of materials; and SHA256SUMS beside it.
#
# The same source and the same Rust give the same bytes, wherever they lie: no path and no time of the day is in them
# (`make test-dist` shows it). Times are those of the last commit.
#
#   DIST          where it goes                                              [target/dist]
#   BUILT         the tools, if they are built already                       [compiled with the profile `dist`]
set -euo pipefail
cd "$(dirname "$0")/.."
dist=${DIST:-$PWD/target/dist}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

if [ -z "${BUILT:-}" ]; then
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    # Where the source and the dependencies lie on this machine is nobody's business. (Rust's own library does not tell.)
    export RUSTFLAGS="--remap-path-prefix=$PWD=/live-read --remap-path-prefix=$cargo_home=/cargo"
    export CFLAGS="-ffile-prefix-map=$PWD=/live-read -ffile-prefix-map=$cargo_home=/cargo"
    export CARGO_INCREMENTAL=0 CARGO_TARGET_DIR=$PWD/target/dist-build
    cargo build --profile dist --locked --bins
    BUILT=$CARGO_TARGET_DIR/dist
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=live-read-$version-$target
top=$work/$name
BUILT=$BUILT PREFIX=/ DESTDIR=$top ./scripts/install.sh >/dev/null
install -m 755 watch_upload.sh "$top/bin/watch_upload.sh"
install -D -m 644 -t "$top/share/live-read/systemd" packaging/systemd/*.service packaging/*.env
install -D -m 644 -t "$top/share/live-read/nginx" packaging/nginx/*.conf
install -D -m 644 -t "$top/share/live-read/page" index.html
cp -R page "$top/share/live-read/page/page"
cp -R docs "$top/docs"
install -m 644 -t "$top" README.md CHANGELOG.md LICENSE LICENSE-MIT LICENSE-APACHE .env.template
./scripts/licences.sh >"$top/LICENCES-OF-DEPENDENCIES.txt"
python3 scripts/sbom.py "$target" >"$top/live-read.cdx.json"

chmod -R u=rwX,go=rX "$top"
mkdir -p "$dist"
tar --create --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --directory "$work" "$name" | gzip -9n >"$dist/$name.tar.gz"
cp "$top/live-read.cdx.json" "$dist/$name.cdx.json"
(cd "$dist" && sha256sum "$name.tar.gz" "$name.cdx.json" >SHA256SUMS)
printf '%s: %s bytes\n' "$dist/$name.tar.gz" "$(stat -c %s "$dist/$name.tar.gz")"
