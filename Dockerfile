# The image of the sidecar, the agent, the injector and the demo: static binaries,
# CA certificates and empty folders for journals, and nothing else.
# docs/IMAGE.md says how to build it twice and get the same.

ARG GO_VERSION=1.26

# The compiler runs on the machine that builds and compiles for the one that
# runs, so nothing is emulated.
FROM --platform=$BUILDPLATFORM docker.io/library/golang:${GO_VERSION} AS build
ARG TARGETARCH
WORKDIR /src
COPY . .

# The version in the binaries comes from .git, which is why the context has it
# and all tracked files: with one missing, the version would end in +dirty.
# Without .git (a source archive) they say (devel).
RUN --mount=type=cache,target=/cache \
    GOMODCACHE=/cache/mod GOCACHE=/cache/build CGO_ENABLED=0 GOOS=linux GOARCH=${TARGETARCH} GOFLAGS=-buildvcs=auto \
    go build -trimpath -ldflags "-s -w -buildid=" -o /rootfs/ ./cmd/wsresilience-sidecar ./cmd/wsresilience-agent ./cmd/wsresilience-injector ./cmd/wsresilience-demo

# NATS over TLS is checked against these certificates where WSR_NATS_CA names no
# others. The folders are for a journal without NATS, and for what the demo keeps
# while it runs.
RUN install -D -m 644 /etc/ssl/certs/ca-certificates.crt /rootfs/etc/ssl/certs/ca-certificates.crt \
    && mkdir -p /rootfs/var/lib/wsresilience /rootfs/var/lib/wsresilience-agent \
    && mkdir -m 1777 /rootfs/tmp \
    && chown 65532:65532 /rootfs/var/lib/wsresilience /rootfs/var/lib/wsresilience-agent

FROM scratch
ARG VERSION=devel
ARG REVISION=
LABEL org.opencontainers.image.title="wsresilience" \
      org.opencontainers.image.description="Keeps WebSocket sessions alive across broken connections" \
      org.opencontainers.image.source="https://github.com/wsresilience/wsresilience" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /rootfs/ /

# By number: Kubernetes cannot tell of a name that it is not root.
USER 65532:65532
EXPOSE 15800 15801 15802
# A port that is published leads to another address than the loopback one.
ENV WSRESILIENCE_DEMO_LISTEN=:15800
ENTRYPOINT ["/wsresilience-sidecar"]
