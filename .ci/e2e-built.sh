#!/usr/bin/env bash
# Runs the end-to-end tests that `make nightly` compiled, with whatever engine
# DOCKER_HOST names; the farm's images are made there first.
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./cmd/imagefarm build --offline
failed=0
for package in cmd/imagefarm provision/docker cmd/croft/e2e; do
	echo "=== $package" # each runs in its package's directory, as go test does
	(cd "$package" && "$OLDPWD/bin/e2e/${package//\//-}.test" -test.v -test.timeout 40m "$@") || failed=1
done
exit $failed
