package endtoend

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsresilience/wsresilience/client"
	"github.com/wsresilience/wsresilience/client/outbox"
	"github.com/wsresilience/wsresilience/store"
)

const outlivingKeys = `{"rules":[{"path":"/keyed","key":"client","scope":"path","inDoubt":"refuse"}]}`

// keyedOptions are those of a program with an outbox.
func keyedOptions(s *outbox.Store, renew bool) *client.Options {
	return &client.Options{Keys: true, Renew: renew, Store: s}
}

// TestKeysSurviveProgram: what a program had accepted with a key is delivered with it
// by the next one, and acts once, also where another client was faster.
func TestKeysSurviveProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newShop()
		f := keyFleet(t, app, newShared(), outlivingKeys)
		file := openOutbox(t)
		v := f.connect(0, "/keyed", keyedOptions(file, false))
		for n := range 50 { // a program that never reads: outcomes are no messages for it
			id := fmt.Sprint("before-", n)
			if fate := v.writeKeyed(id, orderOf(id, "")); fate != client.FateFirst {
				t.Fatalf("%s: %v", id, fate)
			}
		}
		time.Sleep(time.Second) // all is acknowledged
		v.to.Store(-1)
		v.cut()
		ended := make(chan error, 2)
		for _, id := range []string{"one", "two"} {
			go func() {
				_, err := v.WriteKeyed(t.Context(), client.MessageText, []byte(orderOf(id, "")), id)
				ended <- err
			}()
			time.Sleep(time.Millisecond)
		}
		if err := v.Suspend(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-ended; !errors.Is(err, client.ErrSuspended) {
				t.Errorf("error %v", err)
			}
		}
		other := f.connect(1, "/keyed", &client.Options{Keys: true})
		if fate := other.writeKeyed("two", orderOf("two", "")); fate != client.FateFirst {
			t.Errorf("fate %v", fate)
		}
		v = f.connect(2, "/keyed", keyedOptions(file, false))
		if !v.Resumed() {
			t.Error("the session is another one")
		}
		if fate := v.writeKeyed("one", orderOf("one", "")); fate != client.FateRepeated {
			t.Errorf("written again: %v", fate)
		}
		time.Sleep(time.Second)
		for _, id := range []string{"before-0", "before-49", "one", "two"} {
			if n := app.count(id); n != 1 {
				t.Errorf("%s acted %d times", id, n)
			}
		}
	})
}

// TestRenewAfterProgram: the program is gone, and its session too: the next program
// sends what has keys again in another session, which then is the one in the file.
func TestRenewAfterProgram(t *testing.T) {
	for _, at := range []moment{beforeClaim, beforeDone, afterDone} {
		t.Run(moments[at], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, keys := newShop(), newShared()
				f := keyFleet(t, app, keys, outlivingKeys)
				file := openOutbox(t)
				v := f.connect(0, "/keyed", keyedOptions(file, true))
				v.sayAcked(orderOf("before", "x"))
				v.writeKeyed("k0", orderOf("zero", ""))
				keys.kill(f.pods[0].name, at)
				ended := make(chan error, 2)
				write := func(key, id string) {
					go func() {
						_, err := v.WriteKeyed(t.Context(), client.MessageText, []byte(orderOf(id, "")), key)
						ended <- err
					}()
				}
				write("k1", "one")
				<-keys.killed
				write("k2", "two")
				time.Sleep(time.Millisecond)
				if err := v.Suspend(); err != nil {
					t.Fatal(err)
				}
				<-ended
				<-ended
				f.leases.set(f.pods[0].name, store.LeaseGone)
				f.store.(*forgetful).forget()
				v = f.connect(1, "/keyed", keyedOptions(file, true))
				if v.Resumed() {
					t.Error("it says that the session goes on")
				}
				v.writeKeyed("k3", orderOf("three", ""))
				if left, err := file.Left(); err != nil || len(left) != 0 {
					t.Errorf("left %+v, %v", left, err)
				}
				f.store.(*forgetful).remember()
				session := v.SessionID()
				if err := v.Suspend(); err != nil {
					t.Fatal(err)
				}
				v = f.connect(2, "/keyed", keyedOptions(file, true))
				if !v.Resumed() || v.SessionID() != session {
					t.Error("the session that was begun does not go on")
				}
				v.writeKeyed("k4", orderOf("four", ""))
				time.Sleep(time.Second)
				for _, id := range []string{"before", "zero", "one", "two", "three", "four"} {
					if n := app.count(id); n != 1 {
						t.Errorf("%s acted %d times", id, n)
					}
				}
			})
		})
	}
}

// TestLeftWithKeys: without Renew what a lost session leaves keeps its keys in the
// file, and sent again it acts once; where no keys are taken it stays.
func TestLeftWithKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, keys := newShop(), newShared()
		f := keyFleet(t, app, keys, outlivingKeys)
		file := openOutbox(t)
		v := f.connect(0, "/keyed", keyedOptions(file, false))
		keys.kill(f.pods[0].name, afterDone)
		ended := make(chan error, 2)
		write := func(id string) {
			_, err := v.WriteKeyed(t.Context(), client.MessageText, []byte(orderOf(id, "")), id)
			ended <- err
		}
		go write("one")
		<-keys.killed
		v.to.Store(-1)
		v.cut() // whether "one" was acknowledged before, or is left, it acts once
		go write("two")
		time.Sleep(time.Millisecond)
		if err := v.Suspend(); err != nil {
			t.Fatal(err)
		}
		<-ended
		<-ended
		f.leases.set(f.pods[0].name, store.LeaseGone)
		f.store.(*forgetful).forget()
		v = f.connect(1, "/", keyedOptions(file, false))
		if err := file.Resend(t.Context(), v.Conn); !errors.Is(err, client.ErrNoKeys) {
			t.Errorf("where no keys are taken: %v", err)
		}
		if err := v.Close(1000, ""); err != nil {
			t.Error(err)
		}
		v = f.connect(2, "/keyed", keyedOptions(file, false))
		if err := file.Resend(t.Context(), v.Conn); err != nil {
			t.Error(err)
		}
		v.writeKeyed("behind", orderOf("behind", ""))
		time.Sleep(time.Second)
		if left, err := file.Left(); err != nil || len(left) != 0 {
			t.Errorf("left %+v, %v", left, err)
		}
		for _, id := range []string{"one", "two", "behind"} {
			if n := app.count(id); n != 1 {
				t.Errorf("%s acted %d times", id, n)
			}
		}
	})
}

// remember has the journal know its sessions again.
func (s *forgetful) remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = false
}
