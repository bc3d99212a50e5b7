package tidy

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// faults are the rows of the list of faults that a sidecar meets, and what
// shows that each ends as the list demands: tests as folder.Name, scripts of
// the machine as script.name, scenarios with real processes as chaos.name (make
// chaos). What stands in brackets says why something of a row is not shown.
var faults = map[string]string{
	"F01": "internal/endtoend.TestCutAtEveryByte internal/endtoend.TestManyCuts chaos.cuts",
	"F02": "internal/endtoend.TestManyCuts internal/peer.TestTunnelHalfClose chaos.cuts",
	"F04": "internal/endtoend.TestManyCuts client.TestSilence script.heartbeats",
	"F05": "script.overlap internal/endtoend.TestManyResumeAtOnce",
	"F06": "session.FuzzSessionBytes internal/frame.FuzzMessagesCuts internal/endtoend.TestCutAtEveryByte",
	"F07": "session.FuzzSessionBytes",
	"F08": "script.cut_in_fragments internal/endtoend.TestCutAtEveryByte",
	"F09": "script.cut_before_ack_inbound script.cut_before_ack_outbound",
	"F11": "script.lost_welcome internal/endtoend.TestAdoptedWelcomeIsLost",
	"F12": "script.overlap client.TestGoAway",
	"F13": "internal/endtoend.TestManyResumeAtOnce internal/endtoend.TestManyAdoptAtOnce chaos.race chaos.raceadopt",
	"F14": "chaos.storm client.TestStorm",
	"F15": "session.TestFiftyResumes internal/endtoend.TestManyCuts",
	"F16": "internal/endtoend.TestCutEveryResume",
	"F18": "script.slow_app session.FuzzSessionMachine",
	"F19": "session.FuzzSessionMachine session.FuzzPlainBothWays",
	"F20": "script.window_full script.messages_full",
	"F21": "seqwindow.TestSenderResumesInsideAMessage seqwindow.TestSenderTakesOneMessageOfAnySizeWhenEmpty internal/endtoend.TestCutAtEveryByte",
	"F22": "script.heartbeats [one TCP stream: a heartbeat behind data that is stuck is stuck too, and the connection ends with 4408]",
	"F23": "heartbeat.TestScenes proxy.TestAttacks",
	"F25": "internal/endtoend.TestAdoptAfterCrash",
	"F26": "internal/endtoend.TestOwnerRefuses chaos.kill9",
	"F27": "script.fenced internal/endtoend.TestOwnerSilentForLong chaos.peers",
	"F28": "script.ownership script.ownership_fenced chaos.zombie",
	"F29": "chaos.natsleader chaos.natsroll store/natsstore.TestCluster store/natsstore.TestClusterLeases",
	"F30": "chaos.natsleader [a step-down takes the way of a kill, only shorter]",
	"F32": "store/natsstore.TestDiskFull store/natsstore.TestSwitchedOff internal/endtoend.TestStoreAway",
	"F33": "script.handover_journal_away internal/endtoend.TestStoreAway [appends are off the data path; no disk is slowed down here]",
	"F34": "store.TestFold script.adopt_lost [what a power cut takes is the cluster's sync_interval; a gap that is found is a reset]",
	"F35": "store.FuzzAssemble store.TestPartsDoNotMix",
	"F36": "internal/endtoend.TestStoreAway internal/endtoend.TestStrictStoreAway chaos.natsaway",
	"F37": "chaos.peers chaos.natsaway",
	"F39": "internal/peer.TestChallengeElsewhere proxy.TestAttacks [timers are monotonic; clocks are not stepped here]",
	"F40": "client.TestStalledProcess heartbeat.TestScenes script.ownership",
	"F41": "client.TestStalledProcess heartbeat.TestScenes",
	"F42": "proxy.TestAttacks [memory: row C of the attacks; limits of descriptors come with the second driver]",
	"F43": "internal/endtoend.TestDrainMovesClients internal/endtoend.TestDrainSchedule chaos.roll",
	"F44": "script.nothing_sent",
	"F46": "session.TestFiftyResumes",
	"F47": "script.going_away script.expiry",
	"F48": "script.expiry",
	"F49": "script.app_breaks script.app_violations internal/endtoend.TestAppCloses internal/endtoend.TestAppRestarts chaos.apprestart",
	"F50": "script.slow_app script.client_closes_app_silent internal/upgrade.TestSlowAnswer",
	"F51": "internal/endtoend.TestAppRestartsWhileClientIsAway internal/endtoend.TestClientComesBackBeforeApp",
	"F53": "script.client_closes_twice client.TestCloseByClient",
	"F54": "script.crossing client.TestCrossingCloses",
	"F55": "snapshot/socketio.TestPreset snapshot/graphql.TestPreset",
	"F56": "store.TestFormerVersion [there is one version so far: a reader refuses another by its number]",
	"F57": "internal/endtoend.TestKeysRotate",
	"F58": "internal/endtoend.TestManyAdoptAtOnce store/natsstore.TestReadAgain",
}

// Every row is there, and what is named exists.
func TestFaults(t *testing.T) {
	rows := strings.Fields("F01 F02 F04 F05 F06 F07 F08 F09 F11 F12 F13 F14 F15 F16 F18 F19 F20 F21 F22 F23 F25 F26 F27 F28 F29 F30 F32 F33 F34 F35 F36 F37 F39 F40 F41 F42 F43 F44 F46 F47 F48 F49 F50 F51 F53 F54 F55 F56 F57 F58")
	for _, row := range rows {
		shown, reason, _ := strings.Cut(faults[row], "[")
		names := strings.Fields(shown)
		if len(names) == 0 && reason == "" {
			t.Errorf("%s: neither shown nor excused", row)
		}
		for _, name := range names {
			if !isShown(t, name) {
				t.Errorf("%s: there is no %s", row, name)
			}
		}
	}
	if len(faults) != len(rows) {
		t.Errorf("%d rows, want %d", len(faults), len(rows))
	}
}

// isShown reports whether a test, a script or a scenario of this name is there.
func isShown(t *testing.T, name string) bool {
	t.Helper()
	at := strings.LastIndex(name, ".")
	where, what := name[:at], name[at+1:]
	switch where {
	case "script":
		_, err := os.Stat(filepath.Join("..", "..", "session", "testdata", what+".txt"))
		return err == nil
	case "chaos":
		return mentions(t, filepath.Join("..", "..", "internal", "chaos", "*.go"), `name: "`+what+`"`)
	}
	return mentions(t, filepath.Join("..", "..", where, "*_test.go"), "func "+what+"(")
}

func mentions(t *testing.T, pattern, text string) bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			return true
		}
	}
	return false
}
