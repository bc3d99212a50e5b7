package doctor

import (
	"os"
	"testing"

	"github.com/wsresilience/wsresilience/internal/proxytest"
)

// atOnce is how many set-ups are examined at a time: each mostly waits for
// silences to pass.
const atOnce = 40

func TestMain(m *testing.M) {
	proxytest.Parallel(atOnce)
	os.Exit(m.Run())
}
