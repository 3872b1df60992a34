// Package expect says which tests a suite must pass and which are known to fail, and judges a run by it. It runs nothing.
//
// Invariant: a run is accepted only if every listed test ran and came out as listed, and no unlisted one ran.
package expect

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"sigs.k8s.io/yaml"
)

// List is one suite's file.
type List struct {
	Features []string         `json:"features"` // claimed, and so reported
	Passes   []string         `json:"passes"`
	Fails    map[string]Known `json:"fails"`
}

// Known is a test that is expected to fail.
type Known struct {
	Features []string `json:"features"` // needed on top of the claimed ones, or the test would not run
	Reason   string   `json:"reason"`
}

// Read reads a list and refuses one that says nothing or contradicts itself.
func Read(file string) (List, error) {
	var l List
	b, err := os.ReadFile(file)
	if err == nil {
		err = yaml.UnmarshalStrict(b, &l)
	}
	if err == nil {
		err = l.check()
	}
	if err != nil {
		return List{}, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

func (l List) check() error {
	if len(l.Passes) == 0 || len(l.Features) == 0 {
		return errors.New("no tests or no features")
	}
	for name, k := range l.Fails {
		if k.Reason == "" {
			return fmt.Errorf("%s fails for no reason", name)
		}
		if slices.Contains(l.Passes, name) {
			return fmt.Errorf("%s is expected to pass and to fail", name)
		}
	}
	return nil
}

// Outcome of one test.
type Outcome string

// What a test can come to.
const (
	Passed  Outcome = "PASS"
	Failed  Outcome = "FAIL"
	Skipped Outcome = "SKIP"
)

// Results of a run, by the tests' short names.
type Results map[string]Outcome

// Judge compares a run of the claimed features with the list. No problem: the run is accepted.
func (l List) Judge(r Results) (problems []string) {
	for _, name := range slices.Sorted(slices.Values(l.Passes)) {
		if problem := judge(name, r, Passed); problem != "" {
			problems = append(problems, problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if _, known := l.Fails[name]; known || slices.Contains(l.Passes, name) {
			continue
		}
		if r[name] != Skipped { // the suite skips what needs features that are not claimed
			problems = append(problems, name+" ran and is not listed")
		}
	}
	return problems
}

// JudgeKnown is the verdict on a run of one test that is expected to fail; "" accepts it.
func JudgeKnown(name string, r Results) string { return judge(name, r, Failed) }

func judge(name string, r Results, want Outcome) string {
	got, ran := r[name]
	switch {
	case got == want:
		return ""
	case !ran || got == Skipped:
		return name + " did not run"
	case got == Passed:
		return name + " passes and is listed as failing: move it to the passing ones"
	}
	return name + " failed"
}
