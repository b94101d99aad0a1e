#!/bin/sh
# Installs what a make target needs beyond Rust, git, make and a C compiler.
#
#   scripts/install-deps.sh PROFILE...      PROFILE: build demo page test players obs watch bench
#
# Does nothing, at once, when everything is there. Uses the system's package
# manager where it may (root, passwordless sudo, or Homebrew); elsewhere it
# names what is missing and exits 1. What is only nice to have (a browser for
# the page test, shellcheck) gives a warning instead.
set -eu

cd "$(dirname "$0")/.."
aws_venv=target/tools/awscli
bench_venv=target/tools/bench
stores_venv=target/tools/stores
encoders_venv=target/tools/encoders
PATH="$PWD/$aws_venv/bin:$PATH"

say() { printf 'install-deps: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# For whoever waits: under scripts/step.sh the rest goes into a file, and descriptor 3 is what he sees.
tell() {
    say "$@"
    if { true >&3; } 2>/dev/null; then
        [ ! -t 3 ] || printf '\r\033[K' >&3
        printf '%s\n' "$*" >&3
    fi
}

# Before anything is fetched: without it all the rest is of no use.
rust_or_end() {
    least=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9][0-9.]*\).*/\1/p')
    if printf '%s %s\n' "${found:-0.0.0}" "$least" | awk '{
            split($1, a, "."); split($2, b, ".")
            for (i = 1; i <= 3; i++) if (a[i] + 0 != b[i] + 0) exit a[i] + 0 < b[i] + 0
        }'; then
        return
    fi
    there="there is none"
    [ -z "$found" ] || there="this is $found"
    say "this needs Rust $least or newer, and $there."
    if have rustup; then
        say "This brings it:  rustup update stable && rustup default stable"
    else
        say "This installs it for you alone, beside any other:"
        say "    curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y && . \"\$HOME/.cargo/env\""
    fi
    exit 1
}

have_browser() {
    if [ -n "${CHROMIUM:-}" ]; then
        have "$CHROMIUM"
        return
    fi
    for b in chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        /Applications/Chromium.app/Contents/MacOS/Chromium; do
        # Ubuntu's chromium-browser is a stub that only says to install a snap.
        if have "$b" && ! grep -qs 'snap install chromium' "$(command -v "$b")"; then
            return 0
        fi
    done
    return 1
}

# Is the thing there? Names are this script's own, not package names.
present() {
    case $1 in
    cc) have cc || have gcc || have clang ;;
    ffmpeg) have ffmpeg && have ffprobe ;;
    aws) have aws ;;
    node) have node ;;
    npm) have npm ;;
    jq) have jq ;;
    rclone) have rclone ;;
    mpv) have mpv ;;
    vlc) have cvlc ;;
    # What plays may lack what publishes, and the other way round.
    gstreamer) have gst-launch-1.0 && gst-inspect-1.0 --exists avdec_h264 ;;
    rtmp) have gst-launch-1.0 && gst-inspect-1.0 --exists flvdemux && gst-inspect-1.0 --exists rtmp2sink && gst-inspect-1.0 --exists rtmpsink ;;
    curl) have curl ;;
    openssl) have openssl ;;
    python) have python3 && python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    browser) have_browser ;;
    firefox) have firefox-esr || have firefox ;;
    shellcheck) have shellcheck ;;
    redis) have redis-check-rdb ;;
    obs) have obs ;;
    xvfb) have Xvfb ;;
    xdotool) have xdotool ;;
    esac
}

# The package that brings it: package MANAGER THING.
package() {
    case $1:$2 in
    apt:cc) echo "gcc libc6-dev" ;;
    apk:cc) echo "gcc musl-dev" ;;
    *:cc) echo gcc ;;
    dnf:ffmpeg) echo ffmpeg-free ;;
    apt:aws) echo awscli ;;
    apk:aws) echo aws-cli ;;
    dnf:aws) echo awscli2 ;;
    pacman:aws) echo aws-cli-v2 ;;
    brew:aws) echo awscli ;;
    apt:node | dnf:node | pacman:node | apk:node) echo nodejs ;;
    brew:npm) echo node ;;
    brew:browser) echo "--cask chromium" ;;
    *:browser) echo chromium ;;
    # Without its service.
    apt:redis) echo redis-tools ;;
    apt:obs) echo "obs-studio obs-plugins libgl1-mesa-dri" ;;
    *:obs) echo obs-studio ;;
    apt:firefox) echo firefox-esr ;;
    brew:firefox) echo "--cask firefox" ;;
    apt:vlc) echo "vlc-bin vlc-plugin-base" ;;
    apt:gstreamer) echo "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav" ;;
    # Of other people's publishers: GStreamer's own, and librtmp. What they send is coded already.
    apt:rtmp) echo "gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad" ;;
    pacman:rtmp) echo "gstreamer gst-plugins-good gst-plugins-bad" ;;
    *:rtmp) echo gstreamer ;;
    apt:python) echo "python3 python3-venv" ;;
    pacman:python) echo python ;;
    *:python) echo python3 ;;
    dnf:shellcheck) echo ShellCheck ;;
    *) echo "$2" ;;
    esac
}

