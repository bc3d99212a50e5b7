# make help lists the targets. Everything runs with the Go toolchain alone, but for the SDK, which needs Node 20.

FUZZTIME ?= 1m
SOAKRUNS ?= 10
HOSTILETIME ?= 10m
WSTEST ?= wstest
BUILDER ?= docker buildx
IMAGE ?= docker.io/wsresilience/wsresilience:dev
TOOL := go tool -modfile=tools/go.mod

# Packages in which more than one goroutine meets.
RACE = $(shell go list ./... | grep -vE '/(wire|dedupe|heartbeat|snapshot(/.*)?|cmd/.*|internal/(backoff|bench|bench/fake|bench/load|bench/measure|bench/rig|chaos|sim|sim/.*|rehearsal|hostile|hostile/pod|config|deflate|differential|frame|http1|jsonpointer|keepalive|keyring|pathpattern|realapps|documented|tidy)|charts|k8s|k8s/(manifest|redirect))$$')

# Tests of processes, in which the race detector would find nothing, of a flood that it
# makes too slow, and of what doctor says of apps, which it makes late. They run once.
ONCE := FleetOfTwoReleases|NATSHangs|StrictWithoutNATS|FolderOfJournalGone|AddressUsedAgain|GreedySessions|GreedyFewModestMany|TestSound$$

.DEFAULT_GOAL := help
.PHONY: examples site help build test race lint vuln fuzz bench bench-proxy bench-libraries bench-outbox soak proof chaos rehearsal rehearse-peers hostile realapps pages differential autobahn doctor-cases runbooks docs ci sdk test-sdk test-browser test-nginx test-alerts test-otlp outbox linear agent-apps test-aio test-goroutine image sbom e2e-kube release test-packages

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-13s %s\n", $$1, $$2 }'

build: ## the commands, into bin/
	go build -trimpath -o bin/ ./cmd/...

test: ## all tests, then those with goroutines under the race detector
	go test ./...
	$(MAKE) --no-print-directory race

race: ## the tests with goroutines under the race detector
	go test -race -skip '$(ONCE)' $(RACE)

lint: ## go vet, golangci-lint, govulncheck (the first run builds them, which takes minutes)
	go vet ./...
	$(TOOL) golangci-lint run ./...
	$(TOOL) govulncheck $(if $(VULNDB),-db "$(VULNDB)") ./...

vuln: ## known vulnerabilities in what the commands link (asks vuln.go.dev; VULNDB=file:///... is a copy of it)
	$(TOOL) govulncheck $(if $(VULNDB),-db "$(VULNDB)") ./cmd/...

fuzz: ## each fuzz target for FUZZTIME (1m)
	@set -e; found=0; \
	for file in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | sort); do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$file); do \
			found=$$((found + 1)); \
			echo "== $$target in $$(dirname $$file)"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$(dirname $$file); \
		done; \
	done; \
	if [ $$found = 0 ]; then echo "no fuzz target was found" >&2; exit 1; fi

bench: ## cost per message beside plain forwarders, memory, start-up, resumes, adoptions, journal writes
	go run ./internal/bench

test-aio: ## the tests with sockets once more, with each read and first write in a round of Linux AIO, under the race detector too
	WSR_DRIVER=aio go test -count=1 -skip 'AdoptAfterRestart|OwnerSilent|Drain|Move|$(ONCE)' ./proxy ./internal/endtoend
	WSR_DRIVER=aio go test -race -count=1 -skip '$(ONCE)' ./internal/transport ./proxy

test-goroutine: ## the tests with sockets once more, with a goroutine per socket instead of event loops
	WSR_DRIVER=goroutine go test -count=1 -skip 'AdoptAfterRestart|OwnerSilent|Drain|Move|$(ONCE)' ./proxy ./internal/endtoend

test-nginx: ## the configuration that docs/PROXIES.md shows, in a real nginx (needs nginx)
	go test -tags nginx -count=1 ./internal/fronts

test-alerts: ## each alert of the chart fires, by Prometheus' promtool (needs promtool)
	go test -tags promtool -count=1 -run 'AlertsFire|DashboardQueries' ./charts

test-otlp: ## the encoding of traces, by the decoder of the OpenTelemetry collector
	go test -C internal/otlp/testdata/decoder -count=1 ./...

