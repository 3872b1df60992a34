// Package official runs the Gateway API's own conformance suite, unmodified, inside a cluster's node.
package official

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/layout"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/cluster/programs"
	"fairway.dev/conformance/suites/expect"
)

// Run is one call of the suite.
type Run struct {
	Name      string // of its log and report in the run folder
	Features  []string
	Only      string // one test instead of all
	Labels    []string
	Profiles  []string
	Successes int    // how often in a row each request must come out right; 0: the suite's own 3
	Version   string // of the project, for the report
	Hasty     bool   // all cases of a test at once: for runs that are expected to fail, in which every case waits 30 s
}

// suiteTimeout ends a suite that hangs; a run in which everything fails takes about 20 minutes.
const suiteTimeout = 40 * time.Minute

// Implementation as the reports name it.
var implementation = []string{
	"-organization=fairway", "-project=fairway", "-url=unpublished", "-contact=see SECURITY.md",
}

// Do runs the suite and tells each test's outcome as it comes. A failing test is a result, not an error.
func (r Run) Do(ctx context.Context, c *controlplane.Cluster) (expect.Results, error) {
	args, err := r.arguments(c)
	if err != nil {
		return nil, err
	}
	cmd, err := node.CommandContext(ctx, c.Layout, layout.First(), args...)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(r.log(c))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Dir = c.Layout.Run
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Layout.Kubeconfig("admin"))
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	begin := time.Now()
	results, readErr := collect(io.TeeReader(out, log), c.Progress)
	err = cmd.Wait()
	maps.DeleteFunc(results, func(_ string, o expect.Outcome) bool { return o == expect.Skipped }) // needs what is not claimed
	fmt.Fprintf(c.Progress, "%s: %d tests in %.0f s; log %s\n", r.Name, len(results), time.Since(begin).Seconds(), r.log(c))
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case readErr != nil:
		return nil, readErr
	case err != nil && !errors.As(err, &failed):
		return nil, err
	case len(results) == 0:
		return nil, fmt.Errorf("the suite ran no test, see %s", r.log(c))
	}
	return results, nil
}

// Report is where the run's report lies, in upstream's format.
func (r Run) Report(c *controlplane.Cluster) string {
	return c.Layout.Below("report-" + r.Name + ".yaml")
}

func (r Run) log(c *controlplane.Cluster) string { return c.Layout.Log("suite-" + r.Name) }

func (r Run) arguments(c *controlplane.Cluster) ([]string, error) {
	suite, err := c.Store.Path(programs.Suite)
	if err != nil {
		return nil, err
	}
	args := append([]string{suite, "-test.run=^TestConformance$", "-test.v", "-test.timeout=" + suiteTimeout.String(),
		"-cleanup-base-resources=false", "-report-output=" + r.Report(c), "-version=" + r.Version,
		"-supported-features=" + strings.Join(r.Features, ","), "-conformance-profiles=" + strings.Join(r.Profiles, ","),
	}, implementation...)
	if len(r.Labels) > 0 {
		args = append(args, "-namespace-labels="+strings.Join(r.Labels, ","))
	}
	if r.Only != "" {
		args = append(args, "-run-test="+r.Only)
	}
	if r.Successes > 0 {
		args = append(args, fmt.Sprintf("-timeout-config-overrides=RequiredConsecutiveSuccesses:%d", r.Successes))
	}
	if r.Hasty {
		args = append(args, "-test.parallel=16")
	}
	return args, nil
}

// testLine is the outcome of one conformance test; its sub-cases are indented further and the whole run is not at all.
var testLine = regexp.MustCompile(`^ {4}--- (PASS|FAIL|SKIP): TestConformance/(\S+) \((\S+)\)`)

// collect reads the outcomes of `go test -v` output. Go prints a test's outcome when its parent ends, so they come together.
func collect(log io.Reader, progress io.Writer) (expect.Results, error) {
	results := expect.Results{}
	lines := bufio.NewReader(log)
	for {
		line, err := lines.ReadString('\n')
		if m := testLine.FindStringSubmatch(line); m != nil {
			results[m[2]] = expect.Outcome(m[1])
			if m[1] != string(expect.Skipped) {
				fmt.Fprintf(progress, "  %s %s (%s)\n", m[1], m[2], m[3])
			}
		}
		if errors.Is(err, io.EOF) {
			return results, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
