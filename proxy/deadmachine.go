package proxy

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/wsresilience/wsresilience/heartbeat"
	"github.com/wsresilience/wsresilience/session"
)

// deadMachine is what is left of a machine that broke an invariant.
type deadMachine struct{}

func (deadMachine) FromClient(_ time.Time, p []byte) int         { return len(p) }
func (deadMachine) FromApp(_ time.Time, p []byte) int            { return len(p) }
func (deadMachine) Output(_ time.Time, o *session.Output)        { *o = session.Output{} }
func (deadMachine) AppWrote(time.Time, int)                      {}
func (deadMachine) ClientWrote(int)                              {}
func (deadMachine) AppWritable()                                 {}
func (deadMachine) ClientWritable()                              {}
func (deadMachine) ClientGone(time.Time, bool)                   {}
func (deadMachine) AppGone(time.Time, bool)                      {}
func (deadMachine) Tick(time.Time)                               {}
func (deadMachine) End(time.Time, session.Ending, ws.StatusCode) {}
func (deadMachine) Persisted(time.Time, session.PersistResult)   {}
func (deadMachine) Done() bool                                   { return true }
func (deadMachine) Forget()                                      {}
func (deadMachine) Counters() *session.Counters                  { return new(session.Counters) }
func (deadMachine) Link() *heartbeat.Monitor                     { return new(heartbeat.Monitor) }
func (deadMachine) Config() *session.Config                      { return new(session.Config) }
func (deadMachine) Configure(time.Time, *session.Config)         {}