doctor-cases: ## doctor's planted faults and sound set-ups, real proxies and long silences too (needs nginx, haproxy and apache2; builds Caddy, and Traefik, which takes nine minutes of a processor the first time)
	go build -C internal/doctor/testdata/caddy -o $(CURDIR)/bin/caddy .
	go build -C internal/doctor/testdata/traefik -o $(CURDIR)/bin/traefik github.com/traefik/traefik/v3/cmd/traefik
	PATH=$(CURDIR)/bin:$$PATH go test -tags nginx -count=1 -timeout 10m ./internal/doctor

runbooks: ## what alerts are about, brought about with real processes, and looked at as the pages in docs/runbooks say
	go build -C internal/endtoend/testdata/natsexporter -o $(CURDIR)/bin/prometheus-nats-exporter github.com/nats-io/prometheus-nats-exporter
	PATH=$(CURDIR)/bin:$$PATH go test -tags runbooks -count=1 -timeout 5m -run TestRunbooks ./internal/endtoend

outbox: ## programs with an outbox, killed ten thousand times while they write and read (ten minutes)
	go test ./internal/endtoend -count=1 -v -timeout 60m -run 'TestKilled(Writer|Reader)' -args -kills 10000

devices: ## three devices of one session, cut twenty times each while pods are killed and drained (a minute)
	go test ./internal/endtoend -count=1 -v -timeout 10m -run TestDevicesAcrossKills -args -cuts 20

merges: ## a million merges of writes by several devices, in random orders (four minutes)
	go test ./internal/merge -count=1 -timeout 30m -run TestMerges -args -merges 1000000

agent-apps: ## stock Mosquitto clients and a stock program on ws from npm through the agent: 50 cuts, a pod and the agent killed (needs mosquitto, mosquitto-clients, node, npm ci in sdk/js; two minutes)
	go test -tags agentapps ./internal/endtoend -count=1 -v -timeout 10m -run 'TestAgent(Mosquitto|Node)'

linear: ## two thousand histories of keys and of states, each judged whether it is linearizable, and long walks (five minutes)
	go test ./internal/endtoend -count=1 -v -timeout 30m -run 'Linearizable' -args -histories 1000
	go test ./internal/idempotency -count=1 -timeout 30m -run 'TestStatesWalk|TestEntryRoundTrip' -rapid.checks=100000

bench-proxy: ## beside nginx, HAProxy and a plain forwarder, into docs/benchmarks (needs nginx and haproxy)
	go run ./internal/bench proxy

bench-libraries: ## forwarders on event-loop libraries beside the sidecar's own loop (needs nginx and haproxy)
	@dir=$$(mktemp -d) && go build -C internal/bench/libraries -o $$dir/forwarder . && \
	go run ./internal/bench proxy -only cpu -out "" -also "$$dir/forwarder gnet" -also "$$dir/forwarder netpoll"; \
	status=$$?; rm -rf $$dir; exit $$status

bench-outbox: ## drivers of SQLite for the outbox, side by side, and the size of each
	@dir=$$(mktemp -d) && for d in ncruces modernc; do \
		go build -C internal/bench/sqlite -trimpath -ldflags "-s -w" -tags $$d -o $$dir/$$d . && $$dir/$$d && wc -c < $$dir/$$d || exit 1; \
	done; rm -rf $$dir

soak: ## the run with real cuts of the network, SOAKRUNS (10) times, under the race detector
	go test -race -count=$(SOAKRUNS) -timeout 1h -v -run Cuts ./internal/endtoend

proof: ## histories of whole fleets from seeds, in virtual time: SESSIONS (100000), SEED (1), FOR (no limit); make proof SEED=1234 ONE=1 tells one
	go run ./internal/sim/proof -sessions $(or $(SESSIONS),100000) -seed $(or $(SEED),1) -for $(or $(FOR),0) $(if $(ONE),-one)

chaos: ## sidecars, apps and a NATS cluster as processes, broken in every way, a thousand sessions (half an hour and more)
	go run ./internal/chaos

rehearsal: ## our own rehearsal: pods, NATS and nginx, all faults, lossy networks, into docs/rehearsal (nine minutes; needs nginx and root)
	go run ./internal/rehearsal $(if $(NOTE),-note "$(NOTE)")

rehearse-peers: ## the same load and faults on Socket.IO, AnyCable and Centrifugo's library, into docs/rehearsal (three minutes; needs node)
	cd internal/rehearsal/testdata/socketio && npm ci --ignore-scripts
	cd internal/rehearsal/testdata/anycable && npm ci --ignore-scripts
	go run ./internal/rehearsal -only peers $(if $(NOTE),-note "$(NOTE)")

hostile: ## parties that try all they can against sidecars, HOSTILETIME (10m) each, while others talk
	go run ./internal/hostile -for $(HOSTILETIME)

