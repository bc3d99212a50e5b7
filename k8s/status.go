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

// Versions of the form of AnnotationStatus: the newest; the one that says all of a
// pod without pull secrets of ours; and the one of a pod with neither agent nor
// local volume. Injectors of releases before read what they know.
const (
	statusVersion = 3
	secondStatus  = 2
	firstStatus   = 1
)

// status is the JSON in AnnotationStatus.
type status struct {
	Version int            `json:"version"`
	Mode    Mode           `json:"mode,omitempty"` // empty: the pod has no sidecar
	Port    int32          `json:"port,omitempty"`
	Agent   bool           `json:"agent,omitempty"`
	Digest  string         `json:"digest"` // of the containers and volumes that were added
	Undo    originalFields `json:"undo"`
}

// originalFields are the values that Inject replaced in the pod, for Uninject.
type originalFields struct {
	Grace  *int64            `json:"grace,omitempty"` // nil: none was set
	Port   *originalPort     `json:"port,omitempty"`  // of ModeNamed
	Probes []originalProbe   `json:"probes,omitempty"`
	Stops  []originalPreStop `json:"stops,omitempty"`
	Evict  *string           `json:"evict,omitempty"` // what annotationEvict was; nil: it is as it was
	Pull   []string          `json:"pull,omitempty"`  // pull secrets that were added
}

// originalPort is the number that the app's port had, where the sidecar's is
// now. Behind is the name of the entry that was added for the app's number.
type originalPort struct {
	Container string `json:"container"`
	Number    int32  `json:"number"`
	Behind    string `json:"behind,omitempty"`
}

// originalProbe is the port that a probe or a hook of the kubelet called.
type originalProbe struct {
	Container string             `json:"container"`
	Kind      string             `json:"kind"`
	Port      intstr.IntOrString `json:"port"`
}

// originalPreStop is of a container whose preStop was added or made longer.
type originalPreStop struct {
	Container string `json:"container"`
	Lifecycle bool   `json:"lifecycle,omitempty"` // the container had a lifecycle, which stays
	Sleep     *int64 `json:"sleep,omitempty"`     // in seconds; nil: the container had no preStop
}

// A newerStatusError is of a status that a newer injector wrote. What it did to
// the pod is not known here: the pod is left as it is.
type newerStatusError struct{ version int }

func (e *newerStatusError) Error() string {
	return fmt.Sprintf("a newer injector wrote it: its version is %d, and this one reads up to %d", e.version, statusVersion)
}

func setStatus(pod *corev1.Pod, s status) error {
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

// maxStatus bounds AnnotationStatus, in bytes: far more than a pod of a hundred
// containers needs.
const maxStatus = 64 << 10

func readStatus(text string) (status, error) {
	var s status
	if len(text) > maxStatus {
		return s, fmt.Errorf("it is longer than %d bytes", maxStatus)
	}
	var form struct {
		Version int `json:"version"`
	}
	if json.Unmarshal([]byte(text), &form) == nil && form.Version > statusVersion {
		return s, &newerStatusError{form.Version}
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
	case s.Version < firstStatus || s.Version > statusVersion:
		return s, fmt.Errorf("its version is %d, and %d is what this injector reads", s.Version, statusVersion)
	case s.Agent && s.Mode == "" && s.Undo.Port == nil:
	case !s.Mode.valid():
		return s, errors.New("its mode is none of " + modes)
	case (s.Mode == ModeNamed) != (s.Undo.Port != nil):
		return s, errors.New("its mode and its ports contradict each other")
	}
	return s, nil
}
