package merge

// claimTime is how long a write may be with the app before it is taken for one that
// the app did not follow, in ms.
const claimTime = 10_000

// Versions know which writes are with the app, each made on a version of its key: of
// several that were made on the same one, the first counts. The zero value is ready.
// They are not safe for concurrent use.
type Versions struct{ claims map[string]claim }

type claim struct {
	on     string
	device uint16
	until  int64
}

// Put reports whether a write is to be handed to the app that a device made on the
// version saw, while present is the newest that the app has said: not if it is stale,
// or if another one that was made on that version is with the app.
func (v *Versions) Put(now int64, key string, device uint16, saw, present string) bool {
	if saw != present {
		return false
	}
	c, claimed := v.claims[key]
	if claimed && c.on == saw && c.device != device && now < c.until {
		return false
	}
	if v.claims == nil {
		v.claims = map[string]claim{}
	}
	if len(v.claims) >= MaxRegisters {
		for key, c := range v.claims {
			if now >= c.until || len(v.claims) >= MaxRegisters {
				delete(v.claims, key)
			}
		}
	}
	v.claims[key] = claim{saw, device, now + claimTime}
	return true
}
