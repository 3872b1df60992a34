package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairway.dev/conformance/cluster/controlplane"
	"fairway.dev/conformance/cluster/node"
	"fairway.dev/conformance/suites/crossing"
	"fairway.dev/conformance/suites/expect"
	"fairway.dev/conformance/suites/official"
)

// strict is how many right answers in a row the project's own gate wants. The suite's own 3 are within reach of a fair coin: without
// any L7 proxy, four of the seven core tests pass.
const strict = 20

// parts of a run, in the order they make sense in.
var parts = []string{"mesh", "known", "controls", "story", "crossing", "pods"}

// suiteRun is what `run` knows.
type suiteRun struct {
	cluster *controlplane.Cluster
	list    expect.List
	source  string
	reports string
	version string
}

func (s *settings) runCommand() *cobra.Command {
	r := suiteRun{}
	c := &cobra.Command{Use: "run part...", Short: "Run suites: mesh, known, controls, story, crossing, pods; on the running cluster or on one of their own",
		ValidArgs: parts, Args: cobra.MatchAll(cobra.MinimumNArgs(1), cobra.OnlyValidArgs)}
	proxies := proxyFlags(c)
	c.Flags().StringVar(&r.reports, "reports", "", "folder to copy reports to")
	c.Flags().StringVar(&r.version, "project-version", "unreleased", "the project's version, as the reports give it")
	c.RunE = func(cmd *cobra.Command, wanted []string) (err error) {
		begin := time.Now()
		if r.cluster, err = s.cluster(); err != nil {
			return err
		}
		r.source = s.source
		if r.list, err = expect.Read(filepath.Join(s.source, "suites", "mesh.yaml")); err != nil {
			return err
		}
		if err := r.cluster.Store.Build(cmd.Context(), os.Stdout); err != nil {
			return err
		}
		if !node.Running(r.cluster.Layout) {
			defer func() { err = errors.Join(err, r.cluster.Down()) }()
			if err := r.cluster.Up(*proxies); err != nil {
				return err
			}
		}
		problems, err := r.all(cmd.Context(), wanted)
		if err != nil {
			return err
		}
		for _, p := range problems {
			fmt.Println("PROBLEM:", p)
		}
		fmt.Printf("%v: %d problems, %.0f s in all\n", wanted, len(problems), time.Since(begin).Seconds())
		if len(problems) > 0 {
			return exitCode(1)
		}
		return nil
	}
	return c
}

// all runs the wanted parts; the last thing it says is the memory they needed.
func (r *suiteRun) all(ctx context.Context, wanted []string) (problems []string, err error) {
	before := len(r.deaths())
	for _, part := range parts {
		if !slices.Contains(wanted, part) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := map[string]func(context.Context) ([]string, error){
			"mesh": r.mesh, "known": r.known, "controls": r.controls, "story": r.story,
			"pods":     func(ctx context.Context) ([]string, error) { return r.script(ctx, "pods.sh") },
			"crossing": func(ctx context.Context) ([]string, error) { return crossing.Run(ctx, r.cluster) },
		}[part](ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
		problems = append(problems, found...)
	}
	memory(r.cluster)
	return append(problems, r.deaths()[before:]...), nil
}

// deaths are the programs of the nodes' own that ended by themselves; they were started again, but what a suite says about a cluster
// whose API server died is not worth much.
func (r *suiteRun) deaths() []string {
	b, err := os.ReadFile(r.cluster.Layout.Died())
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

// mesh is the official mesh part, as upstream runs it and strictly.
func (r *suiteRun) mesh(ctx context.Context) (problems []string, err error) {
	if err := official.PrepareWaypoint(r.cluster); err != nil {
		return nil, err
	}
	for _, successes := range []int{0, strict} {
		name := "mesh-default"
		if successes > 0 {
			name = fmt.Sprintf("mesh-%d-successes", successes)
		}
		run := official.Mesh(r.list, name, r.version, successes)
		fmt.Printf("%s:\n", name)
		results, err := run.Do(ctx, r.cluster)
		if err != nil {
			return nil, err
		}
		for _, p := range r.list.Judge(results) {
			problems = append(problems, name+": "+p)
		}
		if err := r.keepReport(run); err != nil {
			return nil, err
		}
	}
	return problems, nil
}

// keepReport copies the suite's report as it is.
func (r *suiteRun) keepReport(run official.Run) error {
	b, err := os.ReadFile(run.Report(r.cluster))
	if err != nil || r.reports == "" {
		return err
	}
	if err := os.MkdirAll(r.reports, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.reports, run.Name+".yaml"), b, 0o644)
}

// known runs what is expected to fail, one test at a time.
func (r *suiteRun) known(ctx context.Context) (problems []string, err error) {
	if err := official.PrepareWaypoint(r.cluster); err != nil {
		return nil, err
	}
	for name := range r.list.Fails {
		fmt.Printf("%s, expected to fail:\n", name)
		results, err := official.OneOf(r.list, name, 0).Do(ctx, r.cluster)
		if err != nil {
			return nil, err
		}
		if p := expect.JudgeKnown(name, results); p != "" {
			problems = append(problems, p)
		}
	}
	return problems, nil
}

// story runs Istio's sample as an article tells it.
func (r *suiteRun) story(ctx context.Context) ([]string, error) {
	if err := r.cluster.DeploySample(); err != nil {
		return nil, err
	}
	return r.script(ctx, "story.sh")
}

// script runs a suite that is a script in the first node.
func (r *suiteRun) script(ctx context.Context, name string) ([]string, error) {
	cmd, err := r.cluster.Script(ctx, "bash", filepath.Join(r.source, "suites", name))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return []string{name + ": " + err.Error()}, nil
	}
	return nil, nil
}
