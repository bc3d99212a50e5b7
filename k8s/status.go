package k8s

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// statusVersion is that of the form of AnnotationStatus.
const statusVersion = 1

// status is the JSON in AnnotationStatus.
type status struct {
	Version int     `json:"version"`
	Mode    Mode    `json:"mode"`
	Port    int32   `json:"port"`
	Digest  string  `json:"digest"` // of the containers and volumes that were added
	Undo    undoing `json:"undo"`
}

// undoing is what was there before, where it is not there any more.
type undoing struct {
	Grace  *int64         `json:"grace,omitempty"` // nil: none was set
	Port   *undoingPort   `json:"port,omitempty"`  // of ModeNamed
	Probes []undoingProbe `json:"probes,omitempty"`
	Stops  []undoingStop  `json:"stops,omitempty"`
}

// undoingPort is the entry that has the sidecar's number now, and the name of
// the one that was added for the app's.
type undoingPort struct {
	Container string `json:"container"`
	Number    int32  `json:"number"`
	Behind    string `json:"behind,omitempty"`
}

// undoingProbe is a port that the kubelet called, of a probe or a hook.
type undoingProbe struct {
	Container string             `json:"container"`
	Kind      string             `json:"kind"`
	Port      intstr.IntOrString `json:"port"`
}

// undoingStop is a preStop that was added, or made longer.
type undoingStop struct {
	Container string `json:"container"`
	Lifecycle bool   `json:"lifecycle,omitempty"` // there was one, so it stays
	Sleep     *int64 `json:"sleep,omitempty"`     // in seconds; nil: there was no preStop
}

func record(pod *corev1.Pod, s status) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[AnnotationStatus] = string(text)
	return nil
}

// maxStatus bounds what is read: far more than a pod of a hundred containers
// needs.
const maxStatus = 64 << 10

func readStatus(text string) (status, error) {
	var s status
	if len(text) > maxStatus {
		return s, fmt.Errorf("it is longer than %d bytes", maxStatus)
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return s, fmt.Errorf("it is not the JSON that the injector wrote: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("there is something after its JSON")
	}
	switch {
	case s.Version != statusVersion:
		return s, fmt.Errorf("its version is %d, and %d is what this injector reads", s.Version, statusVersion)
	case !s.Mode.valid():
		return s, errors.New("its mode is none of " + modes)
	case (s.Mode == ModeNamed) != (s.Undo.Port != nil):
		return s, errors.New("its mode and its ports contradict each other")
	}
	return s, nil
}
