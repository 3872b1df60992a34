package kubelet

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sync"
	"time"
)

// Image says what stands in for an image name. Written by package controlplane, read here.
type Image struct {
	Match string            `json:"match"`           // regular expression on the image name; the first entry that matches counts
	Cmd   []string          `json:"cmd,omitempty"`   // runs instead of entrypoint and pod command; the pod's args follow
	Entry []string          `json:"entry,omitempty"` // runs only if the pod names no command
	Files map[string]string `json:"files,omitempty"` // path in the container -> file of this machine
	Env   map[string]string `json:"env,omitempty"`   // before the pod's own variables
	Stub  bool              `json:"stub,omitempty"`  // ready as soon as it runs: probes are not asked
	re    *regexp.Regexp
}

// imageTable is the table as a file; it is read again when it changes, running containers stay as they are.
type imageTable struct {
	file string
	mu   sync.Mutex
	age  time.Time
	list []Image
}

func (t *imageTable) read() ([]Image, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	st, err := os.Stat(t.file)
	if err != nil {
		return nil, err
	}
	if st.ModTime().Equal(t.age) {
		return t.list, nil
	}
	b, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	list, err := parseImages(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.file, err)
	}
	t.list, t.age = list, st.ModTime()
	return list, nil
}

func parseImages(b []byte) ([]Image, error) {
	var list []Image
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	for i := range list {
		var err error
		if list[i].re, err = regexp.Compile(list[i].Match); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// of finds what runs for an image.
func (t *imageTable) of(name string) (*Image, error) {
	list, err := t.read()
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].re.MatchString(name) {
			return &list[i], nil
		}
	}
	return nil, fmt.Errorf("the image table has no program for %s", name)
}