manager() {
    if have apt-get; then echo apt
    elif have dnf; then echo dnf
    elif have pacman; then echo pacman
    elif have apk; then echo apk
    elif have brew; then echo brew
    fi
}

as_root=
may_install() {
    [ -n "$pm" ] || return 1
    [ "$pm" = brew ] && return 0
    [ "$(id -u)" = 0 ] && return 0
    if have sudo && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
        return 0
    fi
    return 1
}

# What `install` does, as a line to paste: for whom there is no other way.
by_hand() {
    packages=''
    for wanted; do packages="$packages $(package "$pm" "$wanted")"; done
    case $pm in
    apt) echo "sudo apt-get install -y --no-install-recommends$packages" ;;
    dnf) echo "sudo dnf install -y$packages" ;;
    pacman) echo "sudo pacman -S --needed$packages" ;;
    apk) echo "sudo apk add$packages" ;;
    brew) echo "brew install$packages" ;;
    esac
}

# What it takes, where the package manager tells.
size() {
    # shellcheck disable=SC2086  # word splitting is wanted
    [ "$pm" != apt ] || LC_ALL=C apt-get install --assume-no --no-install-recommends $1 2>/dev/null </dev/null | awk '
        /newly installed/ { count = $3 }
        /^Need to get/ { fetch = $4 " " $5; sub(/\/.*/, "", fetch) }
        /additional disk space/ { disk = $4 " " $5 }
        END { if (count) printf ": %s packages, %s to fetch, %s on disk", count, fetch, disk }'
}

refreshed=no
install() {
    packages=''
    for wanted; do packages="$packages $(package "$pm" "$wanted")"; done
    if [ "$pm" = apt ] && [ $refreshed = no ]; then
        $as_root apt-get update -qq </dev/null >&2 || say "apt-get update failed; going on with the lists there are"
        refreshed=yes
    fi
    tell "installing$packages$(size "$packages")"
    # shellcheck disable=SC2086  # word splitting is wanted
    case $pm in
    apt)
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages </dev/null >&2
        ;;
    dnf) $as_root dnf install -y -q --setopt=install_weak_deps=False $packages </dev/null >&2 ;;
    pacman)
        if [ $refreshed = no ]; then
            $as_root pacman -Sy --noconfirm </dev/null >&2
            refreshed=yes
        fi
        $as_root pacman -S --needed --noconfirm $packages </dev/null >&2
        ;;
    apk) $as_root apk add --quiet $packages </dev/null >&2 ;;
    brew) brew install $packages </dev/null >&2 ;;
    esac
}

# Some distributions have no AWS CLI package: then it goes into target/tools.
install_aws_from_pypi() {
    if ! have python3 || ! python3 -c 'import ensurepip' 2>/dev/null; then
        [ "$pm" = apt ] && [ "$can_install" = yes ] || return 1
        install python3-venv || return 1
    fi
    say "installing the AWS CLI into $aws_venv"
    rm -rf "$aws_venv"
    python3 -m venv "$aws_venv" >&2 && "$aws_venv/bin/pip" install -q --disable-pip-version-check awscli >&2
}

needs=''
wants=''
modules=''
players=''
stores=''
boto3=''
[ $# -gt 0 ] || { say "usage: scripts/install-deps.sh build|demo|page|test|players|obs|watch|bench|lint..."; exit 2; }
for profile; do
    case $profile in
    build) needs="$needs cc" ;;
    demo) needs="$needs cc ffmpeg" ;;
    page) needs="$needs node" ;;
    test) needs="$needs cc ffmpeg aws jq rclone curl python node npm" wants="$wants browser redis rtmp" modules=yes stores=yes boto3=any ;;
    players) needs="$needs cc ffmpeg curl node npm" wants="$wants browser firefox mpv vlc gstreamer" players=yes ;;
    obs) needs="$needs cc ffmpeg python" wants="$wants obs xvfb xdotool" ;;
    watch) needs="$needs aws jq" ;;
    bench) needs="$needs cc ffmpeg aws rclone curl openssl python" boto3=own ;;
    lint) needs="$needs cc" wants="$wants shellcheck" ;;
    *) say "no such profile: $profile"; exit 2 ;;
    esac
done

case " $needs " in *" cc "*) rust_or_end ;; esac

missing=''
for thing in $needs $wants; do
    case " $missing " in *" $thing "*) continue ;; esac
    present "$thing" || missing="$missing $thing"