realapps: ## GraphQL, Socket.IO and MQTT servers from npm, restarted under their own clients (needs node)
	go run ./internal/realapps

differential: ## the same bytes to real servers directly and through the sidecar, and real clients likewise (needs what it asks for: Debian's tornado, aiohttp, websockets, websocket, gunicorn, uwsgi, puma, unicorn, nginx, apache2-bin, curl, chromium, and node)
	cd internal/differential/js && npm ci --ignore-scripts
	go run ./internal/differential

autobahn: ## the cases of Autobahn directly and through the sidecar, case by case (needs its wstest, as WSTEST, and node)
	cd internal/differential/js && npm ci --ignore-scripts
	go run ./internal/differential -autobahn -wstest "$(WSTEST)"

release: ## all files of a release of HEAD's tag, or of a trial with TAG=v0.0.0, into dist/; nothing is published
	packaging/release.sh $(TAG)

test-packages: ## the deb: built, installed on a copy of this machine's files, verified, upgraded, removed (root, Debian)
	ONLY=linux/$$(go env GOARCH) SKIP="sbom chart npm" packaging/release.sh v0.0.1
	packaging/test-deb.sh dist/wsresilience_0.0.1_$$(go env GOARCH).deb 0.0.1

image: ## the container image for this machine's architecture, as IMAGE, by BUILDER (docker buildx)
	$(BUILDER) build --build-arg REVISION=$$(git rev-parse HEAD) -t $(IMAGE) .

sbom: build ## what is in the commands (CycloneDX, JSON), beside them in bin/
	for c in bin/wsresilience-sidecar bin/wsresilience-injector; do go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std -output $$c.cdx.json $$c || exit 1; done

e2e-kube: ## the chart and a stock app on the cluster of KUBECONFIG (IMPORT: a command that loads image archives into its nodes; IMAGE_TAR: one with IMAGE)
	go run ./internal/kubetest -image "$(IMAGE)" -import "$(IMPORT)" $(if $(IMAGE_TAR),-image-tar "$(IMAGE_TAR)")

docs: ## rewrite the tables in docs/ that come from the code
	go test ./internal/tidy -run Generated -count=1 -update

sdk/js/node_modules: sdk/js/package-lock.json
	cd sdk/js && npm ci
	@touch $@

sdk: sdk/js/node_modules ## the TypeScript client, into sdk/js/dist and the demo's page
	cd sdk/js && npm run --silent build

test-sdk: sdk ## its linters, size, tests, and what publint and attw say of the package, without a browser
	cd sdk/js && npm run --silent lint && npm run --silent size && npm test --silent && npm run --silent published

test-browser: sdk/js/node_modules ## its tests in Chromium (CHROMIUM names another one than the system's)
	cd sdk/js && npm run --silent test:browser

pages: sdk/js/node_modules ## stock apps with untouched pages in Chromium, without and with the sidecar (needs chromium; Jupyter is Debian's jupyter-notebook and python3-ipykernel)
	cd sdk/js/test/stock && npm ci --ignore-scripts
	cd sdk/js && node --import tsx test/stock/main.ts $(APPS)

site: ## README and docs as a website with search and llms.txt, into dist/site, and its test (needs no network but for goldmark)
	go test -C internal/site -count=1 .
	go run -C internal/site . -root ../.. -out ../../dist/site

examples: sdk/js/node_modules ## the services of each example as processes, its page in Chromium, the app and a pod killed (fetches their packages)
	cd sdk/js && npm run --silent test:examples

ci: ## what runs for every change
	.ci/run

.PHONY: explore planted model

explore: ## every order in which DEPTH (4) things happen to a session and its owners (a minute; 5 takes half an hour)
	go test ./session -count=1 -v -timeout 3h -run TestExplore -args -explore $(or $(DEPTH),4)

planted: ## bugs of internal/sim/planted, one after the other, and who finds them (half an hour; ONLY=name)
	go run ./internal/sim/planted $(if $(ONLY),-only "$(ONLY)")

model: ## the model of resume, adopt, fence and drain, with and without each guarantee (needs spin and gcc; FULL=1: larger, minutes)
	go test -tags spin ./internal/sim/model -count=1 -v -timeout 1h $(if $(FULL),-args -full)

.PHONY: faults

faults: ## docs/FAULTS.md: 9 faults at 30 steps of a session, SEEDS (100) times each (minutes)
	go run ./internal/sim/faults -seeds $(or $(SEEDS),100)
