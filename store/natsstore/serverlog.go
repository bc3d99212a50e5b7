package natsstore

import (
	"fmt"
	"log/slog"
)

// A serverLog forwards the log of the embedded server: its notices are our
// debug messages, its warnings and errors keep their level.
type serverLog struct{ to *slog.Logger }

func (s serverLog) Noticef(format string, v ...any) { s.to.Debug(s.text(format, v)) }
func (s serverLog) Warnf(format string, v ...any)   { s.to.Warn(s.text(format, v)) }
func (s serverLog) Errorf(format string, v ...any)  { s.to.Error(s.text(format, v)) }
func (s serverLog) Debugf(format string, v ...any)  { s.to.Debug(s.text(format, v)) }
func (s serverLog) Tracef(format string, v ...any)  { s.to.Debug(s.text(format, v)) }

// Fatalf does not end the process: the server shuts itself down, and Ready
// reports it.
func (s serverLog) Fatalf(format string, v ...any) { s.to.Error(s.text(format, v)) }

func (s serverLog) text(format string, v []any) string {
	return "embedded nats-server: " + fmt.Sprintf(format, v...)
}
