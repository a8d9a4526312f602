#!/bin/sh
# Installs the real peers of the system tests (Orthanc with DICOMweb, DCMTK, PostgreSQL) and the validators of the report
# objects (dicom3tools, DCMTK with xmllint, PixelMed with a JDK) where it may: on Debian and its children, as root or with
# sudo that asks no password. Elsewhere it says which tests will be skipped.
# No service is started: the tests run their own copies on free loopback ports.
set -eu

missing=""
command -v storescu >/dev/null 2>&1 || missing="$missing dcmtk"
command -v dciodvfy >/dev/null 2>&1 || missing="$missing dicom3tools"
command -v xmllint >/dev/null 2>&1 || missing="$missing libxml2-utils"   # holds DCMTK's XML against its schema
[ -e /usr/share/java/pixelmed.jar ] || missing="$missing libpixelmed-java"
command -v javac >/dev/null 2>&1 || missing="$missing default-jdk-headless"   # PixelMed is driven by two source files
command -v Orthanc >/dev/null 2>&1 || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
[ -e /usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so ] || missing="$missing orthanc-postgresql"   # bench only
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"   # shows OHIF
command -v npm >/dev/null 2>&1 || missing="$missing npm"   # fetches OHIF (fetch_ohif.sh)
command -v cc >/dev/null 2>&1 || missing="$missing gcc libc6-dev"   # keeps Orthanc and DCMTK's servers on loopback
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="no"; fi
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = "no" ]; then
  echo "not installed, and cannot be installed from here:$missing"
  echo "the tests that need them are skipped, each with its reason; install by hand: apt-get install$missing"
  exit 0
fi

policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
  $as_root chmod 755 "$policy"
  made_policy=yes
fi
remove_policy() { [ -z "$made_policy" ] || $as_root rm -f "$policy"; }
trap remove_policy EXIT

echo "installing the peers of the system tests and the validators:$missing"
if ! { $as_root apt-get update -qq &&
       $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; }; then
  echo "apt-get could not install:$missing; the tests that need them are skipped, each with its reason"
fi
