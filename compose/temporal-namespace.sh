#!/bin/sh
# Creates the namespace and the search attributes of the exports. Does nothing when they are there.
# The address and the namespace come from TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

# The frontend answers before the services behind it do, and a new namespace reaches their caches
# after a few seconds: so each step is tried for a minute.
patiently() {
  tries=30
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || exit 1
    sleep 2
  done
}

make_namespace() {
  temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 168h
}

patiently temporal operator cluster health
patiently make_namespace
patiently temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
  --name ExportType --type Keyword \
  --name ExportStatus --type Keyword \
  --name ExportFormat --type Keyword \
  --name ExportCreatedBy --type Keyword
