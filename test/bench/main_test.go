package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	const input = `goos: linux
BenchmarkAppend/16-2   100   1200 ns/op   0.70 ratio
BenchmarkSegmentServing/http/2000KB-2   7   1.2 cpu-ratio   0.81 req-ratio
BenchmarkSegmentServing/https/2000KB-2   7   1.2 cpu-ratio   1.4 cpu-ratio-max
BenchmarkRead-2   9   5.5 ns/op
PASS
`
	var out strings.Builder
	if err := table(&out, strings.NewReader(input)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"0.70    ratio          at least 0.85, missed",
		"1.2     cpu-ratio      at most 1.3, kept",
		"1.2     cpu-ratio      at most 1, missed",
		"1.4     cpu-ratio-max   ",
		"0.81    req-ratio      at least 0.8, kept",
		"Read                         5.5     ns/op",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if err := table(&out, strings.NewReader("--- FAIL: BenchmarkAppend\nFAIL\n")); err == nil {
		t.Error("a failed benchmark is no error")
	}
}
