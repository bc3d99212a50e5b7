package wire

// MaxKey bounds a client's key in bytes (PROTOCOL §4.12).
const MaxKey = 64

// AppendKey appends KEY (PROTOCOL §4.12):
//
//	key, 1 to MaxKey bytes
func AppendKey(dst []byte, key string) []byte { return append(appendPrefix(dst, Key), key...) }

// ParseKey reads KEY.
func ParseKey(msg []byte) (key string, err error) {
	b, err := body(msg, Key)
	if err != nil {
		return "", err
	}
	if len(b) < 1 || len(b) > MaxKey {
		return "", malformed(Key, "key of %d bytes, want 1 to %d", len(b), MaxKey)
	}
	return string(b), nil
}

// A Fate is what became of a message with a key (PROTOCOL §4.13).
type Fate byte

const (
	FateFirst    Fate = 0 // the app got it, and no other with the key before
	FateRepeated Fate = 1 // another one had acted: the app did not get it
	FateUnderway Fate = 2 // another one is with the app: the app did not get it
	FateAgain    Fate = 3 // another one may have acted, and the app got this one too
	FateDoubt    Fate = 4 // another one may have acted: the app did not get this one
	FateUnkeyed  Fate = 5 // the app got it, and nobody keeps its key

	// FateForbidden: its entity is in a state that it does not follow, and the app did
	// not get it.
	FateForbidden Fate = 6
)

var fateNames = [...]string{"first", "repeated", "underway", "again", "doubt", "unkeyed", "forbidden"}

func (f Fate) String() string {
	if int(f) < len(fateNames) {
		return fateNames[f]
	}
	return "undefined"
}

// AppendOutcome appends OUTCOME (PROTOCOL §4.13):
//
//	fate u8 | key, 1 to MaxKey bytes
func AppendOutcome(dst []byte, f Fate, key string) []byte {
	return append(append(appendPrefix(dst, Outcome), byte(f)), key...)
}

// ParseOutcome reads OUTCOME. A fate that this version does not know is none of
// those in which the app is known to have got the message.
func ParseOutcome(msg []byte) (f Fate, key string, err error) {
	b, err := body(msg, Outcome)
	if err != nil {
		return 0, "", err
	}
	if len(b) < 2 || len(b) > 1+MaxKey {
		return 0, "", malformed(Outcome, "body of %d bytes, want 2 to %d", len(b), 1+MaxKey)
	}
	return Fate(b[0]), string(b[1:]), nil
}
