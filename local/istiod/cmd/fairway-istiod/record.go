package main

import (
	"time"

	"github.com/spf13/cobra"

	"fairway.dev/local/istiod/discovery"
	"fairway.dev/local/istiod/record"
	"fairway.dev/local/istiod/scenario"
)

func recordCommand() *cobra.Command {
	var o record.Options
	var in, logLevel string
	c := &cobra.Command{
		Use:   "record",
		Short: "Record what istiod sends to the proxies of a scenario",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if o.Steps, err = scenario.Files(in); err != nil {
				return err
			}
			settings, err := scenario.Environment(o.Steps[0])
			if err != nil {
				return err
			}
			// The real controllers would write conditions; recordings leave them out, since every
			// status write may cost a push.
			settings["AMBIENT_ENABLE_STATUS"] = "false"
			if err := discovery.EnterEnvironment(settings); err != nil {
				return err
			}
			if err := discovery.Log(logLevel); err != nil {
				return err
			}
			return record.Run(c.Context(), o)
		},
	}
	c.Flags().StringVar(&in, "in", "", "scenario: a YAML file, or a directory with input.yaml, step-2.yaml, …")
	c.Flags().StringVar(&o.Out, "out", "", "output directory")
	c.Flags().StringArrayVar(&o.Proxies, "proxy", nil, "waypoint/NS/NAME, gateway/NS/NAME or ztunnel; repeatable (default: all)")
	c.Flags().DurationVar(&o.Quiet, "quiet", 700*time.Millisecond, "a step is over when nothing arrived for this long")
	c.Flags().BoolVar(&o.Compact, "compact", false, "write stream.binpb, node.json and counts.json only")
	c.Flags().StringVar(&logLevel, "log-level", "none", "istiod's log on stderr: none, error, warn, info, debug")
	require(c, "in", "out")
	return c
}

// require marks flags as required.
func require(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := c.MarkFlagRequired(f); err != nil {
			panic(err) // the caller defines every flag it names
		}
	}
}
