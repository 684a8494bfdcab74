# The tasks of this repository. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

MODULE := github.com/pyflow-dev/kubectl-pyflow

# The version that the plugin reports: a tag, or empty, which it prints as "devel".
VERSION ?= $(shell git describe --tags --match 'v*' --dirty 2>/dev/null)
LDFLAGS := -s -w -X $(MODULE)/pkg/version.version=$(VERSION)

# All targets compile with the same settings, so that they share the compiler's cache.
# Without the path of the checkout in the programs, clones share it, and the results of
# tests whose inputs have not changed.
export CGO_ENABLED := 0
export GOFLAGS := $(shell go env GOFLAGS) -trimpath
# The go.mod files of golangci-lint, krew and hack/cluster pin their dependencies. A
# workspace of the developer would mix them.
export GOWORK := off

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Compile the plugin into bin/kubectl-pyflow
	go build -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/kubectl-pyflow ./cmd/kubectl-pyflow

.PHONY: generate
generate: ## Write Tekton's install manifest and the formats of tokens again, from the modules that pin them
	hack/generate.sh pkg/manifests/tekton/release.yaml
	hack/generate-secrets.sh pkg/secret/gitleaks.json

.PHONY: map
map: ## Write the map of the code in CONTRIBUTING.md again
	go run ./hack/codemap

.PHONY: tools
tools: ## Build kubectl and tkn's run commands into bin/
	cd hack/cluster && go run . tools --bin $(CURDIR)/bin

.PHONY: dist
dist: ## Cross-compile the release archives and their krew manifest into dist/
	go run ./hack/dist

.PHONY: clean
clean: ## Remove what was built here; caches outside the checkout and a running cluster stay
	rm -rf bin dist

.PHONY: test
test: build ## Run every test; without $KUBECONFIG on a cluster that it starts
	@hack/stages.sh --beside test-e2e test-unit test-example verify

.PHONY: test-unit
test-unit: ## Run the Go tests that need no cluster
	@# make lint runs all that vet has; go test would start it once more for each package.
	go test -vet=off ./...
	hack/test-cluster-module.sh

.PHONY: fuzz
fuzz: ## Fuzz every parser for 20 seconds; the Go tests run their seeds alone
	hack/fuzz.sh

.PHONY: test-example
test-example: build ## Test the example, and what init makes of its templates, in virtual environments
	hack/test-example.sh

.PHONY: test-e2e
test-e2e: build ## Run the plugin end to end on the cluster of $KUBECONFIG, or on one that it starts; RUN selects tests
	hack/with-cluster.sh hack/test-e2e.sh

# What the threat model in docs/security.md says is defended, tried with the attack itself.
ATTACKS := Developer|DeveloperRuns|DeveloperPods|DeveloperObjects|DeveloperVerbs|ImagesOfNamespaces|Exposure|RegistryIsolation|BuildStealsNothing|UntrustedLeavesNoLayer|PodSecurity|FormerNamespace|Resolvers|BuildNetwork|BuildLimits|CredentialsInClear|RegistryQuota

.PHONY: attacks
attacks: build ## Attack the platform as a hostile build, developer and neighbor do, on the cluster
	RUN='^Test($(ATTACKS))$$' hack/with-cluster.sh hack/test-e2e.sh ./test/e2e

.PHONY: test-console
test-console: build ## Run the tests of kubectl pyflow ui in a browser, as test-e2e does at its end; RUN selects tests
	hack/with-cluster.sh hack/test-e2e.sh console

.PHONY: conformance
conformance: build ## Build every case of test/conformance on the cluster and compare the images with BuildKit's
	PYFLOW_CONFORMANCE=all RUN='TestConformance$(if $(CASE),/case/$(CASE))' hack/with-cluster.sh hack/test-e2e.sh

.PHONY: conformance-record
conformance-record: ## Write what BuildKit makes of the changed cases of test/conformance into them
	hack/conformance-record.sh

.PHONY: bench
bench: build tools ## Print start-up time and memory as ratios against kubectl
	go run ./test/bench

.PHONY: verify
verify: ## Run every check and report all that fail
	@hack/stages.sh lint $(patsubst hack/verify/%.sh,verify-%,$(wildcard hack/verify/*.sh))

.PHONY: lint
lint: ## Run golangci-lint and its formatters over both modules
	hack/lint.sh

.PHONY: fmt
fmt: ## Format the Go code
	hack/lint.sh --fix

# Each script of hack/verify is a check, and a target: verify-NAME.
verify-%:
	@hack/verify/$*.sh

.PHONY: cluster
cluster: ## Start the one-node Kubernetes of hack/cluster; the first time compiles it
	cd hack/cluster && go run . up

.PHONY: cluster-down
cluster-down: ## Stop the cluster and remove everything but its caches
	cd hack/cluster && go run . down

.PHONY: cluster-join
cluster-join: ## Start the second node of the cluster
	cd hack/cluster && go run . join

.PHONY: cluster-leave
cluster-leave: ## Stop the second node at once, without draining it
	cd hack/cluster && go run . leave

.PHONY: kubeconfig
kubeconfig: ## Print the path of the kubeconfig of the cluster
	@cd hack/cluster && go run . kubeconfig

.PHONY: demo
demo: build ## Set up a cluster, build examples/mountains in it and print its answer
	hack/with-cluster.sh --keep hack/demo.sh
