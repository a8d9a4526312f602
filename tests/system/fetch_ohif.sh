#!/bin/sh
# Fetches OHIF's built pages, one version whose hash is known, into the cache folder where tests/system/ohif.py looks.
# Needs npm. Where they cannot be fetched it says that the tests of the viewer will be skipped.
set -eu

version=3.13.2
sha512=5997719a9986eeba85816f5924b71b82bdd70ad2e2d4a0cd3e831a798e4f3deea3e06e1f8c48e393271933a0ba664d85f3b04ac457e9abe8dde715d907d13c10
cache="${XDG_CACHE_HOME:-$HOME/.cache}/spinenode-peers"
target="$cache/ohif-$version"
[ ! -e "$target/package/dist/index.html" ] || exit 0

skip() {
  echo "OHIF $version $1; the tests of the viewer are skipped"
  exit 0
}
command -v npm >/dev/null 2>&1 || skip "cannot be fetched without npm (apt-get install npm)"
mkdir -p "$cache"
work=$(mktemp -d "$cache/.fetching-XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "fetching OHIF $version (50 MB)"
npm pack "@ohif/app@$version" --silent --ignore-scripts --cache "$work/npm" --pack-destination "$work" >/dev/null 2>&1 ||
  skip "could not be fetched"
echo "$sha512  $work/ohif-app-$version.tgz" | sha512sum --check --status || skip "came with another hash than expected"
mkdir "$work/ohif"
tar -xzf "$work/ohif-app-$version.tgz" -C "$work/ohif" --exclude='*.map' package/dist package/LICENSE
mv -T "$work/ohif" "$target" || [ -e "$target/package/dist/index.html" ]   # another run was faster
