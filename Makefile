# Everything a developer needs: `make run` and `make test`. The other targets are what those, CI and releases are made of.

# Behind a tag by five commits: 1.2.3+5.gabcdef, which package managers take for newer than 1.2.3.
VERSION ?= $(shell git describe --tags 2>/dev/null | sed 's/^v//; s/-\([0-9]*\)-g/+\1.g/' | grep . || echo 0.0.0+g$$(git rev-parse --short HEAD 2>/dev/null || echo unknown))
# When: of the last commit, so that the same source makes the same packages.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
GO      ?= go
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s
SEEDS    ?= 20000
FROM     ?= 1
ARCHES   ?= amd64 arm64
NFPM    := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0

.PHONY: run build test lint lint-ansible sim lab bench bench-client bench-failover interop e2e e2e-long vagrant-test fuzz packages repo lint-packages clean .FORCE

## run: build and serve on 127.0.0.1:2181, with the data below ./data
run: build
	@mkdir -p data
	@echo "serving on 127.0.0.1:2181, data in ./data; connect with: zkCli.sh -server 127.0.0.1:2181"
	@exec ./bin/zabd --set dataDir=$(CURDIR)/data --set clientPort=2181 --set clientPortAddress=127.0.0.1

## build: the static binary, bin/zabd
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

## test: all that a change must pass; seeds, and crashes at every operation of a disk, run without the race detector
test: lint
	$(GO) test -race ./...
	$(GO) test ./pkg/sim ./pkg/datadir

## lint: formatting, vet, staticcheck; the house rules are tests of package pkg
lint:
	@out=$$($(GO) tool gofumpt -l cmd pkg packaging); if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet -tags interop,e2e,bench ./...
	$(GO) tool staticcheck -tags interop,e2e,bench ./...

## lint-ansible: the role and the playbooks
lint-ansible:
	@for tool in yamllint ansible-lint; do command -v $$tool >/dev/null || \
		{ echo "$$tool is missing: apt-get install -y --no-install-recommends ansible ansible-lint yamllint"; exit 1; }; done
	cd ansible && yamllint --strict . ../vagrant && ansible-lint --strict
	cd vagrant && ANSIBLE_ROLES_PATH=../ansible/roles ansible-lint --strict -c ../ansible/.ansible-lint lab.yml

## sim: SEEDS simulated ensembles, from seed FROM on; each finds its own way to go wrong
sim:
	$(GO) run ./cmd/zabsim -from $(FROM) -count $(SEEDS)

## lab: four servers on loopback and a live table of what they do, until Ctrl-C; OBSERVER=4 makes the fourth observe
lab: build
	@exec ./bin/zablab -zabd bin/zabd $(if $(OBSERVER),-observer $(OBSERVER)) $(LABFLAGS)

## bench: zabd and ZooKeeper side by side in one run, one server and three; see docs/benchmarks.md
bench:
	$(GO) test -tags bench -count=1 -timeout 60m -run 'TestCompare|TestEnsemble|TestWatches|TestSessions|TestRestart' -v ./pkg/load $(BENCHFLAGS)

## bench-failover: leaders of zabd and of ZooKeeper are killed under clients that write
bench-failover:
	$(GO) test -tags bench -count=1 -timeout 60m -run TestFailover -v ./pkg/load $(BENCHFLAGS)

## bench-client: our Go client and go-zookeeper/zk take turns at one server
bench-client:
	$(GO) test -tags interop -run '^$$' -bench BenchmarkClients -benchtime 2s ./pkg/interop

## interop: other people's clients against zabd (zkCli.sh, the C client, kazoo, go-zookeeper)
interop:
	$(GO) test -tags interop -count=1 -timeout 10m ./pkg/interop

# What takes long on four hosts under load, and is run by hand.
E2E_LONG := TestMigrationByAnsible|TestReconfigByAnsible|TestMixedLab|TestFirewallsByAnsible|TestFaultsOfOneHost/a_large_tree|TestEnsembleByAnsible/(a_changed_setting|rolling_upgrade|leader_unplugged|a_voter)

## e2e: the packages on booted hosts (systemd-nspawn; needs root), and four of them set up by Ansible
e2e: repo
	$(GO) test -tags e2e -count=1 -timeout 20m -v -skip '$(E2E_LONG)' ./pkg/e2e

## e2e-long: the same, and then restarts, an upgrade, a lost host and migrations under load: half an hour
e2e-long: repo
	$(GO) test -tags e2e -count=1 -timeout 60m -v ./pkg/e2e

## vagrant-test: the Vagrant lab of VMS machines (1), in a box that is made here, without hardware support; by hand, as root
vagrant-test: ARCHES = amd64
vagrant-test: packages
	ZABD_OBSERVER=$(or $(OBSERVER),0) ZABD_JAVA=$(JAVA) vagrant/test.sh $(or $(VMS),1)

## fuzz: every fuzz target for FUZZTIME
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

## packages: dist/zabd_*.deb and dist/zabd-*.rpm, for amd64 and arm64
packages: dist/doc
	@rm -f dist/*.deb dist/*.rpm
	GOBIN=$(CURDIR)/dist/tools $(GO) install $(NFPM)
	@for arch in $(ARCHES); do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o dist/build/$$arch/ ./cmd/zabd ./cmd/zabctl || exit 1; \
		for packager in deb rpm; do \
			ARCH=$$arch VERSION=$(VERSION) dist/tools/nfpm package --config nfpm.yaml --packager $$packager --target dist/ || exit 1; \
		done; \
	done

dist/doc: .FORCE
	@mkdir -p dist/doc
	$(GO) run ./packaging/notices > dist/doc/NOTICES
	$(GO) run ./packaging/manual dist/doc $(VERSION) $(SOURCE_DATE_EPOCH)
	@printf -- '- semver: "%s-1"\n  date: %s\n  packager: %s\n  deb: {urgency: medium, distributions: [stable]}\n  changes: [{note: "%s"}]\n' '$(VERSION)' \
		"$$(date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)" 'zabd maintainers <maintainers@zabd.invalid>' 'See /usr/share/doc/zabd/NEWS.md.' > dist/doc/changelog.yaml

## repo: dist/repo, a signed apt and a signed yum repository of the packages (REPO_KEY names the key)
repo: packages
	packaging/repo/repo.sh dist dist/repo

## lint-packages: what Debian and Fedora say of the packages
lint-packages: packages
	lintian --fail-on error,warning --suppress-tags bad-distribution-in-changes-file dist/*.deb
	rpmlint -c packaging/lint/rpmlint.toml dist/*.rpm

.FORCE:

clean:
	rm -rf bin dist .cache
