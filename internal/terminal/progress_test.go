package terminal

import (
	"strings"
	"testing"
)

// On a terminal the line is erased before a log line; elsewhere nothing is erased.
func TestProgress(t *testing.T) {
	for terminal, want := range map[bool]string{
		true:  "\r\033[K1 of 2\r\033[Klog\nlog\n",
		false: "1 of 2\nlog\nlog\n",
	} {
		var out strings.Builder
		p := &Progress{w: &out, terminal: terminal} // it was shown long ago
		p.Printf("%d of %d", 1, 2)
		p.Printf("%d of %d", 2, 2) // too soon
		for range 2 {
			if _, err := p.Write([]byte("log\n")); err != nil {
				t.Fatal(err)
			}
		}
		p.Clear()
		if out.String() != want {
			t.Errorf("terminal %v: %q, want %q", terminal, out.String(), want)
		}
	}
}
