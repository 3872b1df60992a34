package main

import (
	"os"
	"testing"
)

// asProgram makes the test binary be the program: istiod reads its environment while packages
// initialise and can be started once per process, so every test runs it in a process of its own.
const asProgram = "FAIRWAY_ISTIOD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}
