#!/usr/bin/env bash
# Runs every fuzzer of the module in turn, for the time given each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
found=0
while IFS=: read -r file _ line; do
	name=$(sed -E 's/func (Fuzz[A-Za-z0-9_]*).*/\1/' <<<"$line")
	package=./$(dirname "$file")
	echo "fuzz: $package $name for $time"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
	found=$((found + 1))
done < <(grep -rn --include='*_test.go' -E '^func Fuzz' . | sed 's|^\./||')
echo "fuzz: $found fuzzers, nothing found"
