#!/usr/bin/env bash
# Makes a Debian package of what `make build` has built: target/dist/live-read_VERSION_ARCH.deb
#
# The same tools give the same bytes: times are those of the last commit.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v dpkg-deb >/dev/null || { echo 'make-deb: dpkg-deb is missing: this needs Debian or Ubuntu' >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)
export SOURCE_DATE_EPOCH
dist=target/dist
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

PREFIX=/usr DESTDIR=$root ./scripts/install.sh >/dev/null
mv "$root/usr/share/zsh/site-functions" "$root/usr/share/zsh/vendor-completions"
gzip -9n "$root"/usr/share/man/man1/*.1
install -D -m 644 -t "$root/lib/systemd/system" packaging/systemd/*.service
install -D -m 644 -t "$root/usr/share/doc/live-read" README.md packaging/*.env
install -D -m 644 -t "$root/usr/share/doc/live-read/nginx" packaging/nginx/*.conf
install -D -m 644 -t "$root/usr/share/doc/live-read/docs" docs/*.*
gzip -9nc CHANGELOG.md >"$root/usr/share/doc/live-read/changelog.gz"
{
    printf 'live-read, under the MIT licence or the Apache License 2.0, as you choose.\n\n'
    cat LICENSE-MIT
    printf '\nThe Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.\n'
    printf '\nWhat else is compiled into the programs, and its licences:\n\n'
    ./scripts/licences.sh
    printf '\nThe player in the gateway is made with hls.js:\n\n'
    cat page/vendor/LICENSE
} >"$root/usr/share/doc/live-read/copyright"
chmod 644 "$root/usr/share/doc/live-read/copyright" "$root/usr/share/doc/live-read/changelog.gz"

# The oldest C library that has all that the programs ask of it.
glibc=$(objdump -T "$root"/usr/bin/writer "$root"/usr/bin/reader | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
mkdir -p "$root/DEBIAN" "$dist"
cat >"$root/DEBIAN/control" <<END
Package: live-read
Version: $version
Architecture: $arch
Maintainer: live-read
Section: video
Priority: optional
Depends: libc6 (>= ${glibc#GLIBC_}), libgcc-s1
Recommends: ca-certificates
Suggests: ffmpeg
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Description: video in object storage that can be read while it is written
 writer cuts a stream into the parts of an S3 upload, reader gives it out again
 while that upload is still running: on Backblaze B2 by Live Read, on every other
 store by small objects beside it.
END
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod 755 "$root" "$root/DEBIAN"
deb=$dist/live-read_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$deb" >/dev/null
printf '%s: %s bytes\n' "$deb" "$(stat -c %s "$deb")"
