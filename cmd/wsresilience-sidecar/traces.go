package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/wsresilience/wsresilience/internal/otlp"
	"github.com/wsresilience/wsresilience/internal/otlp/exporter"
	"github.com/wsresilience/wsresilience/internal/tracing"
	"github.com/wsresilience/wsresilience/observe"
)

// flushTimeout is what is left for the last spans when all else is closed.
const flushTimeout = 2 * time.Second

// serviceName is ours where OTEL_SERVICE_NAME names none.
const serviceName = "wsresilience-sidecar"

// traces are where the spans of a sidecar go; nil: nowhere, and nothing is traced.
type traces struct {
	*tracing.Tracer
	exporter *exporter.Exporter
}

// newTraces starts what the OTEL_* variables ask for.
func (s *sidecar) newTraces(environ []string) (*traces, error) {
	settings := otlp.FromEnviron(environ)
	s.propagators = settings.Propagators
	for _, w := range settings.Warnings {
		s.log.Warn(w)
	}
	if !settings.On || settings.Sampler.Never() {
		return nil, nil
	}
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	name := settings.ServiceName
	if name == "" {
		name = serviceName
	}
	e, err := exporter.New(exporter.Config{
		Settings: settings, Scope: "github.com/wsresilience/wsresilience", ScopeVersion: version, Logger: s.log,
		Resource: otlp.Merge(settings.Resource,
			otlp.Text("service.name", name), otlp.Text("service.instance.id", s.name), otlp.Text("service.version", version),
			otlp.Text("telemetry.sdk.name", "wsresilience"), otlp.Text("telemetry.sdk.language", "go"), otlp.Text("telemetry.sdk.version", version)),
	})
	if err != nil {
		return nil, err
	}
	s.metrics.WatchTraces(func() observe.SpanCounts { return observe.SpanCounts(e.Counts()) })
	s.log.Info("traces are sent", "collector", e.Host())
	return &traces{tracing.New(settings.Sampler, e.Add), e}, nil
}

// close sends what is left.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	_ = t.exporter.Shutdown(ctx) // what is not sent then is counted
}
