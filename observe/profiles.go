package observe

import (
	"net/http"
	"net/http/pprof"
	"time"
)

// profilesPath is where Go's tools look for profiles.
const profilesPath = "/debug/pprof/"

// Profiles are the profiles of this process, for go tool pprof, while on says so.
// They show code, and the names of nobody; they cost time while they are made, so
// that they are not public.
func Profiles(on func() bool) []View {
	whileOn := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !on() {
				answer(w, http.StatusNotFound, "profiles are off: WSR_PPROF=on\n")
				return
			}
			// One is made for as long as it says. A deadline for reading would end
			// that, and the handlers move that for writing.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a server that has none to lift
			h(w, r)
		}
	}
	return []View{
		{Path: profilesPath, Help: "profiles of the process (WSR_PPROF)", Handler: whileOn(pprof.Index)},
		{Path: profilesPath + "cmdline", Handler: whileOn(pprof.Cmdline)},
		{Path: profilesPath + "profile", Handler: whileOn(pprof.Profile)},
		{Path: profilesPath + "symbol", Handler: whileOn(pprof.Symbol)},
		{Path: profilesPath + "trace", Handler: whileOn(pprof.Trace)},
	}
}
