#!/usr/bin/env bash
# gofmt, go vet and staticcheck at a pinned version. The rules on imports, file
# sizes and names are tests at the root.
set -euo pipefail
cd "$(dirname "$0")/.."

staticcheck=v0.6.1
tool=$PWD/.cache/lint/staticcheck-$staticcheck-$(go env GOVERSION)
if [ ! -x "$tool/staticcheck" ]; then
	echo "lint: building staticcheck $staticcheck into .cache/lint" >&2
	GOBIN=$tool GOFLAGS= go install "honnef.co/go/tools/cmd/staticcheck@$staticcheck"
fi

files=$(git ls-files --cached --others --exclude-standard '*.go')
unformatted=$(xargs -r ls 2>/dev/null <<<"$files" | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
	echo "lint: not formatted (make fmt):" >&2
	echo "$unformatted" >&2
	exit 1
fi
go vet -tags e2e ./...
"$tool/staticcheck" -tags e2e ./...
go mod verify >/dev/null
echo 'lint: ok' >&2
