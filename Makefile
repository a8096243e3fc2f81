# croft: everything one does with the code. `make` alone prints this help.

SHELL   := bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

# The Compose SDK writes its version into labels and takes it from here.
COMPOSE := $(shell $(GO) list -m -f '{{.Version}}' github.com/docker/compose/v5 2>/dev/null)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) \
	-X github.com/docker/compose/v5/internal.Version=$(COMPOSE:v%=%)

# Flags of every go test; CI counts the lines that -v prints.
TESTFLAGS ?= -v
FUZZTIME  ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build test tools unit e2e engine images lint fmt fuzz bench chaos nightly demo demo-down clean

help: ## print this help
	@echo 'croft: a private platform on one Linux machine'
	@echo
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/croft, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/croft ./cmd/croft

demo: build engine images ## start a whole platform on this machine and say how to sign in; safe to run again
	@.ci/demo.sh up

demo-down: build ## remove the demo with its data
	@.ci/demo.sh down

test: tools lint unit e2e ## every test: lint, unit, then end to end on a real engine

unit: ## unit tests
	$(GO) test $(TESTFLAGS) ./...

e2e: build engine images ## end-to-end tests through the real programs
	CROFT_BINARY=$(CURDIR)/bin/croft $(GO) test $(TESTFLAGS) -tags e2e -count=1 -p 1 -timeout 40m \
		./cmd/imagefarm ./provision/docker ./cmd/croft/e2e

tools: ## tools that single tests look at the machine with, installed where they are missing and may be
	@.ci/tools.sh

engine: ## make sure that a Docker engine runs; installs one where it may
	@.ci/engine.sh

images: engine ## make sure of the catalogue's images: pulled, or made here where no registry answers
	$(GO) run ./cmd/imagefarm build
	@printf 'images under test: '; $(GO) run ./cmd/imagefarm summary

lint: ## formatting, go vet, staticcheck
	@.ci/lint.sh

fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

fuzz: ## run every fuzzer for FUZZTIME (default 10s)
	@.ci/fuzz.sh $(FUZZTIME)

bench: build engine images ## croft beside docker compose at 82, 300 and 1,000 services, written to docs/performance.md, and Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...
	CROFT_BINARY=$(CURDIR)/bin/croft CROFT_BENCH_OUT=$(CURDIR)/docs/performance.md CROFT_BENCH_SERVICES=$${CROFT_BENCH_SERVICES-82,300,1000} \
		$(GO) test -tags e2e -run '^$$' \
		-bench Scale -benchtime 1x -count=1 -timeout 60m ./cmd/croft/e2e

chaos: build engine images ## kills, full disks, power cuts, written to docs/reliability.md; then the fuzzers, ten minutes each
	CROFT_BINARY=$(CURDIR)/bin/croft CROFT_CHAOS_ROUNDS=$${CROFT_CHAOS_ROUNDS:-300} CROFT_CHAOS_MINUTES=$${CROFT_CHAOS_MINUTES:-45} \
		CROFT_CHAOS_OUT=$(CURDIR)/docs/reliability.md $(GO) test $(TESTFLAGS) -tags e2e -count=1 \
		-timeout 90m -run TestChaos ./cmd/croft/e2e
	CROFT_BINARY=$(CURDIR)/bin/croft CROFT_CHAOS_ROUNDS=30 $(GO) test $(TESTFLAGS) -tags e2e -count=1 -timeout 30m -run TestKilledAppliesConverge ./cmd/croft/e2e
	@.ci/fuzz.sh 10m

nightly: build engine images ## the long forms, and the end-to-end tests once more against a current Docker engine, made from source
	CROFT_LONG=1 CROFT_BINARY=$(CURDIR)/bin/croft $(GO) test $(TESTFLAGS) -tags e2e -count=1 -timeout 30m -run '^TestDrift' ./cmd/croft/e2e
	mkdir -p bin/e2e
	for p in cmd/imagefarm provision/docker cmd/croft/e2e; do $(GO) test -tags e2e -c -o bin/e2e/$${p//\//-}.test ./$$p; done
	CROFT_BINARY=$(CURDIR)/bin/croft GOPROXY=off .ci/engine-current.sh .ci/e2e-built.sh

clean: ## remove what was built here
	rm -rf bin dist