done

if [ -n "$missing" ]; then
    pm=$(manager)
    can_install=no
    if may_install; then can_install=yes; fi
    # shellcheck disable=SC2086  # word splitting is wanted
    if [ $can_install = yes ] && ! install $missing; then
        # One that does not exist here must not keep the others out.
        for thing in $missing; do
            present "$thing" || install "$thing" || say "the package manager could not install $(package "$pm" "$thing")"
        done
    fi
    case " $missing " in
    *" aws "*) present aws || install_aws_from_pypi || true ;;
    esac
fi

failed=''
for thing in $needs; do
    case " $failed " in *" $thing "*) continue ;; esac
    present "$thing" || failed="$failed $thing"
done
for thing in $wants; do
    present "$thing" && continue
    case $thing in
    browser) say "WARNING: no Chromium or Chrome; the test of index.html will be skipped (set CHROMIUM to its path if it is somewhere else)" ;;
    redis | rtmp) say "WARNING: $thing is missing; what it checks is not tested, and where CI is set those tests fail" ;;
    *) say "WARNING: $thing is missing; what it checks is skipped" ;;
    esac
done
if [ -n "$failed" ]; then
    pm=$(manager)
    # shellcheck disable=SC2086  # word splitting is wanted
    line=$(by_hand $failed)
    if [ -n "$line" ]; then
        say "missing:$failed. Paste this, and run the same again:"
        say "    $line"
    else
        say "missing:$failed. Install them with your package manager and run this again."
    fi
    exit 1
fi

# What the tests of the page look with, exactly as locked. (hls.js lies in page/vendor; they compare.)
if [ -n "$modules" ] && ! cmp -s package-lock.json node_modules/installed-lock.json; then
    say "installing axe-core and hls.js into node_modules"
    npm ci --no-audit --no-fund --loglevel=error >&2 </dev/null
    cp package-lock.json node_modules/installed-lock.json
fi

# Players of other people, exactly as locked.
if [ -n "$players" ] && ! cmp -s scripts/players/package-lock.json scripts/players/node_modules/installed-lock.json; then
    say "installing Shaka Player and video.js into scripts/players/node_modules"
    (cd scripts/players && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 </dev/null)
    cp scripts/players/package-lock.json scripts/players/node_modules/installed-lock.json
fi

# Stores of other people for the tests, exactly as locked.
if [ -n "$stores" ] && ! cmp -s scripts/stores/package-lock.json scripts/stores/node_modules/installed-lock.json; then
    say "installing s3rver into scripts/stores/node_modules"
    (cd scripts/stores && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 </dev/null)
    cp scripts/stores/package-lock.json scripts/stores/node_modules/installed-lock.json
fi
if [ -n "$stores" ] && ! cmp -s scripts/stores/requirements.txt "$stores_venv/installed.txt"; then
    say "installing moto into $stores_venv"
    rm -rf "$stores_venv"
    python3 -m venv "$stores_venv" >&2
    "$stores_venv/bin/pip" install -q --disable-pip-version-check -r scripts/stores/requirements.txt >&2 </dev/null
    cp scripts/stores/requirements.txt "$stores_venv/installed.txt"
fi

# An encoder of today for the tests, exactly as locked. Where there is none for this machine, what it would check is not tested.
if [ -n "$stores" ] && ! cmp -s scripts/encoders/requirements.txt "$encoders_venv/installed.txt"; then
    say "installing a new ffmpeg into $encoders_venv"
    rm -rf "$encoders_venv"
    python3 -m venv "$encoders_venv" >&2
    if "$encoders_venv/bin/pip" install -q --disable-pip-version-check -r scripts/encoders/requirements.txt >&2 </dev/null; then
        cp scripts/encoders/requirements.txt "$encoders_venv/installed.txt"
    else
        say "WARNING: no new ffmpeg; the codecs of enhanced RTMP are not tested with a real encoder, and where CI is set those tests fail"
    fi
fi

# boto3 for the bench, in an environment of its own, and FastAPI for a middleware that it measures; the tests are content with the
# system's boto3.
if [ "$boto3" = any ] && python3 -c 'import boto3' 2>/dev/null; then boto3=''; fi
of_bench='boto3'
[ "$boto3" != own ] || of_bench='boto3 fastapi uvicorn'
if [ -n "$boto3" ] && ! "$bench_venv/bin/python" -c "import $(echo "$of_bench" | tr ' ' ',')" 2>/dev/null; then
    say "installing $of_bench into $bench_venv"
    rm -rf "$bench_venv"
    python3 -m venv "$bench_venv" >&2
    # shellcheck disable=SC2086  # word splitting is wanted
    "$bench_venv/bin/pip" install -q --disable-pip-version-check $of_bench >&2 </dev/null
fi
